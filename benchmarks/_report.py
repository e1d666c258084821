"""What the benchmarks share: one process per seed, JSON that can be resumed, a printed table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ["torch", "scikit-learn", "skorch", "numpy", "scipy", "joblib"]
PACKAGES += ["torchvision", "umap-learn", "clustpy"]  # for peers alone; named where installed
SEEDS = range(100, 110)
QUICK = {"warmup_iter": 20, "max_iter": 20}

Row = dict[str, Any]


def parser(description: str) -> argparse.ArgumentParser:
    """Options that every benchmark has."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--seeds", type=int, nargs="+", help="default: 100 to 109")
    options.add_argument("--jobs", type=int, default=2, help="processes, of one thread each")
    options.add_argument("--quick", action="store_true", help="tiny budgets, to try the script")
    options.add_argument("--output", type=Path, help="the JSON file; by default in results/")
    return options


def output_path(options: argparse.Namespace, name: str) -> Path:
    """Where a run writes; a quick one never into the results."""
    if options.output:
        return options.output
    folder = Path(tempfile.gettempdir()) if options.quick else RESULTS
    return folder / (f"binfogan-quick-{name}.json" if options.quick else f"{name}.json")


@cache
def environment() -> Row:
    """Versions, commit and machine of a run, as they were when it began."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", "sklearn_binfogan")),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}",
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "threads_per_process": 1,
    }


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def run(
    name: str, measure: Callable[..., Row], cases: list[Row], options: argparse.Namespace
) -> list[Row]:
    """Measure every case that the result file does not hold yet; write after each.

    A file of another commit, machine or other settings is not gone on with.
    """
    path = output_path(options, name)
    head = {"environment": environment(), "quick": options.quick, "jobs": options.jobs}
    rows = _resumable(path, head)
    todo = [case for case in cases if not any(case.items() <= row.items() for row in rows)]
    tasks = (delayed(_one_thread)(measure, case) for case in todo)
    for row in Parallel(n_jobs=options.jobs, return_as="generator_unordered")(tasks):
        rows.append(row)
        rows.sort(key=lambda row: _place(row, cases))
        write(path, {**head, "rows": rows})
        print("  " + ", ".join(f"{k} {_shown(v)}" for k, v in row.items()), flush=True)
    return [row for row in rows if _place(row, cases) < len(cases)]


def _place(row: Row, cases: list[Row]) -> int:
    """Index of a row's case; after all of them for a case that was not asked for."""
    return next((i for i, case in enumerate(cases) if case.items() <= row.items()), len(cases))


def _one_thread(measure: Callable[..., Row], case: Row) -> Row:
    with threadpool_limits(1):
        return {**case, **measure(**case)}


def _resumable(path: Path, head: Row) -> list[Row]:
    if not path.exists():
        return []
    stored = json.loads(path.read_text())
    if {key: stored.get(key) for key in head} != json.loads(json.dumps(head)):
        raise SystemExit(
            f"{path} is of another commit, machine or settings: move it away, or give --output."
        )
    return stored["rows"]


def write(path: Path, content: Row) -> None:
    """Write JSON in one go: a run that is cut off leaves the last whole file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.replace(path)


def _shown(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def print_table(rows: list[Row]) -> None:
    """Print rows under their keys, aligned."""
    names = list(rows[0])
    cells = [names, *([_shown(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def summary(rows: list[Row], by: str) -> list[Row]:
    """Mean, smallest and largest of every measure over rows."""
    functions = {"mean": np.mean, "min": np.min, "max": np.max}
    names = [name for name in rows[0] if isinstance(rows[0][name], float)]
    return [
        {by: label, **{name: float(f([row[name] for row in rows])) for name in names}}
        for label, f in functions.items()
    ]
