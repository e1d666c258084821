"""The package's modules form layers: imports point downward only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer

PACKAGE = "sklearn_binfogan"
FOLDER = Path(__file__).resolve().parents[1] / PACKAGE

# Top to bottom, in a layer too: a module imports only from what stands below it here. A new module
# gets its place here.
LAYERS = {
    "what users import": [
        "__init__",
        "persistence",
        "inspection.__init__",
        "inspection._code_grid",
        "inspection._traversal",
        "inspection._extremes",
        "inspection._reconstruction",
        "inspection._nearest_rows",
        "inspection._pair_plot",
        "inspection._training_curve",
        "inspection._code_usage",
        "inspection._display",
        "inspection._choice",
        "inspection._drawing",
        "inspection._view",
        "distributed",
        "networks",
    ],
    "estimators: parameters in, arrays out": [
        "_classifier",
        "_transformer",
        "_base",
        "_parameters",
    ],
    "fits: one driver, a fitted model, files": [
        "_callbacks",
        "_driver",
        "_checkpoints",
        "_portable",
        "_model",
        "_upgrades",
    ],
    "training: phases on skorch's loop": [
        "_trainer",
        "_net",
        "_graphs",
        "_phases",
        "_terms",
        "_consistency",
        "_partition",
        "_cells",
        "_scoring",
        "_supervision",
        "_sharing",
        "_players",
        "_settings",
    ],
    "networks, losses and every number": [
        "_presets",
        "_architectures",
        "_networks",
        "_losses",
        "_augmentation",
        "_neighbours",
        "_ellipses",
        "_aggregate",
        "_marginals",
        "_collapse",
    ],
    "measures": [
        "metrics.__init__",
        "metrics._samples",
        "metrics._codes",
    ],
    "rows and codes": [
        "_rows",
        "_input",
        "_layout",
        "_columns",
        "_far_values",
        "_state",
        "_codes",
        "_arrays",
    ],
    "leaves: they know nothing of the rest": [
        "_progress",
        "_callback_rules",
        "_container",
        "_threads",
        "exceptions",
        "datasets.__init__",
        "datasets._celeba",
        "datasets._svhn",
        "datasets._photos",
        "datasets._mnist",
        "datasets._shapes",
        "datasets._files",
        "_tqdm",
        "_checks",
    ],
}
ORDER = [module for modules in LAYERS.values() for module in modules]
DEPTH = {module: depth for depth, module in enumerate(ORDER)}


def package_sources() -> dict[str, str]:
    """Return the source of each module of the package, by dotted name below the package."""
    paths = sorted(FOLDER.rglob("*.py"))
    assert paths, f"no modules in {FOLDER}"
    return {
        ".".join(path.relative_to(FOLDER).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in paths
    }


def imported_siblings(source: str, package: str = PACKAGE) -> set[str]:
    """Return the modules of the package that a module of `package` imports, also inside functions.

    A name that a package itself exports counts as an import of its ``__init__``.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            dotted = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = parents[: len(parents) + 1 - node.level] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            dotted = [[*base, alias.name] for alias in node.names]
        else:
            continue
        for head, *rest in dotted:
            if head == PACKAGE:
                found.add(module_of(rest))
    return found


def module_of(parts: list[str]) -> str:
    """Return the module that holds a name, both below the package."""
    for n_parts in range(len(parts), -1, -1):
        for module in (".".join(parts[:n_parts]), ".".join([*parts[:n_parts], "__init__"])):
            if module in DEPTH:
                return module
    raise AssertionError("LAYERS has no __init__")


def upward_imports(module: str, source: str) -> list[str]:
    """Return one line for each import that doesn't point downward."""
    package = ".".join([PACKAGE, *module.split(".")[:-1]])
    return [
        f"{module} imports {target}, which is not below it"
        for target in sorted(imported_siblings(source, package))
        if DEPTH[target] <= DEPTH[module]
    ]


