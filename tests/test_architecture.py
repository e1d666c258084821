"""The package's modules form layers: imports point downward only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "sklearn_binfogan"
FOLDER = Path(__file__).resolve().parents[1] / PACKAGE

# Top to bottom. A module imports from strictly lower layers only, so two modules of one layer
# don't know each other. A new module gets its place here.
LAYERS = [
    ["__init__"],
    ["persistence", "inspection", "distributed"],
    ["_transformer", "_classifier"],
    ["_base"],
    ["_checkpoints"],
    ["_portable"],
    ["_starts"],
    ["_training"],
    ["_consistency", "_scoring", "_progress", "_collapse", "_callbacks"],
    ["_supervision", "_players"],
    ["_settings"],
    ["_architectures"],
    ["_networks", "_losses", "_augmentation", "_rows", "_aggregate", "_drawing"],
    ["_layout"],
    ["_codes"],
    ["datasets", "metrics", "_container", "_threads"],
    ["_celeba", "_photos", "_shapes", "_svhn"],
    ["_files"],
]
DEPTH = {module: depth for depth, layer in enumerate(LAYERS) for module in layer}


def package_sources() -> dict[str, str]:
    """Return the source of each module of the package, by dotted name below the package."""
    paths = sorted(FOLDER.rglob("*.py"))
    assert paths, f"no modules in {FOLDER}"
    return {
        ".".join(path.relative_to(FOLDER).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in paths
    }


def imported_siblings(source: str) -> set[str]:
    """Return the modules of the package that a module imports, also inside functions.

    A name that the package itself exports counts as an import of ``__init__``.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            dotted = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ([PACKAGE] if node.level else []) + (node.module or "").split(".")
            base = [part for part in base if part]
            dotted = [[*base, alias.name] for alias in node.names]
        else:
            continue
        for head, *rest in dotted:
            if head == PACKAGE:
                found.add(rest[0] if rest and rest[0] in DEPTH else "__init__")
    return found


def upward_imports(module: str, source: str) -> list[str]:
    """Return one line for each import that doesn't point to a strictly lower layer."""
    return [
        f"{module} imports {target}, which is not below it"
        for target in sorted(imported_siblings(source))
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
        ("import sklearn_binfogan._training as t", {"_training"}),
        ("from sklearn_binfogan import metrics, __version__", {"metrics", "__init__"}),
        ("from sklearn_binfogan.datasets import load_mnist", {"datasets"}),
        ("def f():\n    from ._losses import cycle", {"_losses"}),
        ("import torch\nfrom sklearn import metrics", set()),
    ],
)
def test_imported_siblings(source, expected):
    assert imported_siblings(source) == expected


@pytest.mark.parametrize(
    ("module", "source", "n_upward"),
    [
        ("_training", "from ._losses import cycle", 0),
        ("_losses", "from ._training import Game", 1),
        ("_losses", "from ._networks import Encoder", 1),
        ("persistence", "from . import __version__", 1),
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
