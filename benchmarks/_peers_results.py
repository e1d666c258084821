"""The results page of other ways to cluster MNIST."""

from __future__ import annotations

import numpy as np
from _report import Row
from _tables import Page, Section, percent, table, whole

HEAD = """\
# Beside other ways to cluster MNIST

Written by `python benchmarks/results_page.py` from the files in `benchmarks/results/`: do not edit.

The same 60 000 training images for all, one thread each. Seconds are of CPU time. Accuracy is
one-to-one; on the test images it is that of `predict`, where a method has it. "Our time":
both phases of a deep method get at least the seconds of a whole fit of ours, shared as its defaults
share epochs. How many epochs that is follows from short runs before, so that it may be more.

![Accuracy against CPU seconds, a point per seed](images/peers.png)
"""


def methods(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows of each method, the cheapest first."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["method"], []).append(row)
    return dict(sorted(groups.items(), key=lambda item: _mean(item[1], "seconds")))


def peers_section(content: Row) -> str:
    lines = (
        [
            method,
            percent(_mean(rows, "accuracy")),
            ", ".join(percent(row["accuracy"]) for row in rows),
            "no `predict`"
            if rows[0]["test_accuracy"] is None
            else percent(_mean(rows, "test_accuracy")),
            whole(_mean(rows, "seconds")),
            whole(_mean(rows, "peak_megabytes")),
            _epochs(rows[0]),
        ]
        for method, rows in methods(content["rows"]).items()
    )
    header = ["method", "accuracy", "every seed", "test accuracy", "seconds", "peak MB", "epochs"]
    return table(header, lines)


def _mean(rows: list[Row], key: str) -> float:
    return float(np.mean([row[key] for row in rows]))


def _epochs(row: Row) -> str:
    """Epochs of both phases of a deep method."""
    return " + ".join(map(str, row["epochs"].values())) if row["epochs"] else ""


PEERS = Page(
    "results_peers.md", HEAD, [Section("Methods", "peers", "benchmarks/peers.py", peers_section)]
)
