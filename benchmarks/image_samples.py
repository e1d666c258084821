"""Samples of images as training data: MNIST and clothing (Fashion-MNIST).

    python benchmarks/image_samples.py             # seeds 100 to 104 -> results/image_samples.json
    python benchmarks/image_samples.py --labelled  # with labels -> results/labelled_samples.json
    python benchmarks/image_samples.py --budgets   # longer games -> results/sample_budgets.json

A small convolutional network, or logistic regression, is trained on 10 000 real or generated images
and tested on all test images. A sample's label is the class that its category stands for, by the
best one-to-one assignment on training images; labels are used for nothing else. Features are those
of the network's last hidden layer, trained on real images. Fits take no label, and the defaults but
for two continuous codes.

`--labelled` fits the classifier with all labels and asks it for samples of each class: that shows
what its generator can, whatever the clusters are. `--budgets` gives the game 1, 2, 4 and 8 times
the default steps: MNIST as above, and a table (penbased) as in `samples.py`. An interrupted run
resumes where it stopped.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
from _shared import (
    MNIST_SHAPE,
    QUICK,
    Measure,
    Row,
    agreement,
    conv_net_accuracy,
    decimals,
    factor_measures,
    groups_table,
    mnist,
    numbers_only,
    outputs,
    parser,
    pixels,
    print_table,
    r2,
    reported,
    run,
    trained_conv_net,
    whole,
)
from image_categories import clothing
from samples import generated, judged, samples_of, split
from sklearn.linear_model import LogisticRegression
from sklearn.utils import Bunch, shuffle

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer
from sklearn_binfogan._presets import resolve_preset
from sklearn_binfogan.metrics import match_clusters, prdc

NAME, LABELLED, BUDGETS = "image_samples", "labelled_samples", "sample_budgets"
IMAGES = ("MNIST", "clothing")
SEEDS = range(100, 105)
N_IMAGES, N_COMPARED, N_CODED = 10_000, 2_000, 2_500
TIMES = (1, 2, 4, 8)
BUDGET_SEED, BUDGET_TABLE = 100, "penbased"


def load(images: str, quick: bool) -> Bunch:
    """Data of a name; a quick run has a small part of them."""
    if images == "MNIST":
        return mnist(quick)
    data = clothing()
    n = 600 if quick else None
    return Bunch(**{name: rows[:n] for name, rows in data.items()})


def image_model(seed: int, quick: bool) -> BInfoGANTransformer:
    return BInfoGANTransformer(
        image_shape=MNIST_SHAPE,
        n_continuous=2,
        include_noise=True,
        random_state=seed,
        **(QUICK if quick else {}),
    )


def timed_fit(model: Any, *data: np.ndarray) -> tuple[Any, Row]:
    """A fitted model, and what its fit took."""
    wall, cpu = time.perf_counter(), time.process_time()
    model.fit(*data)
    return model, {
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,  # of all fits of the process at that time
    }


def default_steps(shape: tuple[int, ...], n_rows: int, emphasis: float = 0.0) -> int:
    """Steps of the game that "auto" gives; `emphasis` is that of labels."""
    return resolve_preset("auto", shape, n_rows).budget.steps(n_rows, emphasis)[1]


def classes_of(gan: BInfoGANTransformer, data: Bunch) -> np.ndarray:
    """Class that each category stands for; -1 for a category without rows."""
    found, _ = match_clusters(data.y_train, gan.predict(data.X_train))
    return np.array([found.get(k, -1) for k in range(gan.n_clusters)])


def known(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images whose category stands for a class."""
    return X[y >= 0], y[y >= 0]


def trained_on(sets: dict[str, tuple[np.ndarray, np.ndarray]], data: Bunch, seed: int) -> Row:
    """Test accuracy of the network trained on each set, and of logistic regression on two."""
    tested = (data.X_test, data.y_test)
    row = {f"net_{name}": conv_net_accuracy(X, y, *tested, seed) for name, (X, y) in sets.items()}
    for name in ("real", "samples"):
        X, y = sets[name]
        linear = LogisticRegression(max_iter=100, tol=1e-3).fit(pixels(X), y)
        row[f"linear_{name}"] = float(linear.score(pixels(data.X_test), data.y_test))
    return row


