"""A few labels: accuracy of BInfoGANClassifier on digits, with other methods, and on MNIST.

    python benchmarks/few_labels.py            # digits, ten draws -> results/few_labels_digits.json
    python benchmarks/few_labels.py --mnist    # three draws -> results/few_labels_mnist.json
    python benchmarks/few_labels.py --mnist --validate    # judged on training images held out

An interrupted run resumes where it stopped. Every fit uses one thread. A draw takes equally
many rows of each class; its seed is that of its fits. To tune anything, use --validate,
which fits the first 50 000 training images of MNIST and judges on the other 10 000.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
from _shared import (
    FEW_SEEDS,
    MNIST_SHAPE,
    QUICK,
    SEEDS,
    Measure,
    Row,
    decimals,
    drawn_rows,
    groups_table,
    logistic,
    measures_table,
    one_fit_a_seed,
    parameters_of_a_run,
    parser,
    print_table,
    reported,
    run,
    summary,
    timed,
    whole,
)
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics.cluster import contingency_matrix
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer
from sklearn_binfogan.datasets import load_mnist

N_CLASSES = 10
DIGITS_LABELS = (10, 20, 50, 100)
N_COMPONENTS = 12  # as many as there are codes
N_VALIDATED = 50_000
QUICK_ROWS = {"train": 2000, "test": 500}
# The game does not change the categories of the first phase, so accuracy needs no game.
FIRST_PHASE = {"max_iter": 0}


# -- labels ------------------------------------------------------------------------------------


def few_labels(y: np.ndarray, n_labels: int, seed: int, classes: Iterable[int] = range(10)) -> Any:
    """Draw `n_labels` labels, equally many of each class; -1 elsewhere."""
    rows = drawn_rows(y, n_labels, np.random.default_rng(seed), classes)
    drawn = np.full(len(y), -1)
    drawn[rows] = y[rows]
    return drawn


def with_wrong_ones(y: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Turn a share of the labels, drawn at random, into another class each."""
    rng, wrong = np.random.default_rng(seed), y.copy()
    labelled = np.flatnonzero(y >= 0)
    rows = rng.choice(labelled, round(share * len(labelled)), replace=False)
    wrong[rows] = (y[rows] + rng.integers(1, N_CLASSES, size=len(rows))) % N_CLASSES
    return wrong


def new_classifier(seed: int, quick: bool, image_shape: tuple[int, int], **parameters: Any) -> Any:
    """The model that every study uses; a quick run overrides its numbers of steps."""
    return BInfoGANClassifier(
        image_shape=image_shape, random_state=seed, **parameters_of_a_run(quick, parameters)
    )


def warm_up() -> None:
    """Fit once and forget it: the first fit of a process also pays for what is loaded late."""
    X, y = load_digits(return_X_y=True)
    BInfoGANClassifier(image_shape=(8, 8), **QUICK).fit(X, y)


# -- digits, beside rivals ---------------------------------------------------------------------


def rival_predictions(X: np.ndarray, y: np.ndarray, codes: np.ndarray) -> dict[str, np.ndarray]:
    """Predictions of other methods for all rows X from the labels y, -1 where there is none.

    `codes` are those of the unsupervised transformer.
    """
    labelled = y >= 0
    features = {"pixels": X, "pca": PCA(N_COMPONENTS, random_state=0).fit_transform(X)}
    features["codes"] = codes
    predictions = {
        f"logistic_{name}": logistic().fit(columns[labelled], y[labelled]).predict(columns)
        for name, columns in features.items()
    }
    # Pixels are scaled to [0, 1] for distances.
    spreading = LabelSpreading(kernel="knn", max_iter=1000).fit(X / X.max(), y)
    training = SelfTrainingClassifier(logistic()).fit(X, y)
    return {
        **predictions,
        "label_spreading": spreading.transduction_,
        "self_training": training.predict(X),
    }


