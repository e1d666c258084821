"""Sphinx configuration: `python -m sphinx -W --keep-going -b html docs docs/_build/html`."""

import os
import re
import tomllib
import warnings
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault(
    "TQDM_DISABLE", "1"
)  # a page would show every step of a bar

import sklearn_binfogan  # tqdm reads its variable when it is imported

# Of fits in the gallery with a short budget: of no use to a reader.
warnings.filterwarnings("ignore", category=UserWarning)

project = "sklearn-binfogan"
author = "the sklearn-binfogan developers"
project_copyright = author
release = sklearn_binfogan.__version__
# The one setting for addresses; empty before anything is published.
pyproject = tomllib.loads(
    (Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8")
)
addresses = pyproject["project"].get("urls", {})
version = ".".join(release.split(".")[:2])

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",  # [source] beside every name of the reference
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
nitpicky = (
    True  # internal links are checked: one that leads nowhere is a warning
)
# Links to other packages would need their inventories, from the network, at every build.
nitpick_ignore_regex = [
    ("py:.*", r"(sklearn|skorch|torch|numpy|matplotlib)\..*")
]
suppress_warnings = [
    "config.cache"
]  # the gallery's sorting keys can't be pickled

autosummary_generate = True
# Of two names that differ by case alone, which some file systems hold to be one.
autosummary_filename_map = {
    f"sklearn_binfogan.metrics.{name}": f"sklearn_binfogan.metrics.{name.lower()}_result"
    for name in ("DCI", "PRDC")
}
autodoc_typehints = "none"  # numpydoc's sections say more
numpydoc_show_class_members = False
myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

# Examples in order of ease.
EASE = [
    "digits",
    "table",
    "samples",
    "pipeline",
    "memory_map",
    "photograph",
    "few_labels",
]
EASE += ["mnist", "svhn", "faces"]


class ByEase:
    """Sort the gallery's pages."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, filename):
        return EASE.index(Path(filename).stem.removeprefix("plot_"))


sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "within_subsection_order": ByEase,
    "doc_module": ("sklearn_binfogan",),
    "backreferences_dir": "generated/backreferences",
    # The others take minutes: they are shown with committed pictures, and not run.
    "filename_pattern": "plot_(digits|table|samples|pipeline|memory_map|photograph)",
    "image_scrapers": ("matplotlib",),
    "notebook_images": True,  # committed pictures travel within a notebook
    "download_all_examples": False,
    "min_reported_time": 1,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "images/favicon.svg"
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
html_theme_options = {
    "show_toc_level": 2,
    "navbar_align": "left",
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "header_links_before_dropdown": 7,
}
if "Repository" in addresses:
    html_theme_options["icon_links"] = [
        {
            "name": "Repository",
            "url": addresses["Repository"],
            "icon": "fa-solid fa-code-branch",
        }
    ]
if "Documentation" in addresses:
    html_baseurl = addresses["Documentation"]
# Pages without others beside them would have an empty column.
html_sidebars = {
    page: []
    for page in ("index", "installation", "quickstart", "faq", "search")
}
html_sidebars |= {"genindex": [], "_modules/**": []}


def without_labels(app, what, name, obj, options, lines):
    """Take labels of scikit-learn's own pages out of docstrings inherited from it."""
    if (getattr(obj, "__module__", None) or "").startswith("sklearn."):
        role = r":(?:ref|term):`([^`<]+?)(?:\s*<[^`]*)?`"
        lines[:] = re.sub(role, r"\1", "\n".join(lines)).split("\n")


def setup(app):
    """Connect to what Sphinx offers."""
    app.connect("autodoc-process-docstring", without_labels)