def likeness(X: np.ndarray, generated: np.ndarray, features: Any) -> Row:
    """Precision and coverage of as many samples as real images, in pixels and in features."""
    row: Row = {}
    for space, shown in (("pixels", pixels), ("features", features)):
        near = prdc(shown(X), shown(generated))
        row |= {f"precision_{space}": near.precision, f"coverage_{space}": near.coverage}
    return row


def measure(images: str, seed: int, quick: bool) -> Row:
    """All measures of one data set with one seed."""
    data = load(images, quick)
    gan, seconds = timed_fit(image_model(seed, quick), data.X_train)
    class_of = classes_of(gan, data)
    real, y = data.X_train[:N_IMAGES], data.y_train[:N_IMAGES]
    samples, categories = gan.sample(len(real), random_state=seed)
    from_prior, prior_categories = gan.sample(len(real), random_state=seed, from_prior=True)
    sets = {
        "real": (real, y),
        "clusters": known(real, class_of[gan.predict(real)]),
        "reconstructions": (gan.inverse_transform(gan.transform(real)), y),
        "samples": known(samples, class_of[categories]),
        "prior": known(from_prior, class_of[prior_categories]),
    }
    network = trained_conv_net(real, y, seed)[:-1]
    tested = data.X_test[:N_COMPARED]
    rebuilt = gan.inverse_transform(gan.transform(data.X_test))
    return {
        "test_accuracy": float((class_of[gan.predict(data.X_test)] == data.y_test).mean()),
        **trained_on(sets, data, seed),
        **likeness(tested, samples[: len(tested)], partial(outputs, network)),
        "r2": r2(pixels(data.X_test), pixels(rebuilt)),
        "agreement": agreement(gan, seed),
        **(factors(gan, data.X_test[:N_CODED]) if images == "MNIST" else {}),
        **seconds,
    }


def factors(gan: BInfoGANTransformer, X: np.ndarray) -> Row:
    """Correlations of the continuous codes with slant and stroke width."""
    codes = gan.transform(X)[:, gan.n_clusters : gan.n_clusters + gan.n_continuous]
    found = factor_measures(gan.predict(X), codes, pixels(X).reshape(-1, *MNIST_SHAPE))
    return {name: found[name] for name in ("slant_correlation", "stroke_correlation")}


def measure_labelled(images: str, seed: int, quick: bool) -> Row:
    """Accuracy of the network trained on samples of each class, or on real images."""
    data = load(images, quick)
    X, y = data.X_train, data.y_train
    gan = BInfoGANClassifier(
        image_shape=MNIST_SHAPE, n_continuous=2, random_state=seed, **(QUICK if quick else {})
    )
    gan, seconds = timed_fit(gan, X, y)
    drawn = shuffle(*generated(samples_of(gan, seed), y[:N_IMAGES]), random_state=seed)
    tested = (data.X_test, data.y_test)
    return {
        "net_real": conv_net_accuracy(X[:N_IMAGES], y[:N_IMAGES], *tested, seed),
        "net_samples": conv_net_accuracy(*drawn, *tested, seed),
        "test_accuracy": float(gan.score(*tested)),
        **seconds,
    }


def measure_budget(data: str, times: int, quick: bool) -> Row:
    """Quality of samples and seconds of a fit whose game takes `times` the default steps."""
    seed = BUDGET_SEED
    if data == "MNIST":
        return budget_of_images(load(data, quick), times, seed, quick)
    return budget_of_table(times, seed, quick)


def budget_of_images(data: Bunch, times: int, seed: int, quick: bool) -> Row:
    model = image_model(seed, quick)
    if not quick:
        model.set_params(max_iter=times * default_steps((1, *MNIST_SHAPE), len(data.X_train)))
    gan, seconds = timed_fit(model, data.X_train)
    class_of = classes_of(gan, data)
    n_samples = min(N_IMAGES, len(data.X_train))
    samples, categories = gan.sample(n_samples, random_state=seed)
    X, y = known(samples, class_of[categories])
    rebuilt = gan.inverse_transform(gan.transform(data.X_test))
    return {
        "quality": conv_net_accuracy(X, y, data.X_test, data.y_test, seed),
        "r2": r2(pixels(data.X_test), pixels(rebuilt)),
        **seconds,
    }


