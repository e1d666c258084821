"""How often the promises hold when things go wrong: kills, damaged files, random inputs, memory.

    python checks/faults.py    # -> benchmarks/results/faults.json

The checks are those of the tests, run longer.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from _shared import ROOT, Row, decimals, environment, output_path, parser, reported, table, write

# Each measure imports its tests by itself: the results page needs none of them.
sys.path.insert(0, str(ROOT / "tests"))


def kills(folder: Path, n: int) -> Row:
    """Fits killed by SIGKILL at random moments, and those that resumed to equal files."""
    import test_checkpoints

    n_checkpoints, n_equal = test_checkpoints.killed_and_resumed(folder, n, seed=n)
    return {"kills": n, "with_a_checkpoint": n_checkpoints, "bit_equal": n_equal}


def mutations(folder: Path, n: int) -> Row:
    """Damaged and forged files, by kind: refused, loaded, and anything else that happened."""
    import test_fuzz

    test_fuzz.load(test_fuzz.GOLDEN)
    before = test_fuzz.peak_memory()
    by_kind, wrong = {}, []
    for kind in test_fuzz.KINDS:
        each = n // len(test_fuzz.KINDS)
        refused, faults = test_fuzz.tried(kind, folder / "mutated", range(each))
        by_kind[kind.__name__] = {"files": each, "refused": refused}
        wrong += [[kind.__name__, *fault] for fault in faults]
    peak = test_fuzz.peak_memory() - before
    files = sum(kind["files"] for kind in by_kind.values())
    return {"files": files, "faults": wrong, "peak_megabytes": peak / 2**20, "kinds": by_kind}


def examples(folder: Path, n: int) -> Row:
    """Hypothesis examples run, and whether one of them failed; other ones than the tests' 30."""
    import test_properties
    from hypothesis import given, settings

    run = 0

    @settings(test_properties.LONG, max_examples=n)
    @given(test_properties.cases())
    def contract(case):
        nonlocal run
        run += 1
        test_properties.check(case)

    failure = None
    try:
        contract()
    except Exception as error:
        failure = repr(error)
    return {"examples": run, "failure": failure}


def growth(folder: Path, n: int) -> Row:
    """Anonymous memory, open files and child processes that fits leave behind."""
    import test_concurrency

    memory, files, processes = test_concurrency.fit_many(n, folder)
    return {"fits": n, "megabytes": memory / 2**20, "files": files, "processes": processes}


# Measured first: memory that other measures have freed would hide the growth.
MEASURES = {"growth": growth, "mutations": mutations, "kills": kills, "examples": examples}
DEFAULTS = {"growth": 50, "kills": 10, "mutations": 100_000, "examples": 500}
QUICK = {"growth": 3, "kills": 1, "mutations": 50, "examples": 2}


@reported(
    "Faults",
    "faults",
    "checks/faults.py",
    "Long runs of the tests that break things on purpose.",
)
def section(content: Row) -> str:
    kills, growth, examples = content["kills"], content["growth"], content["examples"]
    mutations = content["mutations"]
    files = table(
        ["damaged or forged", "files", "refused"],
        ([k.replace("_", " "), v["files"], v["refused"]] for k, v in mutations["kinds"].items()),
    )
    lines = [
        ["files that led to anything but a refusal or a model", len(mutations["faults"])],
        ["fits killed at a random moment", kills["kills"]],
        ["of these, ended after all with the same bits", kills["bit_equal"]],
        ["random inputs and parameters", examples["examples"]],
        ["first failure among these", examples["failure"] or "none"],
        [f"megabytes that {growth['fits']} fits left behind", decimals(growth["megabytes"])],
        ["open files and processes left", growth["files"] + growth["processes"]],
    ]
    return f"{table(['what', 'measured'], lines)}\n\n{files}"


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    for name, n in DEFAULTS.items():
        options.add_argument(f"--{name}", type=int, help=f"default: {n}; 0 leaves it out")
    options = options.parse_args()
    counts = QUICK if options.quick else DEFAULTS
    # The fits of killed processes import the package by this path.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    results: Row = {"environment": environment()}
    for name, measure in MEASURES.items():
        given_count = getattr(options, name)
        n = counts[name] if given_count is None else given_count
        if n == 0:
            continue
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            results[name] = measure(Path(folder), n)
        results[name]["seconds"] = time.perf_counter() - start
        print(name, results[name], flush=True)
        write(output_path(options, "faults"), results)


if __name__ == "__main__":
    main()
