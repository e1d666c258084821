"""MNIST with classes of unequal size: a learned cluster prior compared with a uniform one.

    python benchmarks/mnist_prior.py    # seeds 100 to 102 -> results/mnist_prior.json

An interrupted run resumes where it stopped. Every fit uses one thread.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from _shared import (
    CODES,
    FEW_SEEDS,
    Measure,
    Row,
    groups_table,
    mnist,
    mnist_model,
    numbers_only,
    parser,
    print_table,
    reported,
    run,
    table,
    timed,
    whole,
)
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import confusion_matrix
from sklearn.utils import Bunch

from sklearn_binfogan.metrics import cluster_accuracy

N_TRAIN = 60_000
PRIORS = ["learned", "uniform"]
CLASS_SIZES = np.linspace(6000, 600, 10).astype(int)


def thinned(data: Bunch, seed: int) -> tuple[np.ndarray, list[int]]:
    """Training rows of which class sizes fall evenly, and those sizes; the seed ranks the classes.

    A class that has fewer images than its rank requires contributes all of them.
    """
    rng = np.random.default_rng(seed)
    wanted_sizes = CLASS_SIZES * len(data.y_train) // N_TRAIN  # a quick run has fewer
    chosen = []
    for wanted, digit in zip(wanted_sizes, rng.permutation(10), strict=True):
        rows = np.flatnonzero(data.y_train == digit)
        chosen.append(rng.choice(rows, min(wanted, len(rows)), replace=False))
    return np.sort(np.concatenate(chosen)), [len(rows) for rows in chosen]


def balanced_accuracy(y: np.ndarray, labels: np.ndarray) -> float:
    """Mean recall of the classes under the one-to-one assignment that makes it largest."""
    recall = confusion_matrix(y, labels, labels=np.arange(CODES["n_clusters"]), normalize="true")
    return float(recall[linear_sum_assignment(recall, maximize=True)].mean())


def measure(cluster_prior: str, seed: int, quick: bool) -> Row:
    """One fit on classes of unequal size; the test set keeps its own."""
    data = mnist(quick)
    rows, sizes = thinned(data, seed)
    # The game does not change the clusters of the first phase, so it may be short.
    gan = mnist_model(seed, quick, cluster_prior=cluster_prior, max_iter=100)
    seconds = timed(gan.fit, data.X_train[rows])
    labels = gan.predict(data.X_test)
    prior = getattr(gan, "cluster_prior_", None)
    return {
        "balanced_accuracy": balanced_accuracy(data.y_test, labels),
        "test_accuracy": cluster_accuracy(data.y_test, labels),
        "seconds": seconds,
        "class_shares": (np.array(sizes) / sum(sizes)).tolist(),
        "cluster_prior_": None if prior is None else np.asarray(prior).tolist(),
    }


@reported(
    "Classes of unequal size",
    "mnist_prior",
    "benchmarks/mnist_prior.py",
    "MNIST with digits removed, so that the largest class is ten times the smallest: "
    '`cluster_prior="learned"` compared with the default.',
)
def section(content: Row) -> str:
    rows = content["rows"]
    priors = list(dict.fromkeys(row["cluster_prior"] for row in rows))
    parts = [
        groups_table(
            "cluster_prior",
            [row for row in rows if row["cluster_prior"] == prior],
            [
                Measure("balanced_accuracy", "balanced one-to-one accuracy"),
                Measure("test_accuracy", "one-to-one test accuracy"),
                Measure("seconds", "seconds", "", whole, max),
            ],
        )
        for prior in priors
    ]
    sizes = table(
        ["seed", "class shares in the training rows", "learned prior"],
        (
            [row["seed"], shares(row["class_shares"]), shares(row["cluster_prior_"])]
            for row in rows
            if row["cluster_prior"] == "learned" and row["cluster_prior_"]
        ),
    )
    return "\n\n".join([*parts, "What was learned, in percent, largest first:", sizes])


def shares(values: list[float]) -> str:
    return " ".join(f"{100 * value:.1f}" for value in sorted(values, reverse=True))


def main() -> None:
    options = parser(__doc__.splitlines()[0]).parse_args()
    seeds = options.seeds or FEW_SEEDS
    cases = [{"cluster_prior": prior, "seed": seed} for prior in PRIORS for seed in seeds]
    rows = run("mnist_prior", partial(measure, quick=options.quick), cases, options)
    print_table(numbers_only(rows))


if __name__ == "__main__":
    main()
