"""Measure the import of the package beside that of what it needs, torch and scikit-learn.

Each import runs in a fresh interpreter, in turn; the first of each, which fills the disk's cache,
does not count. The medians of CPU seconds are reported: wall time tells of the machine's load.
"""

import argparse
import resource
import statistics
import subprocess
import sys

STATEMENTS = {"needed": "import torch, sklearn", "package": "import sklearn_binfogan"}


def seconds(statement):
    """Return the CPU seconds, user and system, of an interpreter that runs one statement."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", statement], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def measure(n_runs):
    """Return the seconds of each run by name."""
    runs = {name: [] for name in STATEMENTS}
    for i in range(n_runs + 1):
        for name, statement in STATEMENTS.items():
            taken = seconds(statement)
            if i > 0:
                runs[name].append(taken)
    return runs


def main():
    """Print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10)
    options = parser.parse_args()
    runs = measure(options.runs)
    medians = {name: statistics.median(taken) for name, taken in runs.items()}
    for name, statement in STATEMENTS.items():
        print(f"{statement}: {medians[name]:.2f} s")
    print(f"ratio: {medians['package'] / medians['needed']:.2f}")


if __name__ == "__main__":
    main()
