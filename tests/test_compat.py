"""The page on compatibility is what the records of the runs say."""

import json
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
REPORT = """\
<testsuite>
<testcase name="a" />
<testcase name="b"><failure message="no" /></testcase>
<testcase name="c"><error message="no" /></testcase>
<testcase name="d"><skipped message="no GPU" /></testcase>
<testcase name="e"><skipped message="collection skipped">('a.py', 3, 'Skipped: too old')</skipped>
</testcase>
</testsuite>
"""


@pytest.fixture
def compat(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "checks")
    import compat

    return compat


def test_page_is_up_to_date(compat):
    rows = json.loads(compat.RECORDS.read_text(encoding="utf-8"))["rows"]

    assert compat.PAGE.read_text(encoding="utf-8") == compat.page(rows)


def lower_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = map(Requirement, project["dependencies"])
    return {r.name: next(iter(r.specifier)).version for r in requirements}


def test_the_run_of_the_lowest_versions_had_them(compat):
    rows = json.loads(compat.RECORDS.read_text(encoding="utf-8"))["rows"]
    (had,) = (row["packages"] for row in rows if row["versions"] == "lowest")
    had = {name: Version(version).public for name, version in had.items()}
    other = {name for name, low in lower_bounds().items() if Version(had[name]) != Version(low)}
    promises = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")

    assert other <= {"torch"}  # a large download: the promise names the version that was run
    assert not other or f"torch {had['torch']} " in promises


def test_outcomes_of_a_report(compat):
    assert compat.outcomes(ElementTree.fromstring(REPORT)) == {
        "passed": 1,
        "failed": 1,
        "errors": 1,
        "skipped": 2,
        "failed_tests": ["b", "c"],
        "reasons_to_skip": ["no GPU", "too old"],
    }