def budget_of_table(times: int, seed: int, quick: bool) -> Row:
    parts = split(BUDGET_TABLE, seed)
    X, _, y, _ = parts
    steps = times * default_steps(X.shape[1:], len(X), emphasis=1.0)
    budget: Row = QUICK if quick else {"max_iter": steps}
    gan, seconds = timed_fit(BInfoGANClassifier(random_state=seed, **budget), X, y)
    found = judged(*generated(samples_of(gan, seed), y), parts, seed)
    return {"quality": found["trained_on"], "told": found["told_from"], **seconds}


MEASURES = [
    Measure("net_real", "network trained on real images"),
    Measure("net_clusters", "the same, labels of the clusters"),
    Measure("net_reconstructions", "network trained on reconstructions, true labels"),
    Measure("net_samples", "network trained on samples"),
    Measure("net_prior", "the same, samples from the prior"),
    Measure("linear_real", "logistic regression trained on real images"),
    Measure("linear_samples", "the same, on samples"),
    Measure("precision_pixels", "precision of samples, pixels", shown=decimals),
    Measure("coverage_pixels", "coverage of real images, pixels", shown=decimals),
    Measure("precision_features", "precision of samples, features", shown=decimals),
    Measure("coverage_features", "coverage of real images, features", shown=decimals),
    Measure("r2", "R2 of reconstructions of test images", shown=decimals),
    Measure("agreement", "samples whose category E finds again"),
    Measure("slant_correlation", "correlation of a code with slant", shown=decimals),
    Measure("stroke_correlation", "correlation of the other with stroke width", shown=decimals),
    Measure("test_accuracy", "clusters: one-to-one test accuracy"),
    Measure("seconds", "seconds of a fit", shown=whole, worst=max),
]
OF_LABELLED = [
    Measure("net_real", "network trained on real images"),
    Measure("net_samples", "network trained on samples of each class"),
    Measure("test_accuracy", "the classifier itself"),
    Measure("cpu_seconds", "CPU seconds of a fit", shown=whole, worst=max),
]
OF_BUDGETS = [
    Measure("quality", "accuracy of what is trained on samples, on real rows"),
    Measure("r2", "R2 of reconstructions", shown=decimals),
    Measure("told", "a forest tells real rows from samples", shown=decimals, worst=max),
    Measure("cpu_seconds", "CPU seconds of a fit", shown=whole, worst=max),
]


@reported(
    "Samples of images",
    NAME,
    "benchmarks/image_samples.py",
    "No label but those of the clusters tells what a sample shows. So samples can teach about as "
    "much as real images with the labels of the clusters.",
)
def section(content: Row) -> str:
    return groups_table("images", content["rows"], MEASURES)


@reported(
    "Samples of images, with labels",
    LABELLED,
    "benchmarks/image_samples.py --labelled",
    "The same network, trained on samples that `BInfoGANClassifier` draws of each class after a "
    "fit with all labels.",
)
def labelled_section(content: Row) -> str:
    return groups_table("images", content["rows"], OF_LABELLED)


@reported(
    "Longer games",
    BUDGETS,
    "benchmarks/image_samples.py --budgets",
    "`max_iter` as a multiple of the default. On MNIST a network is trained on samples, on the "
    "table (penbased) a forest.",
)
def budgets_section(content: Row) -> str:
    rows = [
        {**row, "game": f"{row['data']}, {row['times']} times", "seed": BUDGET_SEED}
        for row in content["rows"]
    ]
    return groups_table("game", rows, OF_BUDGETS)


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--labelled", action="store_true", help="samples of each class")
    options.add_argument("--budgets", action="store_true", help="longer games, one seed")
    options = options.parse_args()
    if options.budgets:
        cases = [{"data": name, "times": n} for n in TIMES for name in (BUDGET_TABLE, "MNIST")]
        rows = run(BUDGETS, partial(measure_budget, quick=options.quick), cases, options)
    else:
        cases = [{"images": name, "seed": n} for n in options.seeds or SEEDS for name in IMAGES]
        name, measured = (LABELLED, measure_labelled) if options.labelled else (NAME, measure)
        rows = run(name, partial(measured, quick=options.quick), cases, options)
    for name in dict.fromkeys(row[next(iter(cases[0]))] for row in rows):
        print_table(numbers_only([row for row in rows if name in row.values()]))


if __name__ == "__main__":
    main()