def executed_on_import(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run when the module is imported, nested blocks included."""
    for statement in statements:
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            yield from executed_on_import(statement.orelse)
            continue
        for block in ("body", "orelse", "finalbody"):
            yield from executed_on_import(getattr(statement, block, []))
        for branch in (*getattr(statement, "handlers", []), *getattr(statement, "cases", [])):
            yield from executed_on_import(branch.body)


def imports_matplotlib_at_top_level(source: str) -> bool:
    """Tell whether importing the module imports matplotlib."""
    for node in executed_on_import(ast.parse(source).body):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        else:
            continue
        if any(name.split(".")[0] == "matplotlib" for name in names):
            return True
    return False


def test_every_module_has_a_layer():
    unknown = sorted(package_sources().keys() - DEPTH.keys())
    assert not unknown, f"give these modules a place in LAYERS of {Path(__file__).name}: {unknown}"


def test_imports_point_downward():
    upward = [
        line
        for module, source in package_sources().items()
        if module in DEPTH
        for line in upward_imports(module, source)
    ]
    assert not upward, "\n".join(upward)


def test_matplotlib_is_imported_only_when_used():
    eager = [
        name
        for name, source in package_sources().items()
        if imports_matplotlib_at_top_level(source)
    ]
    assert not eager, f"import matplotlib inside the functions that draw, in: {eager}"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from ._codes import CodeSpec", {"_codes"}),
        ("from . import _codes, _layout", {"_codes", "_layout"}),
        ("from . import BInfoGANTransformer", {"__init__"}),
        ("from . import *", {"__init__"}),
        ("import sklearn_binfogan", {"__init__"}),
        ("import sklearn_binfogan._trainer as t", {"_trainer"}),
        ("from sklearn_binfogan import metrics, __version__", {"metrics.__init__", "__init__"}),
        ("from sklearn_binfogan.datasets import load_mnist", {"datasets.__init__"}),
        ("from sklearn_binfogan.datasets import _svhn", {"datasets._svhn"}),
        ("def f():\n    from ._losses import cycle", {"_losses"}),
        ("import torch\nfrom sklearn import metrics", set()),
    ],
)
def test_imported_siblings(source, expected):
    assert imported_siblings(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from ._files import find", {"datasets._files"}),
        ("from . import _files, load_mnist", {"datasets._files", "datasets.__init__"}),
        ("from .._codes import CodeSpec", {"_codes"}),
        ("from .. import BInfoGANTransformer", {"__init__"}),
    ],
)
def test_imported_siblings_of_a_module_in_a_package(source, expected):
    assert imported_siblings(source, f"{PACKAGE}.datasets") == expected


@pytest.mark.parametrize(
    ("module", "source", "n_upward"),
    [
        ("_terms", "from ._losses import cycle", 0),
        ("_losses", "from ._terms import GamePass", 1),
        ("_losses", "from ._networks import Encoder", 1),
        ("persistence", "from . import __version__", 1),
        ("datasets._svhn", "from ._files import find", 0),
        ("datasets._files", "from ._svhn import load_svhn", 1),
        ("datasets._files", "from . import load_svhn", 1),
    ],
)
def test_upward_imports(module, source, n_upward):
    assert len(upward_imports(module, source)) == n_upward


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import matplotlib.pyplot as plt", True),
        ("from matplotlib import pyplot", True),
        ("try:\n    import matplotlib\nexcept ImportError:\n    pass", True),
        ("class A:\n    import matplotlib", True),
        ("def f():\n    import matplotlib", False),
        ("if TYPE_CHECKING:\n    from matplotlib.axes import Axes", False),
        ("from .matplotlib import helper", False),
    ],
)
def test_imports_matplotlib_at_top_level(source, expected):
    assert imports_matplotlib_at_top_level(source) is expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from ._drawing import draw_table", {"inspection._drawing"}),
        ("from .._codes import CodeSpec", {"_codes"}),
        ("from . import CodeGridDisplay", {"inspection.__init__"}),
        ("from .. import BInfoGANTransformer", {"__init__"}),
    ],
)
def test_imported_siblings_of_a_display(source, expected):
    assert imported_siblings(source, f"{PACKAGE}.inspection") == expected


def private_uses(source: str) -> set[str]:
    """Return the private names that a module reads from objects other than its own."""
    return {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    }


def test_displays_use_no_private_name_of_an_estimator():
    sources = package_sources()
    displays = {k: v for k, v in sources.items() if k.startswith("inspection.")}

    assert {name: private_uses(source) for name, source in displays.items()} == {
        name: set() for name in displays
    }


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("estimator._spec", {"_spec"}),
        ("view.estimator._net.settings", {"_net"}),
        ("self._open(ax)", set()),
        ("self.estimator._net", {"_net"}),
        ("type(self).__name__", set()),
    ],
)
def test_private_uses(source, expected):
    assert private_uses(source) == expected


TESTS = Path(__file__).parent
NAMES_OF_OTHERS = {"_repr_html_", "_get_doc_link"}  # IPython's and scikit-learn's
# Tests of what users can't see; the others call what users call.
OF_THE_INSIDE = {
    "test_checkpoints",
    "test_datasets",
    "test_fuzz",
    "test_graphs",
    "test_losses",
    "test_networks",
    "test_paper",
    "test_persistence",
    "test_training",
    "test_units",
}


def private_imports(source: str) -> set[str]:
    """Return the private modules and names of the package that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {
        name
        for name in found
        if name.split(".")[0] == PACKAGE
        and any(part.startswith("_") and not part.startswith("__") for part in name.split("."))
    }


def test_tests_of_behaviour_use_no_private_name():
    estimators = (BInfoGANTransformer, BInfoGANClassifier)
    private = {"_model", *(name for kind in estimators for name in dir(kind))}
    found = {}
    for path in sorted(TESTS.glob("*.py")):
        source = path.read_text(encoding="utf-8")
        used = private_imports(source) | (private_uses(source) & private - NAMES_OF_OTHERS)
        if used and path.stem not in OF_THE_INSIDE:
            found[path.name] = used

    assert not found, f"use public names here, or a file of OF_THE_INSIDE: {found}"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from sklearn_binfogan._codes import CodeSpec", {"sklearn_binfogan._codes.CodeSpec"}),
        ("from sklearn_binfogan import _losses", {"sklearn_binfogan._losses"}),
        ("from sklearn_binfogan.datasets import _svhn", {"sklearn_binfogan.datasets._svhn"}),
        ("import sklearn_binfogan._trainer as t", {"sklearn_binfogan._trainer"}),
        ("from sklearn_binfogan import load, __version__", set()),
        ("from sklearn.utils import _param_validation", set()),
    ],
)
def test_private_imports(source, expected):
    assert private_imports(source) == expected
