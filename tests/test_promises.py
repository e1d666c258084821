"""docs/promises.md: every promise names tests, and they exist."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "promises.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ")][1:]


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_every_promise_names_tests_that_exist(row):
    named = re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", row)

    assert named
    for file, function in named:
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert not function or function in defined, f"{file} has no {function}"
