"""Test results with other versions of the package's dependencies.

    .ci/compat lowest                            # runs the tests, and then this:
    python checks/compat.py REPORT.xml lowest    # -> benchmarks/results/compat.json

It also writes docs/compatibility.md.
"""

from __future__ import annotations

import argparse
import ast
import json
import platform
import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from _shared import RESULTS, ROOT, Row, environment, table, write

RECORDS = RESULTS / "compat.json"
PAGE = ROOT / "docs" / "compatibility.md"
OUTCOMES = {"failed": "failure", "errors": "error", "skipped": "skipped"}  # and their tags in XML
FAULTS = {"failure", "error"}
HEAD = """\
# Compatibility

`.ci/compat` runs the tests in a fresh virtual environment; this page lists the outcomes. "lowest"
means the lower bounds in `pyproject.toml`, "newest" the newest versions on the day of the run. A
run may have kept the torch of `constraints.txt`, since another torch is a large download: the
second table says which torch each run had. The test that compares the recorded run with the lowest
versions could only fail in the run that changed them; `.ci/compat` now leaves it out.
"""


def dependencies() -> list[str]:
    """Names of what the package needs to run."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [re.match(r"[\w-]+", requirement)[0] for requirement in project["dependencies"]]


def reason(skipped: ElementTree.Element) -> str:
    """Why a test was skipped; of a module as a whole the text holds file, line and reason."""
    if skipped.get("message") != "collection skipped":
        return skipped.get("message")
    return ast.literal_eval(skipped.text)[2].removeprefix("Skipped: ")


def outcomes(suite: ElementTree.Element) -> Row:
    """Numbers of tests by outcome, which ones failed, and why some were skipped."""
    cases = list(suite.iter("testcase"))
    tags = [{child.tag for child in case} for case in cases]
    numbers = {name: sum(tag in found for found in tags) for name, tag in OUTCOMES.items()}
    passed = sum(found.isdisjoint(OUTCOMES.values()) for found in tags)
    failed = [case.get("name") for case, found in zip(cases, tags, strict=True) if found & FAULTS]
    reasons = {reason(skipped) for case in cases for skipped in case.iter("skipped")}
    return {"passed": passed, **numbers, "failed_tests": failed, "reasons_to_skip": sorted(reasons)}


def record(report: Path, versions: str) -> Row:
    """What a run gave, and with what."""
    suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
    here = environment()
    return {
        "versions": versions,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in dependencies()},
        **outcomes(suite),
        "seconds": float(suite.get("time")),
        "date": suite.get("timestamp")[:10],
        **{key: here[key] for key in ["commit", "uncommitted_changes", "machine"]},
    }


def kind(row: Row) -> tuple[Any, ...]:
    """Key by which a new run replaces an old one: choice of versions, Python's minor version."""
    return row["versions"], *(int(part) for part in row["python"].split(".")[:2])


def page(rows: list[Row]) -> str:
    """The page, as the records say."""
    names = ["versions", "python", "passed", *OUTCOMES, "date"]
    runs = table(
        [*names, "commit"], ([*(row[name] for name in names), row["commit"][:9]] for row in rows)
    )
    packages = dict.fromkeys(name for row in rows for name in row["packages"])
    versions = table(
        ["", *(f"{row['versions']}, Python {row['python']}" for row in rows)],
        ([name, *(row["packages"].get(name, "") for row in rows)] for name in packages),
    )
    reasons = sorted({why for row in rows for why in row["reasons_to_skip"]})
    skips = "\n".join(f"- {why}" for why in reasons)
    faults = "\n".join(
        f"- Python {row['python']}, {row['versions']}: `{name}`"
        for row in rows
        for name in row["failed_tests"]
    )
    return (
        f"{HEAD}\n{runs}\n\n{versions}\n\nWhat failed:\n\n{faults or '- nothing'}\n\n"
        f"Why a run has skipped tests:\n\n{skips}\n"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("report", type=Path, help="what `pytest --junitxml` wrote")
    options.add_argument("versions", choices=["lowest", "newest"])
    options = options.parse_args()
    new = record(options.report, options.versions)
    known = json.loads(RECORDS.read_text(encoding="utf-8"))["rows"]
    rows = sorted([row for row in known if kind(row) != kind(new)] + [new], key=kind)
    write(RECORDS, {"rows": rows})
    PAGE.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