def measure_digits(seed: int, quick: bool) -> Row:
    """Accuracy on the rows without a label, for every number of labels and every way."""
    warm_up()
    X, y = load_digits(return_X_y=True)
    gan = BInfoGANTransformer(image_shape=(8, 8), random_state=seed, **(QUICK if quick else {}))
    row = {"unsupervised_seconds": timed(gan.fit, X)}
    codes = gan.transform(X)
    for n_labels in DIGITS_LABELS:
        drawn = few_labels(y, n_labels, seed)
        classifier = new_classifier(seed, quick, (8, 8))
        seconds = timed(classifier.fit, X, drawn)
        found = {"classifier": classifier.predict(X), **rival_predictions(X, drawn, codes)}
        judged = drawn < 0
        row |= {
            f"{name}_{n_labels}": float((labels[judged] == y[judged]).mean())
            for name, labels in found.items()
        }
        row[f"time_ratio_{n_labels}"] = seconds / row["unsupervised_seconds"]
    return row


# -- MNIST -------------------------------------------------------------------------------------


def load(quick: bool, validate: bool) -> dict[str, np.ndarray]:
    """Rows to fit and rows to judge by."""
    data = load_mnist()
    train, test = (data.X_train, data.y_train), (data.X_test, data.y_test)
    if validate:
        test = tuple(part[N_VALIDATED:] for part in train)
        train = tuple(part[:N_VALIDATED] for part in train)
    if quick:
        train = tuple(part[: QUICK_ROWS["train"]] for part in train)
        test = tuple(part[: QUICK_ROWS["test"]] for part in test)
    return {"X": train[0], "y": train[1], "X_test": test[0], "y_test": test[1]}


def accuracy_with(
    data: dict[str, np.ndarray], seed: int, quick: bool, n_labels: int, wrong: float = 0.0
) -> Row:
    """Test accuracy with some labels, of which a share may be wrong."""
    drawn = with_wrong_ones(few_labels(data["y"], n_labels, seed), wrong, seed)
    classifier = new_classifier(seed, quick, MNIST_SHAPE, **FIRST_PHASE)
    seconds = timed(classifier.fit, data["X"], drawn)
    accuracy = classifier.score(data["X_test"], data["y_test"])
    return {"accuracy": float(accuracy), "seconds": seconds}


def new_classes(data: dict[str, np.ndarray], seed: int, quick: bool) -> Row:
    """Labels of 0 to 7, twelve categories: do 8 and 9 get categories of their own?

    `purity` is the share of the test images in free categories that are of the most frequent digit
    of their category; `found`, the share of 8s and 9s that are in the free categories that they
    are most frequent in; `accuracy`, that on the digits that have labels.
    """
    known = range(8)
    drawn = few_labels(data["y"], 80, seed, known)
    classifier = new_classifier(seed, quick, MNIST_SHAPE, n_clusters=12, **FIRST_PHASE)
    seconds = timed(classifier.fit, data["X"], drawn)
    y = data["y_test"]
    categories = classifier.transform(data["X_test"])[:, :12].argmax(axis=1)
    free = categories >= len(known)
    if not free.any():
        return {"purity": 0.0, "found": 0.0, "accuracy": 0.0, "seconds": seconds}
    counts = contingency_matrix(y[free], categories[free])
    digits = np.unique(y[free])[counts.argmax(axis=0)]
    most = counts.max(axis=0)
    named = y < len(known)
    right = classifier.predict(data["X_test"])[named] == y[named]
    return {
        "purity": float(most.sum() / free.sum()),
        "found": float(most[digits >= len(known)].sum() / (~named).sum()),
        "accuracy": float(right.mean()),
        "seconds": seconds,
    }


