"""scikit-learn's digits: clusters, codes, samples and reconstructions, seed by seed.

    python benchmarks/digits.py                  # seeds 100 to 109 -> results/digits.json
    python benchmarks/digits.py --lambda-curve   # mi_weight 0, 0.1, 1, 10 -> results/lambda.json

An interrupted run resumes where it stopped. Every fit uses one thread.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _shared import (
    CODES,
    N_CODES,
    N_GENERATED,
    ROOT,
    SEEDS,
    Measure,
    Row,
    decimals,
    drawn_rows,
    groups_table,
    image_model,
    logistic,
    measures_table,
    output_path,
    parser,
    print_table,
    r2,
    recovery,
    reported,
    run,
    summary,
    timed,
    whole,
)
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.metrics import match_clusters

N_LABELS, N_DRAWS = 5, 10  # labels of each class
LAMBDAS = [0.0, 0.1, 1.0, 10.0]
CURVE_SEEDS = range(100, 105)


def fitted(X: np.ndarray, seed: int, quick: bool, **parameters: Any) -> BInfoGANTransformer:
    """The model that every measure uses."""
    return image_model((8, 8), seed, quick, **CODES, **parameters).fit(X)


def generated_to_real(
    gan: BInfoGANTransformer, X: np.ndarray, y: np.ndarray, digit_of: dict[int, int], seed: int
) -> float:
    """Accuracy on real digits of logistic regression that saw generated ones alone.

    Pixels are scaled to [0, 1], not standardised: real border pixels vary more than generated ones,
    whose deviations would blow them up.
    """
    generated, drawn = gan.sample(N_GENERATED, random_state=seed)
    # A cluster that holds no real row has no digit: its samples are left out.
    known = np.isin(drawn, list(digit_of))
    labels = [digit_of[k] for k in drawn[known].tolist()]
    classifier = logistic(scale=False).fit(generated[known] / X.max(), labels)
    return float(classifier.score(X / X.max(), y))


def few_labels(features: np.ndarray, y: np.ndarray, seed: int) -> float:
    """Mean accuracy on the other rows with five labels a class, the same draws for all features."""
    rng, n_labels = np.random.default_rng(seed), N_LABELS * len(np.unique(y))
    accuracies = []
    for _ in range(N_DRAWS):
        drawn = np.isin(np.arange(len(y)), drawn_rows(y, n_labels, rng))
        fit = logistic().fit(features[drawn], y[drawn])
        accuracies.append(fit.score(features[~drawn], y[~drawn]))
    return float(np.mean(accuracies))


def measure(seed: int, quick: bool) -> Row:
    """Every line of the table for one seed."""
    X, y = load_digits(return_X_y=True)
    gan = image_model((8, 8), seed, quick, **CODES)
    seconds = timed(gan.fit, X, clock=time.process_time)
    digit_of, accuracy = match_clusters(y, gan.labels_)
    with_noise = gan.transform(X)
    codes = with_noise[:, :N_CODES]
    components = PCA(codes.shape[1], random_state=seed).fit_transform(X)
    return {
        "cluster_accuracy": accuracy,
        "fit_seconds": seconds,
        **recovery(gan, seed),
        "generated_to_real": generated_to_real(gan, X, y, digit_of, seed),
        "r2": r2(X, gan.inverse_transform(with_noise)),
        "five_labels_codes": few_labels(codes, y, seed),
        "five_labels_pixels": few_labels(X, y, seed),
        "five_labels_pca": few_labels(components, y, seed),
        "score": float(gan.score(X)),
    }


def measure_lambda(mi_weight: float, seed: int, quick: bool) -> Row:
    """What lambda can change, for one value and seed."""
    X, y = load_digits(return_X_y=True)
    gan = fitted(X, seed, quick, mi_weight=mi_weight)
    return {
        "cluster_accuracy": match_clusters(y, gan.labels_)[1],
        **recovery(gan, seed),
        "r2": r2(X, gan.inverse_transform(gan.transform(X))),
        "score": float(gan.score(X)),
    }


PANELS = {
    "cluster accuracy": {"cluster_accuracy": None},
    "agreement of predict(sample(c)) with c": {"agreement": None},
    "correlation of E(G(c)) with c": {
        "correlation_min": "least of the codes",
        "correlation_max": "greatest of the codes",
    },
}


def draw_curve(rows: list[Row], path: Path) -> None:
    """Each measure against lambda: every seed a dot, the mean a line."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    weights = sorted({row["mi_weight"] for row in rows})
    figure, axes = plt.subplots(1, len(PANELS), figsize=(11, 3.5), layout="constrained")
    for ax, (title, measures) in zip(axes, PANELS.items(), strict=True):
        for i, (name, label) in enumerate(measures.items()):
            values = [[row[name] for row in rows if row["mi_weight"] == w] for w in weights]
            ax.plot([np.mean(v) for v in values], color=f"C{i}", label=label)
            for place, v in enumerate(values):
                ax.plot([place] * len(v), v, ".", color=f"C{i}", alpha=0.5)
        ax.set_xticks(range(len(weights)), [f"{weight:g}" for weight in weights])
        ax.set(xlabel="mi_weight", title=title)
        if len(measures) > 1:
            ax.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    print(f"wrote {path}")


