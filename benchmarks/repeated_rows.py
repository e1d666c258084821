"""Tables in which most rows have duplicates, made in code: rounded numbers, and copies.

    python benchmarks/repeated_rows.py    # seeds 100 to 104 -> results/repeated_rows.json

The other methods get standardised columns. An interrupted run resumes where it stopped. Every fit
uses one thread.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
from _shared import (
    QUICK,
    Measure,
    Row,
    decimals,
    groups_table,
    parser,
    print_table,
    reported,
    run,
    whole,
)
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

from sklearn_binfogan import BInfoGANTransformer

SEEDS = range(100, 105)
N_ROWS = 1200  # of tables of copies
Rows = tuple[np.ndarray, np.ndarray]


def rounded(means: list[list[float]], deviation: float, n_rows: int) -> Callable[..., Rows]:
    """Whole numbers around the means of three kinds."""

    def table(rng: np.random.Generator) -> Rows:
        y = rng.integers(0, len(means), n_rows)
        X = np.array(means)[y]
        return (X + deviation * rng.normal(size=X.shape)).round(), y

    return table


def four_items(rng: np.random.Generator) -> Rows:
    """Answers from 1 to 5 of four kinds of people."""
    y = rng.integers(0, 4, 1500)
    answers = rng.uniform(1, 5, (4, 4))[y] + 0.8 * rng.normal(size=(1500, 4))
    return answers.round().clip(1, 5), y


def blobs(rng: np.random.Generator, n_rows: int) -> Rows:
    y = rng.integers(0, 4, n_rows)
    return 2 * rng.normal(size=(4, 5))[y] + rng.normal(size=(n_rows, 5)), y


def copied(times: int) -> Callable[..., Rows]:
    """Each row several times."""

    def table(rng: np.random.Generator) -> Rows:
        X, y = blobs(rng, N_ROWS // times)
        return np.tile(X, (times, 1)), np.tile(y, times)

    return table


def drawn_again(rng: np.random.Generator) -> Rows:
    """Draw rows from an eighth as many, with replacement."""
    X, y = blobs(rng, N_ROWS // 8)
    drawn = rng.integers(0, len(X), N_ROWS)
    return X[drawn], y[drawn]


TABLES: dict[str, Callable[[np.random.Generator], Rows]] = {
    "a column of ages": rounded([[20], [45], [75]], 5.0, 2000),
    "two columns on a coarse grid": rounded([[3, 9], [9, 3], [10, 10]], 1.5, 3000),
    "four answers from 1 to 5": four_items,
    "each row 3 times": copied(3),
    "each row 5 times": copied(5),
    "each row 20 times": copied(20),
    "drawn with replacement": drawn_again,
}


def measure(table: str, seed: int, quick: bool) -> Row:
    """Agreement of clusters with the kinds of one table of one seed."""
    X, y = TABLES[table](np.random.default_rng(seed))
    Z = StandardScaler().fit_transform(X)
    n = int(y.max()) + 1
    budget = {**(QUICK if quick else {}), "max_iter": 0, "random_state": seed}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # signs of collapse
        found = {
            "ours": BInfoGANTransformer(n, **budget).fit_predict(X),
            "kmeans": KMeans(n, n_init=10, random_state=seed).fit_predict(Z),
            "mixture": GaussianMixture(n, n_init=5, random_state=seed).fit_predict(Z),
        }
    agreements = {name: float(adjusted_rand_score(y, each)) for name, each in found.items()}
    return {**agreements, "distinct": len(np.unique(X, axis=0))}


MEASURES = [
    Measure("ours", "adjusted Rand index of the clusters", "", decimals),
    Measure("kmeans", "the same of k-means", "", decimals),
    Measure("mixture", "the same of a Gaussian mixture", "", decimals),
    Measure("distinct", "distinct rows", "", whole),
]


@reported(
    "Tables with many duplicates",
    "repeated_rows",
    "benchmarks/repeated_rows.py",
    "1 200 to 3 000 made-up rows of three or four kinds.",
)
def section(content: Row) -> str:
    return groups_table("table", content["rows"], MEASURES)


def main() -> None:
    options = parser(__doc__.splitlines()[0]).parse_args()
    seeds = options.seeds or SEEDS
    cases = [{"table": table, "seed": seed} for table in TABLES for seed in seeds]
    rows = run("repeated_rows", partial(measure, quick=options.quick), cases, options)
    print_table(rows)


if __name__ == "__main__":
    main()