def whole_fits(data: dict[str, np.ndarray], seed: int, quick: bool) -> Row:
    """Seconds of whole fits, with 20 labels and without, one after the other."""
    warm_up()
    budget = QUICK if quick else {}
    gan = BInfoGANTransformer(image_shape=MNIST_SHAPE, random_state=seed, **budget)
    unsupervised = timed(gan.fit, data["X"])
    classifier = new_classifier(seed, quick, MNIST_SHAPE)
    seconds = timed(classifier.fit, data["X"], few_labels(data["y"], 20, seed))
    return {
        "accuracy": float(classifier.score(data["X_test"], data["y_test"])),
        "seconds": seconds,
        "time_ratio": seconds / unsupervised,
    }


STUDIES: dict[str, Callable[..., Row]] = {
    "10 labels": partial(accuracy_with, n_labels=10),
    "20 labels": partial(accuracy_with, n_labels=20),
    "100 labels": partial(accuracy_with, n_labels=100),
    "100 labels, a tenth wrong": partial(accuracy_with, n_labels=100, wrong=0.1),
    "0 to 7, twelve categories": new_classes,
    "whole fits": whole_fits,
}


def measure_mnist(study: str, seed: int, quick: bool, validate: bool) -> Row:
    """One study and draw."""
    return STUDIES[study](load(quick, validate), seed, quick)


# -- the results page ----------------------------------------------------------------------------

WAYS = {
    "classifier": "BInfoGANClassifier",
    "label_spreading": "LabelSpreading",
    "self_training": "SelfTrainingClassifier",
    "logistic_codes": "logistic regression on codes",
    "logistic_pixels": "logistic regression on pixels",
    "logistic_pca": "logistic regression on principal components",
}
FEW_LABELS = [
    Measure(f"{key}_{n}", f"{n} labels, {name}")
    for n in (10, 20, 50, 100)
    for key, name in WAYS.items()
]
FEW_LABELS_MNIST = [
    Measure("accuracy", "test accuracy"),
    Measure("purity", "purity of the free categories"),
    Measure("found", "share of the unnamed digits found"),
    Measure("seconds", "seconds for one fit", "", whole, max),
    Measure("time_ratio", "times as long as without labels", "", decimals, max),
]


@reported(
    "Few labels: digits",
    "few_labels_digits",
    "benchmarks/few_labels.py",
    "Accuracy on the rows without a label; equally many labels per class, ten draws of labels.",
)
def digits_section(content: Row) -> str:
    return measures_table(FEW_LABELS, content["rows"])


@reported(
    "Few labels: MNIST",
    "few_labels_mnist",
    "benchmarks/few_labels.py --mnist",
    "`BInfoGANClassifier` on the 60 000 training images, without the game except the last study.",
)
def mnist_section(content: Row) -> str:
    return groups_table("study", content["rows"], FEW_LABELS_MNIST)


# -- from the command line ---------------------------------------------------------------------


def run_digits(options: argparse.Namespace) -> None:
    """Print accuracy by number of labels, each way a column, and the times."""
    one_fit_a_seed("few_labels_digits", measure_digits, options, SEEDS)


def run_mnist(options: argparse.Namespace) -> None:
    """Print every study's draws, and their mean."""
    seeds = options.seeds or FEW_SEEDS
    cases = [{"study": study, "seed": seed} for study in STUDIES for seed in seeds]
    name = "few_labels_validation" if options.validate else "few_labels_mnist"
    measure = partial(measure_mnist, quick=options.quick, validate=options.validate)
    rows = run(name, measure, cases, options)
    for study in STUDIES:
        of_study = [row for row in rows if row["study"] == study]
        print(f"\n{study}")
        print_table([{k: v for k, v in row.items() if k != "study"} for row in of_study])
        print_table(summary(of_study, by="draws")[:1])


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--mnist", action="store_true", help="MNIST instead of digits")
    options.add_argument("--validate", action="store_true", help="judge on training images")
    options = options.parse_args()
    if options.mnist or options.validate:
        run_mnist(options)
    else:
        run_digits(options)


if __name__ == "__main__":
    main()
