"""The tables of the home page and of the README: this library compared with alternatives.

`results_page.py` puts them between `<!-- NAME -->` and `<!-- end of NAME -->` of these pages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import categories
import numpy as np
from _shared import ROOT, Row, table


class Block(NamedTuple):
    """A part of a page that is written from the files of results."""

    file: Path
    name: str
    text: Callable[[Path], str]

    def page(self, folder: Path) -> str:
        """The whole page, with the block as the files of a folder say."""
        whole = self.file.read_text(encoding="utf-8")
        start, end = f"<!-- {self.name} -->\n", f"<!-- end of {self.name} -->"
        before, _, rest = whole.partition(start)
        _, found, after = rest.partition(end)
        if not found:
            raise SystemExit(f"{self.file} has no block {start.strip()} ... {end}.")
        return f"{before}{start}{self.text(folder)}\n{end}{after}"


def choices(folder: Path) -> str:
    """Which method to use for which data, in six rows, for the home page."""
    mnist, digits, wine = peers(folder), few_labels(folder), tables(folder)
    rows = [
        [
            "images of one kind of thing in many poses, number of kinds known",
            "**this library**",
            f"MNIST: {mnist('ours, clusters alone')}, {mnist('UMAP + Gaussian mixture')} by UMAP "
            f"and a mixture, {mnist('k-means')} by k-means; with style codes and new images, too, "
            f"{mnist('ours')}",
        ],
        [
            "some labels, many rows",
            "**this library's classifier**",
            f"digits, two labels a class: {digits('classifier')}, "
            f"{digits('label_spreading')} by label spreading, "
            f"{digits('logistic_pixels')} by logistic regression",
        ],
        [
            "a small table with round or elliptic clusters",
            "k-means, Gaussian mixture",
            f"wine: {wine('wine', 'kmeans_accuracy')} by k-means, "
            f"{wine('wine', 'cluster_accuracy')} by ours; "
            f"iris {wine('iris', 'kmeans_accuracy')} and {wine('iris', 'cluster_accuracy')}",
        ],
        [
            "groups of a table that gaps separate, of any shape and size",
            "Genie or Lumbermark for a partition; **this library** for codes and new rows, too",
            suite(folder),
        ],
        [
            "a table of numbers and categories",
            "**this library**",
            mixed(folder),
        ],
        [
            "synthetic rows of a table",
            "**this library**; a mixture per class, in a second",
            samples(folder),
        ],
    ]
    return table(["you have", "take", "measured: accuracy, mean over seeds (CPU time)"], rows)


def results(folder: Path) -> str:
    """One line per job, with one time, for the README."""
    mnist, digits = load(folder, "peers"), load(folder, "digits")
    rows = [
        [f"MNIST, {name}", *accuracies(of_method), seconds(of_method, "seconds")]
        for method, name in {
            "ours, clusters alone": "clusters alone (`max_iter=0`)",
            "ours": "a whole fit",
            "UMAP + Gaussian mixture": "UMAP, then a Gaussian mixture",
            "k-means": "k-means on pixels",
        }.items()
        for of_method in [[row for row in mnist if row["method"] == method]]
    ]
    rows.append(
        [
            "scikit-learn's digits, a whole fit",
            *accuracies(digits, "cluster_accuracy"),
            seconds(digits, "fit_seconds"),
        ]
    )
    return table(["job", "accuracy, mean", "worst seed", "seconds"], rows)


def load(folder: Path, name: str) -> list[Row]:
    """Rows of a file of results."""
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["rows"]


def percent(values: Iterable[float]) -> str:
    return f"{100 * float(np.mean(list(values))):.1f} %"


def accuracies(rows: list[Row], key: str = "accuracy") -> list[str]:
    """Mean and worst."""
    values = [row[key] for row in rows]
    return [percent(values), percent([min(values)])]


def seconds(rows: list[Row], key: str) -> str:
    return f"{np.mean([row[key] for row in rows]):.0f}"


def peers(folder: Path) -> Callable[[str], str]:
    """Accuracy and time of a method on MNIST."""
    rows = load(folder, "peers")

    def of_method(method: str) -> str:
        own = [row for row in rows if row["method"] == method]
        return f"{percent(row['accuracy'] for row in own)} ({seconds(own, 'seconds')} s)"

    return of_method


def few_labels(folder: Path) -> Callable[[str], str]:
    """Accuracy of a method that uses twenty labels of digits."""
    rows = load(folder, "few_labels_digits")
    return lambda way: percent(row[f"{way}_20"] for row in rows)


def tables(folder: Path) -> Callable[[str, str], str]:
    """A measure of a table."""
    rows = load(folder, "tabular")
    return lambda name, key: percent(row[key] for row in rows if row["table"] == name)


def suite(folder: Path) -> str:
    """Adjusted Rand index on the public suite."""
    line = categories.means(load(folder, "categories"))[0]
    methods = {"ours": "ours", "lumbermark": "Lumbermark", "genie": "Genie"}
    methods |= {"mixture": "a mixture", "kmeans": "k-means", "hdbscan": "HDBSCAN"}
    shown = ", ".join(f"{name} {line[key]:.2f}" for key, name in methods.items())
    return (
        f"adjusted Rand index on {line['sets']} sets of a public suite: {shown}; our rules were "
        "tuned on these sets with their labels"
    )


def mixed(folder: Path) -> str:
    """Adjusted Rand index of clusters, and accuracy with ten labels, on made-up tables."""
    rows = load(folder, "mixed_tables")
    methods = {"ours": "ours", "k-means": "kmeans", "a mixture": "mixture"}
    index = ", ".join(
        f"{name} {np.mean([row[key] for row in rows]):.2f}" for name, key in methods.items()
    )
    methods = {"ours": "few_labels", "a net": "few_labels_net"}
    methods |= {"logistic regression": "few_labels_linear"}
    shares = ", ".join(f"{name} {percent(r[key] for r in rows)}" for name, key in methods.items())
    n_tables = len({row["table"] for row in rows})
    return (
        f"adjusted Rand index on {n_tables} kinds of made-up tables: {index}; accuracy with ten "
        f"labels a class: {shares}"
    )


def samples(folder: Path) -> str:
    """What a forest learns from samples, and whether one tells them from real rows."""
    rows = load(folder, "samples")
    ways = {"ours": "ours", "a mixture": "mixture"}
    trained = ", ".join(
        f"of {name} {percent(row[f'trained_on_{way}'] for row in rows)}"
        for name, way in ways.items()
    )
    real = percent(row["trained_on_real"] for row in rows)
    told = " and ".join(
        f"{np.mean([row[f'told_from_{way}'] for row in rows]):.2f}" for way in ways.values()
    )
    n_tables = len({row["table"] for row in rows})
    return (
        f"a forest trained on rows {trained}, of real ones {real}; a forest tells them from real "
        f"rows with {told}, 0.5 is best ({n_tables} tables)"
    )


BLOCKS = [
    Block(ROOT / "docs" / "index.md", "choices", choices),
    Block(ROOT / "README.md", "results", results),
]
