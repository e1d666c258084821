"""The built documentation in a browser: pages load, fit a phone's width and log no error."""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest

import sklearn_binfogan
from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer

pytestmark = pytest.mark.nightly  # needs the built site, and a browser

webdriver = pytest.importorskip("selenium.webdriver", reason="comes with the extra docs")
SITE = Path(
    os.environ.get("BINFOGAN_SITE", Path(__file__).resolve().parents[1] / "docs/_build/html")
)
# All articles: what is wider than a phone is found where it stands.
PAGES = sorted(
    page.relative_to(SITE).as_posix()
    for page in SITE.rglob("*.html")
    if page.relative_to(SITE).parts[0] not in ("_modules", "_static")
    and page.stem not in ("genindex", "search")
) or ["index.html"]
WIDTHS = {"desktop": 1440, "phone": 390}
MATHJAX = "https://cdn.jsdelivr.net/npm/mathjax"
# What scrolls within itself may be wider; an article may not.
ARTICLE = """
const article = document.querySelector('article.bd-article');
return article ? article.scrollWidth - article.clientWidth : 0;
"""
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    # Chromium is to look for no services of its own.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def browser():
    """Start Chromium."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if not all(programs):
        pytest.skip("chromium or chromedriver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in FLAGS:
        options.add_argument(flag)
    driver = webdriver.Chrome(options, webdriver.ChromeService(programs[1]))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def serve():
    """Return a function that serves a folder on localhost and gives its address."""
    servers = []

    def start(folder):
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
        servers.append(http.server.ThreadingHTTPServer(("localhost", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://localhost:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()


def errors_of(browser, address, width=1440):
    """Load a page at a width; return what the console has of errors."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(address)
    errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    # Equations are set by a script from there; a machine without a network shows their source.
    return [entry for entry in errors if not entry["message"].startswith(MATHJAX)]


@pytest.fixture(scope="module")
def site(serve):
    """Serve the built site."""
    if not (SITE / "index.html").exists():
        pytest.skip(f"no built site in {SITE}; BINFOGAN_SITE names another folder")
    return serve(SITE)


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("page", PAGES)
def test_page_loads(browser, site, page, width):
    errors = errors_of(browser, f"{site}/{page}", width)

    assert not errors
    assert browser.find_element("tag name", "h1").text
    across = browser.execute_script("return document.documentElement.scrollWidth")
    assert across <= width, f"the page is {across} pixels wide"
    beyond = browser.execute_script(ARTICLE)
    assert beyond <= 1, f"the article scrolls sideways by {beyond} pixels"


@pytest.mark.parametrize("kind", [BInfoGANTransformer, BInfoGANClassifier])
def test_the_link_of_the_html_repr_leads_to_a_page(site, kind, monkeypatch):
    monkeypatch.setattr(sklearn_binfogan._base, "DOCUMENTATION", "https://docs.invalid")

    page = kind()._get_doc_link().removeprefix("https://docs.invalid/")
    assert (SITE / page).is_file()


@pytest.mark.parametrize("name", ["BInfoGANTransformer", "inspection.CodeGridDisplay"])
def test_a_class_names_its_examples(site, name):
    page = (SITE / f"generated/sklearn_binfogan.{name}.html").read_text(encoding="utf-8")

    assert "Examples that use this class" in page
    assert "auto_examples/plot_digits.html" in page
    assert "[source]" in page


def test_errors_are_seen(browser, serve, tmp_path):
    (tmp_path / "index.html").write_text(
        '<link rel="icon" href="data:,"><img src="missing.png"><script>nothing.at.all</script>'
    )

    errors = errors_of(browser, serve(tmp_path))

    assert len(errors) == 2
