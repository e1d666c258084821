"""Docstrings, the README and the pages of docs/ say what the code does."""

import ast
import doctest
import importlib
import inspect
import json
import pkgutil
import re
import warnings
from operator import attrgetter
from pathlib import Path

import joblib
import pytest
import sklearn.datasets
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate

import sklearn_binfogan

ROOT = Path(__file__).resolve().parents[1]
PUBLIC_MODULES = [
    "",
    ".datasets",
    ".distributed",
    ".exceptions",
    ".inspection",
    ".metrics",
    ".networks",
    ".persistence",
]
# Checks of numpydoc that are not asked for.
LEFT_OUT = {
    "ES01",  # a summary of one line can say it all
    "GL01",  # summaries begin on the line of the quotes
    "PR01",  # `y`, "Ignored", is in the signature for scikit-learn's sake; see below
    "PR06",  # type names are read by people: `int or None`, `Axes`
    "PR07",  # X and y need no words where their shape says all
    "PR08",  # a description may begin with a symbol of the paper: "lambda", "z"
    "PR09",  # or be no sentence
    "RT02",  # one returned value may have a name
    "RT03",  # and needs no description where its name says all
    "RT04",
    "RT05",
    "SA01",  # not everything has relatives
}


def public_objects():
    """Return functions and classes of the public modules, by dotted name."""
    found = {}
    for suffix in PUBLIC_MODULES:
        module = importlib.import_module("sklearn_binfogan" + suffix)
        defined = [k for k, v in vars(module).items() if public_in(module, k, v)]
        for name in getattr(module, "__all__", defined):
            if callable(getattr(module, name)):
                found[f"{module.__name__}.{name}"] = getattr(module, name)
    return found


def public_in(module, name, value):
    """Tell whether a module without `__all__` defines this name for everybody."""
    is_object = inspect.isclass(value) or inspect.isfunction(value)
    return is_object and value.__module__ == module.__name__ and not name.startswith("_")


OBJECTS = public_objects()


def ours(value):
    """Tell whether the package defines a function; some of Python's own name no module."""
    return (getattr(value, "__module__", None) or "").startswith("sklearn_binfogan")


def methods(dotted):
    """Return the public methods of a class that the package defines, by dotted name."""
    owner = OBJECTS[dotted]
    found = {name: getattr(owner, name) for name in dir(owner) if not name.startswith("_")}
    return {
        f"{dotted}.{name}": inspect.unwrap(value)
        for name, value in found.items()
        if inspect.isroutine(value) and ours(inspect.unwrap(value))
    }


CLASSES = [dotted for dotted, value in OBJECTS.items() if inspect.isclass(value)]
METHODS = {k: v for dotted in CLASSES for k, v in methods(dotted).items()}
EVERYTHING = OBJECTS | METHODS


def test_the_public_names_are_found():
    assert "sklearn_binfogan.BInfoGANTransformer" in OBJECTS
    assert "sklearn_binfogan.metrics.dci" in OBJECTS
    assert "sklearn_binfogan.BInfoGANTransformer.fit" in METHODS
    assert len(EVERYTHING) > 40


@pytest.mark.parametrize("dotted", EVERYTHING)
def test_docstring_is_valid_numpydoc(dotted):
    errors = [
        f"{code}: {text}"
        for code, text in validate(dotted)["errors"]
        if code not in LEFT_OUT and not (code == "EX01" and dotted in METHODS)
    ]

    assert not errors, "\n".join(errors)


def documented(value):
    """Return the documented parameters of an object: name to type line."""
    parameters = NumpyDocString(inspect.getdoc(value))["Parameters"]
    return {name.lstrip("*"): p.type for p in parameters for name in p.name.split(", ")}


def signature(value):
    """Return the parameters of a signature without self and cls; a warning has none."""
    if inspect.isclass(value) and issubclass(value, Warning):
        return {}
    own = inspect.signature(value).parameters.values()
    return {p.name: p for p in own if p.name not in ("self", "cls")}


