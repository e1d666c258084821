"""Compare the import time of the package with that of torch and scikit-learn, which it needs.

    python checks/imports.py   # -> benchmarks/results/imports.json

Each import runs in a fresh interpreter, in turn; the first of each, which fills the disk's cache,
does not count. The medians of CPU seconds are reported: wall time depends on the machine's load.
"""

import argparse
import resource
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from _shared import Row, decimals, environment, output_path, reported, table, write

NEEDED, PACKAGE = "import torch, sklearn", "import sklearn_binfogan"


def seconds(statement):
    """Return the CPU seconds, user and system, of an interpreter that runs one statement."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", statement], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def measure(n_runs):
    """Return the seconds of each run by statement."""
    runs = {statement: [] for statement in (NEEDED, PACKAGE)}
    for i in range(n_runs + 1):
        for statement, taken in runs.items():
            spent = seconds(statement)
            if i > 0:
                taken.append(spent)
    return runs


@reported(
    "Import",
    "imports",
    "checks/imports.py",
    "What importing the package adds to importing PyTorch and scikit-learn.",
)
def section(content: Row) -> str:
    seconds = [[f"`{name}`", decimals(taken)] for name, taken in content["median_seconds"].items()]
    ratio = ["ratio", decimals(content["ratio"])]
    return table(["import", "CPU seconds, median"], [*seconds, ratio])


def main():
    """Print the medians and their ratio, and write them with every run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="one run, to try the script")
    parser.add_argument("--output", type=Path, help="the JSON file; by default in results/")
    options = parser.parse_args()
    runs = measure(1 if options.quick else options.runs)
    medians = {statement: statistics.median(taken) for statement, taken in runs.items()}
    ratio = medians[PACKAGE] / medians[NEEDED]
    for statement, median in medians.items():
        print(f"{statement}: {median:.2f} s")
    print(f"ratio: {ratio:.2f}")
    content = {"environment": environment(), "median_seconds": medians, "ratio": ratio}
    write(output_path(options, "imports"), {**content, "seconds": runs})


if __name__ == "__main__":
    main()
