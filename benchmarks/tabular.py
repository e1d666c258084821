"""Small tables: cluster accuracy of BInfoGANTransformer and of k-means on the same rows.

    python benchmarks/tabular.py    # seeds 100 to 109 -> results/tabular.json

An interrupted run resumes where it stopped. Every fit uses one thread.
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np
from _shared import (
    QUICK,
    SEEDS,
    Measure,
    Row,
    decimals,
    groups_table,
    parser,
    print_table,
    reported,
    run,
)
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer, load_iris, load_wine, make_blobs
from sklearn.preprocessing import StandardScaler

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.metrics import cluster_accuracy


def blobs(return_X_y: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """300 rows around four centres."""
    return make_blobs(300, centers=4, random_state=0)


TABLES = {
    "blobs": blobs,
    "iris": load_iris,
    "wine": load_wine,
    "breast_cancer": load_breast_cancer,
}


def measure(table: str, seed: int, quick: bool) -> Row:
    """Both accuracies on one standardised table with one seed."""
    X, y = TABLES[table](return_X_y=True)
    X = StandardScaler().fit_transform(X)
    n_clusters = len(np.unique(y))
    gan = BInfoGANTransformer(n_clusters=n_clusters, random_state=seed, **(QUICK if quick else {}))
    start = time.perf_counter()
    labels = gan.fit_predict(X)
    seconds = time.perf_counter() - start
    kmeans = KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(X)
    ours, theirs = cluster_accuracy(y, labels), cluster_accuracy(y, kmeans)
    return {
        "cluster_accuracy": ours,
        "kmeans_accuracy": theirs,
        "difference": ours - theirs,
        "fit_seconds": seconds,
        "score": float(gan.score(X)),
    }


def means(rows: list[Row]) -> list[Row]:
    """Mean of every measure per table."""
    averaged = []
    for table in dict.fromkeys(row["table"] for row in rows):
        of_table = [row for row in rows if row["table"] == table]
        names = [name for name in of_table[0] if isinstance(of_table[0][name], float)]
        mean = {name: float(np.mean([row[name] for row in of_table])) for name in names}
        worst = min(row["difference"] for row in of_table)
        averaged.append({"table": table, **mean, "worst_difference": worst})
    return averaged


TABULAR = [
    Measure("cluster_accuracy", "cluster accuracy"),
    Measure("kmeans_accuracy", "the same of k-means with n_init=10"),
    Measure("score", "score", "", decimals),
    Measure("fit_seconds", "seconds for one fit", "", decimals, max),
]


@reported(
    "Tables",
    "tabular",
    "benchmarks/tabular.py",
    "Four standardised tables of scikit-learn, compared with k-means. On such round clusters "
    "k-means is as good, and far faster.",
)
def section(content: Row) -> str:
    return groups_table("table", content["rows"], TABULAR)


def main() -> None:
    options = parser(__doc__.splitlines()[0]).parse_args()
    seeds = options.seeds or SEEDS
    cases = [{"table": table, "seed": seed} for table in TABLES for seed in seeds]
    rows = run("tabular", partial(measure, quick=options.quick), cases, options)
    print_table(rows)
    print_table(means(rows))


if __name__ == "__main__":
    main()