@pytest.mark.parametrize("dotted", EVERYTHING)
def test_parameters_are_those_of_the_signature(dotted):
    value = EVERYTHING[dotted]
    if inspect.isclass(value) and "Parameters" not in (value.__doc__ or ""):
        # A named tuple describes its fields in its docstring.
        assert issubclass(value, tuple | Warning)
        return

    assert list(documented(value)) == list(signature(value))


@pytest.mark.parametrize("dotted", EVERYTHING)
def test_documented_defaults_are_those_of_the_signature(dotted):
    value = EVERYTHING[dotted]
    types = documented(value)
    for name, parameter in signature(value).items():
        if name not in types or types[name] == "Ignored":
            continue
        stated = re.search(r"default=(.+)$", types[name])
        assert (stated is not None) == (parameter.default is not parameter.empty), name
        if stated:
            assert ast.literal_eval(stated[1]) == parameter.default, name


@pytest.mark.parametrize("dotted", OBJECTS)
def test_every_public_name_has_an_example(dotted):
    assert ">>>" in inspect.getdoc(OBJECTS[dotted])


def test_the_reference_lists_every_public_name():
    listed = re.findall(r"^   ([\w.]+)$", (ROOT / "docs" / "api.rst").read_text("utf-8"), re.M)

    assert {attrgetter(name)(sklearn_binfogan) for name in listed} == set(OBJECTS.values())


MODULES = [
    name for _, name, _ in pkgutil.walk_packages(sklearn_binfogan.__path__, "sklearn_binfogan.")
]

# Their examples draw or store a model, however good it is.
SHORT_FITS = ("sklearn_binfogan.inspection.", "sklearn_binfogan.persistence")


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    if name.startswith(SHORT_FITS) and not name.endswith("_training_curve"):  # it shows epochs
        few_steps(monkeypatch)
    module = importlib.import_module(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence: examples are short
        outcome = doctest.testmod(module, optionflags=doctest.ELLIPSIS)

    assert outcome.failed == 0


# -- README and pages ------------------------------------------------------------------------------


def code_blocks(path):
    """Return the Python blocks of a Markdown page."""
    return re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)


def few_steps(monkeypatch):
    """Let estimators train two steps of each phase where nothing else is said."""
    for kind in (sklearn_binfogan.BInfoGANTransformer, sklearn_binfogan.BInfoGANClassifier):
        defaults = kind.__init__.__kwdefaults__ | {"warmup_iter": 2, "max_iter": 2}
        monkeypatch.setattr(kind.__init__, "__kwdefaults__", defaults)


def few_digits(monkeypatch):
    """Let scikit-learn's digits be 100."""
    original = sklearn.datasets.load_digits

    def short(**options):
        X, y = original(**options)
        return X[:100], y[:100]

    monkeypatch.setattr(sklearn.datasets, "load_digits", short)


