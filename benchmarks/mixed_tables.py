"""Tables of numbers and categories, made in code: clusters without labels, classes with few.

    python benchmarks/mixed_tables.py    # seeds 100 to 104 -> results/mixed_tables.json

Each kind of rows has its own means of the numbers and its own frequencies of the categories, which
are one-hot. "Noise alone" is our fit without swapped values. The classifiers get ten labels of each
kind and predict the other rows. An interrupted run resumes where it stopped. Every fit uses one
thread.
"""

from __future__ import annotations

import time
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
    percent,
    print_table,
    reported,
    run,
)
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer, GaussianNoise

N_ROWS, N_LABELS = 1500, 10
SEEDS = range(100, 105)
Rows = tuple[np.ndarray, np.ndarray]


def numbers(rng: np.random.Generator, y: np.ndarray, width: int, distance: float) -> np.ndarray:
    """Columns with a deviation of 1 around means of each kind."""
    means = distance * rng.normal(size=(y.max() + 1, width))
    return rng.normal(size=(len(y), width)) + means[y]


def category(rng: np.random.Generator, y: np.ndarray, n: int, concentration: float) -> np.ndarray:
    """One-hot columns, with frequencies of each kind: the smaller `concentration`, the purer."""
    of_kinds = rng.dirichlet(np.full(n, concentration), y.max() + 1)
    return np.eye(n)[np.array([rng.choice(n, p=of_kinds[kind]) for kind in y])]


def kinds(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.integers(0, n, N_ROWS)


def one_category(rng: np.random.Generator) -> Rows:
    y = kinds(rng, 3)
    return np.c_[numbers(rng, y, 3, 2.0), category(rng, y, 6, 0.6)], y


def two_categories(rng: np.random.Generator) -> Rows:
    y = kinds(rng, 4)
    parts = numbers(rng, y, 4, 2.0), category(rng, y, 3, 0.6), category(rng, y, 8, 0.6)
    return np.column_stack(parts), y


def categories_decide(rng: np.random.Generator) -> Rows:
    y = kinds(rng, 4)
    found = [category(rng, y, n, 0.2) for n in (5, 5, 4)]
    return np.column_stack([numbers(rng, y, 3, 0.0), *found]), y


def category_misleads(rng: np.random.Generator) -> Rows:
    y = kinds(rng, 4)
    return np.c_[numbers(rng, y, 4, 2.5), np.eye(5)[kinds(rng, 5)]], y


def binary_columns_mislead(rng: np.random.Generator) -> Rows:
    y = kinds(rng, 3)
    return np.c_[numbers(rng, y, 4, 2.5), rng.integers(0, 2, (N_ROWS, 2))], y


def amounts_mislead(rng: np.random.Generator) -> Rows:
    y = kinds(rng, 3)
    amounts = (rng.random((N_ROWS, 2)) < 0.4) * (9 + rng.normal(size=(N_ROWS, 2)))
    return np.c_[numbers(rng, y, 4, 2.5), amounts], y


def all_binary(rng: np.random.Generator) -> Rows:
    y = kinds(rng, 5)
    shares = rng.uniform(0.1, 0.9, (5, 50))
    return (rng.random((N_ROWS, 50)) < shares[y]).astype(float), y


TABLES: dict[str, Callable[[np.random.Generator], Rows]] = {
    "numbers and a category": one_category,
    "numbers and two categories": two_categories,
    "categories alone tell": categories_decide,
    "numbers alone tell, beside a category": category_misleads,
    "numbers alone tell, beside binary columns": binary_columns_mislead,
    "numbers alone tell, beside amounts, often 0": amounts_mislead,
    "50 binary columns": all_binary,
}


def measure(table: str, seed: int, quick: bool) -> Row:
    """Agreement of clusters, and accuracy with few labels, on one table of one seed."""
    X, y = TABLES[table](np.random.default_rng(seed))
    Z = StandardScaler().fit_transform(X)
    n = int(y.max()) + 1
    budget = {**(QUICK if quick else {}), "max_iter": 0, "random_state": seed}
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # signs of collapse
        labels = BInfoGANTransformer(n, **budget).fit_predict(X)
        seconds = time.process_time() - start
        noise = GaussianNoise.from_neighbours(Z)
        of_noise = BInfoGANTransformer(n, augmentation=noise, **budget).fit_predict(X)
        found = {
            "ours": labels,
            "noise": of_noise,
            "kmeans": KMeans(n, n_init=10, random_state=seed).fit_predict(Z),
            "mixture": GaussianMixture(n, n_init=5, random_state=seed).fit_predict(Z),
        }
        few = np.concatenate([np.flatnonzero(y == kind)[:N_LABELS] for kind in range(n)])
        rest = np.setdiff1d(np.arange(len(y)), few)
        known = np.full(len(y), -1)
        known[few] = y[few]
        classifier = BInfoGANClassifier(**budget).fit(X, known)
        net = MLPClassifier(random_state=seed, max_iter=1000).fit(Z[few], y[few])
        linear = LogisticRegression(max_iter=1000).fit(Z[few], y[few])
    return {
        **{name: float(adjusted_rand_score(y, each)) for name, each in found.items()},
        "seconds": seconds,
        "few_labels": float(classifier.score(X[rest], y[rest])),
        "few_labels_net": float(net.score(Z[rest], y[rest])),
        "few_labels_linear": float(linear.score(Z[rest], y[rest])),
    }


MEASURES = [
    Measure("ours", "adjusted Rand index of the clusters", "", decimals),
    Measure("noise", "the same, noise alone", "", decimals),
    Measure("kmeans", "the same of k-means", "", decimals),
    Measure("mixture", "the same of a Gaussian mixture", "", decimals),
    Measure("few_labels", "accuracy with ten labels of each kind", "", percent),
    Measure("few_labels_net", "the same of a neural network", "", percent),
    Measure("few_labels_linear", "the same of logistic regression", "", percent),
    Measure("seconds", "CPU seconds of the clusters", "", decimals, max),
]


@reported(
    "Tables of numbers and categories",
    "mixed_tables",
    "benchmarks/mixed_tables.py",
    "1 500 made-up rows of three to five kinds; a category is one-hot. The other methods get "
    "standardised columns. The share of rows in which a column's values are swapped was chosen on "
    "such tables of other seeds.",
)
def section(content: Row) -> str:
    return groups_table("table", content["rows"], MEASURES)


def main() -> None:
    options = parser(__doc__.splitlines()[0]).parse_args()
    seeds = options.seeds or SEEDS
    cases = [{"table": table, "seed": seed} for table in TABLES for seed in seeds]
    rows = run("mixed_tables", partial(measure, quick=options.quick), cases, options)
    print_table(rows)


if __name__ == "__main__":
    main()