# -- the results page ----------------------------------------------------------------------------

CODE_MEASURES = [
    Measure(
        "cluster_accuracy",
        "one-to-one cluster accuracy",
        "Rows whose cluster is that of their digit, after the best matching.",
    ),
    Measure(
        "agreement", "predict(sample(c)) gives c", "Samples come from the cluster that was named."
    ),
    Measure(
        "correlation_min",
        "correlation of E(G(c)) with c, lower of the codes",
        "Continuous codes survive being drawn and read again.",
        decimals,
    ),
    Measure("correlation_max", "the same, higher of the codes", "", decimals),
    Measure("r2", "R2 of reconstructions with noise", "1 is a copy, 0 the mean image.", decimals),
    Measure("score", "score", "The label-free score.", decimals),
]
DIGITS = [
    *CODE_MEASURES,
    Measure("generated_to_real", "logistic regression trained on 2 000 generated digits"),
    Measure("five_labels_codes", "5 labels per class, logistic regression on codes"),
    Measure("five_labels_pixels", "5 labels per class, logistic regression on pixels"),
    Measure("five_labels_pca", "5 labels per class, logistic regression on principal components"),
    Measure("fit_seconds", "CPU seconds of one fit", "", whole, max),
]


@reported(
    "scikit-learn's digits",
    "digits",
    "benchmarks/digits.py",
    "1 797 grey images of 8 x 8 pixels, all parameters left at their defaults, ten seeds.",
)
def section(content: Row) -> str:
    return measures_table(DIGITS, content["rows"])


@reported(
    "lambda and generated rows",
    "lambda",
    "benchmarks/digits.py --lambda-curve",
    "What lambda does to clusters, codes and reconstructions of the digits, in whole fits.",
)
def lambda_section(content: Row) -> str:
    return groups_table("mi_weight", content["rows"], CODE_MEASURES)


# -- from the command line -----------------------------------------------------------------------


def run_seeds(options: Any) -> None:
    """The table of every seed, and its summary."""
    cases = [{"seed": seed} for seed in options.seeds or SEEDS]
    rows = run("digits", partial(measure, quick=options.quick), cases, options)
    print_table(rows)
    print_table(summary(rows, by="all seeds"))


def run_curve(options: Any) -> None:
    """The table and the picture of lambda."""
    seeds = options.seeds or CURVE_SEEDS
    cases = [{"mi_weight": weight, "seed": seed} for weight in LAMBDAS for seed in seeds]
    rows = run("lambda", partial(measure_lambda, quick=options.quick), cases, options)
    print_table(rows)
    quick_picture = output_path(options, "lambda").with_suffix(".png")
    draw_curve(rows, quick_picture if options.quick else ROOT / "docs/images/lambda.png")


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument(
        "--lambda-curve", action="store_true", help="measure over mi_weight (seeds 100 to 104)"
    )
    options = options.parse_args()
    if options.lambda_curve:
        run_curve(options)
    else:
        run_seeds(options)


if __name__ == "__main__":
    main()