def test_code_of_the_readme_runs(monkeypatch, tmp_path):
    few_steps(monkeypatch)
    few_digits(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    blocks = code_blocks(ROOT / "README.md")
    names = {}

    # One after the other, as a reader would; searches in this process, where budgets are small.
    with warnings.catch_warnings(), joblib.parallel_config("sequential"):
        warnings.simplefilter("ignore")
        for block in blocks:
            exec(compile(block, "README.md", "exec"), names)

    assert len(blocks) >= 7
    assert names["X_new"].shape == (16, 64)
    assert names["gan"].n_iter_ == 4
    assert names["several"].labels_.shape == (178, 2)


def test_the_first_block_of_the_readme_takes_five_lines_for_each_task():
    block = code_blocks(ROOT / "README.md")[0]
    tasks = [part.splitlines() for part in re.split(r"^# ", block, flags=re.M)[1:]]

    assert len(tasks) == 6
    for title, *lines in tasks:
        assert 1 <= sum(map(bool, lines)) <= 5, title


HOW_TO = [
    ROOT / "docs" / "quickstart.md",
    *sorted((ROOT / "docs" / "guide").glob("*.md")),
    *sorted((ROOT / "docs" / "howto").glob("*.md")),
]


@pytest.mark.nightly  # half a minute on an idle machine
@pytest.mark.parametrize("page", HOW_TO, ids=lambda path: path.stem)
def test_code_of_a_page_runs(page, monkeypatch, tmp_path):
    few_steps(monkeypatch)
    few_digits(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names = {}

    with warnings.catch_warnings(), joblib.parallel_config("sequential"):
        warnings.simplefilter("ignore")
        for block in code_blocks(page):
            exec(compile(block, page.name, "exec"), names)


def test_versions_agree():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")

    assert f"\nversion: {sklearn_binfogan.__version__}\n" in citation


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pages_import_names_that_exist(page):
    for block in code_blocks(page):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("sklearn_binfogan"):
                module = importlib.import_module(node.module)
                missing = [a.name for a in node.names if not hasattr(module, a.name)]
                assert not missing, f"{node.module} has no {missing}"


def test_contributing_names_functions_that_exist():
    """`_losses.imbalance` beside an equation is a function of `sklearn_binfogan._losses`."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`(_[a-z]+)\.(?!py`)(\w+)`", text)

    assert len(named) > 10
    for module, name in named:
        assert hasattr(importlib.import_module(f"sklearn_binfogan.{module}"), name), name


RESULTS = sorted((ROOT / "docs").glob("results*.md"))
FOR_USERS = [page for page in PAGES if page.name != "changelog.md"]


@pytest.mark.parametrize("page", FOR_USERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_page_for_users_has_no_private_names(page):
    text = page.read_text(encoding="utf-8")
    private = re.findall(
        r"sklearn_binfogan\._(?!_)\w+|`_[a-z][\w.]*|(?<![\w.])_[a-z]\w*\.\w+", text
    )

    assert not private


@pytest.mark.parametrize("page", FOR_USERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_code_of_a_page_fits_80_columns(page):
    blocks = re.findall(r"^```(?:python|py)\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    too_long = [line for block in blocks for line in block.splitlines() if len(line) > 80]

    assert not too_long


@pytest.mark.parametrize("page", RESULTS, ids=lambda path: path.stem)
def test_results_are_for_readers(page):
    text = page.read_text(encoding="utf-8")

    assert not re.findall(r"\basked\b|\baim|do not edit", text)


def test_the_guide_says_what_the_paper_and_its_preset_reach():
    """Numbers of the guide's table are those of the files."""
    text = (ROOT / "docs" / "guide" / "how_it_works.md").read_text(encoding="utf-8")
    stored = {
        name: json.loads((ROOT / f"benchmarks/results/{name}.json").read_text("utf-8"))["rows"]
        for name in ("paper_full", "categories_images")
    }
    paper = [row["test_accuracy_as_they_are"] for row in stored["paper_full"]]
    ours = [
        row["agreement"]
        for row in stored["categories_images"]
        if (row["name"], row["method"]) == ("mnist", "ours")
    ]
    for values in (paper, ours):
        mean, worst = 100 * sum(values) / len(values), 100 * min(values)
        assert f"| {mean:.1f} % | {worst:.1f} % | {len(values)} |" in text


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


def test_the_home_page_has_one_table_of_six_rows():
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    tables = re.findall(r"(?:^\|.*\n)+", text, re.M)

    assert len(tables) == 1
    assert len(tables[0].splitlines()) - 2 <= 6


def anchors(page):
    """Return the anchors of a page's headings, as GitHub and MyST name them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


# Sphinx checks those of docs/ too, but only in a build of the docs.
@pytest.mark.parametrize(
    "page", [*ROOT.glob("*.md"), *PAGES[1:]], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_links_of_a_page_lead_somewhere(page):
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        target, _, anchor = link.partition("#")
        file = page.parent / target if target else page
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link
