"""The page on compatibility is what the records of the runs say."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

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
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import compat

    return compat


def test_page_is_up_to_date(compat):
    rows = json.loads(compat.RECORDS.read_text(encoding="utf-8"))["rows"]

    assert compat.PAGE.read_text(encoding="utf-8") == compat.page(rows)


def test_outcomes_of_a_report(compat):
    assert compat.outcomes(ElementTree.fromstring(REPORT)) == {
        "passed": 1,
        "failed": 1,
        "errors": 1,
        "skipped": 2,
        "failed_tests": ["b", "c"],
        "reasons_to_skip": ["no GPU", "too old"],
    }
