"""Markdown from the JSON of benchmarks: tables, and sections that say where numbers come from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _report import Row

# -- text --------------------------------------------------------------------------------------


def percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def whole(value: float) -> str:
    return f"{value:.0f}"


def decimals(value: float) -> str:
    return f"{value:.3f}"


def yes_no(value: bool) -> str:
    return "yes" if value else "no"


def table(header: Iterable[Any], lines: Iterable[Iterable[Any]]) -> str:
    """A Markdown table."""
    header = list(header)
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |"
        for line in [header, ["---"] * len(header), *lines]
    )


class Measure(NamedTuple):
    """A line of a table: which key of the rows, under what name, and what was asked of it."""

    key: str
    label: str
    asked: str = ""
    shown: Callable[[Any], str] = percent
    worst: Callable[..., Any] = min  # max where a smaller value is better


def measure_cells(measure: Measure, rows: list[Row]) -> list[str]:
    """Mean, worst and every seed."""
    values = [row.get(measure.key) for row in rows]
    known = [value for value in values if value is not None]
    if not known:
        return ["", ""] + [""] * len(rows)
    if isinstance(known[0], bool):
        ends = [f"{sum(known)} of {len(known)}", ""]
    else:
        ends = [measure.shown(float(np.mean(known))), measure.shown(measure.worst(known))]
    return ends + ["" if value is None else measure.shown(value) for value in values]


def measures_table(measures: list[Measure], rows: list[Row]) -> str:
    """A line per measure, a column per seed."""
    header = ["measure", "asked", "mean", "worst", *(row["seed"] for row in rows)]
    return table(header, ([m.label, m.asked, *measure_cells(m, rows)] for m in measures))


def groups_table(name: str, rows: list[Row], measures: list[Measure]) -> str:
    """As `measures_table`, a line per measure that a value of the key `name` has."""
    groups = list(dict.fromkeys(row[name] for row in rows))
    seeds = list(dict.fromkeys(row["seed"] for row in rows))
    lines = []
    for group in groups:
        by_seed = {row["seed"]: row for row in rows if row[name] == group}
        of_group = [by_seed.get(seed, {}) for seed in seeds]
        known = [m for m in measures if any(m.key in row for row in of_group)]
        lines += [[group, m.label, m.asked, *measure_cells(m, of_group)] for m in known]
    return table([name.replace("_", " "), "measure", "asked", "mean", "worst", *seeds], lines)


def origin(content: Row, command: str, seeds: list[int]) -> str:
    """Where the numbers come from."""
    environment = content.get("environment", {})
    packages = environment.get("packages", {})
    dirty = ", with uncommitted changes" if environment.get("uncommitted_changes") else ""
    jobs = f", {content['jobs']} fits side by side" if "jobs" in content else ""
    lines = [
        f"- command: `{command}`",
        *([f"- seeds: {', '.join(map(str, dict.fromkeys(seeds)))}"] if seeds else []),
        f"- machine: {environment.get('machine', 'not recorded')}, "
        f"{environment.get('cores', '?')} cores{jobs}, one thread each",
        f"- commit: {environment.get('commit') or 'not recorded'}{dirty}",
        f"- versions: Python {environment.get('python', '?')}, "
        + ", ".join(f"{name} {number}" for name, number in packages.items()),
    ]
    if content.get("quick"):
        lines.append("- **a quick run: it shows that the script works, and measures nothing**")
    return "\n".join(lines)


# -- pages -------------------------------------------------------------------------------------


class Section(NamedTuple):
    """A heading of the page, the file below it and how that file came about."""

    title: str
    file: str
    command: str
    text: Callable[[Row], str]


def section(entry: Section, results_folder: Path) -> str:
    """One heading and what its file says."""
    path = results_folder / f"{entry.file}.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if not content or [] in (content.get("rows"), content.get("curve")):
        text = f"Not measured yet: `python {entry.command}`."
    else:
        stored = content.get("rows")
        rows = stored if isinstance(stored, list) else [content]
        seeds = [row["seed"] for row in rows if "seed" in row]
        text = f"{origin(content, f'python {entry.command}', seeds)}\n\n{entry.text(content)}"
    return f"\n## {entry.title}\n\n{text}\n"


class Page(NamedTuple):
    """A file of docs/: its first lines and its sections."""

    file: str
    head: str
    sections: list[Section]

    def text(self, results_folder: Path) -> str:
        """The whole page; a file that is not there yet gives a line that says so."""
        return self.head + "".join(section(entry, results_folder) for entry in self.sections)
