"""scikit-learn's digits: clusters, codes, samples and reconstructions, seed by seed.

    python benchmarks/digits.py                  # seeds 100 to 109 -> results/digits.json
    python benchmarks/digits.py --lambda-curve   # mi_weight 0, 0.1, 1, 10 -> results/lambda.json

A run that was cut off goes on where it stopped. Every fit uses one thread.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _report import QUICK, ROOT, SEEDS, Row, output_path, parser, print_table, run, summary
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.metrics import match_clusters

N_CLUSTERS, N_CONTINUOUS = 10, 2
N_GENERATED = 2000
N_LABELS, N_DRAWS = 5, 10
LAMBDAS = [0.0, 0.1, 1.0, 10.0]
CURVE_SEEDS = range(100, 105)


def fitted(X: np.ndarray, seed: int, quick: bool, **parameters: Any) -> BInfoGANTransformer:
    """The model that every measure looks at."""
    gan = BInfoGANTransformer(
        n_clusters=N_CLUSTERS,
        n_continuous=N_CONTINUOUS,
        image_shape=(8, 8),
        include_noise=True,
        random_state=seed,
        **parameters,
        **(QUICK if quick else {}),
    )
    return gan.fit(X)


def agreement(gan: BInfoGANTransformer, seed: int) -> float:
    """Share of samples whose cluster E finds again."""
    X, drawn = gan.sample(N_GENERATED, random_state=seed)
    return float((gan.predict(X) == drawn).mean())


def continuous_correlations(gan: BInfoGANTransformer, seed: int) -> list[float]:
    """Pearson correlation of each continuous code of E(G(Z)) with that of Z, Z from the prior."""
    rng = np.random.default_rng(seed)
    codes = rng.uniform(-1, 1, (N_GENERATED, len(gan.get_feature_names_out())))
    codes[:, :N_CLUSTERS] = np.eye(N_CLUSTERS)[rng.integers(N_CLUSTERS, size=N_GENERATED)]
    found = gan.transform(gan.inverse_transform(codes))
    columns = range(N_CLUSTERS, N_CLUSTERS + N_CONTINUOUS)
    return [float(np.corrcoef(codes[:, i], found[:, i])[0, 1]) for i in columns]


def recovery(gan: BInfoGANTransformer, seed: int) -> Row:
    """How well E(G(Z)) gives the codes back."""
    correlations = continuous_correlations(gan, seed)
    return {
        "agreement": agreement(gan, seed),
        "correlation_min": min(correlations),
        "correlation_max": max(correlations),
    }


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
    classifier = LogisticRegression(max_iter=1000).fit(generated[known] / X.max(), labels)
    return float(classifier.score(X / X.max(), y))


def classifier_accuracy(
    X_train: np.ndarray, y_train: np.ndarray, X_test: np.ndarray, y_test: np.ndarray
) -> float:
    """Accuracy of logistic regression on standardised features."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return float(classifier.fit(X_train, y_train).score(X_test, y_test))


def few_labels(features: np.ndarray, y: np.ndarray, seed: int) -> float:
    """Mean accuracy on the other rows with five labels a class, the same draws for all features."""
    rng = np.random.default_rng(seed)
    accuracies = []
    for _ in range(N_DRAWS):
        chosen = [rng.choice(np.flatnonzero(y == c), N_LABELS, replace=False) for c in np.unique(y)]
        train = np.zeros(len(y), dtype=bool)
        train[np.concatenate(chosen)] = True
        accuracies.append(
            classifier_accuracy(features[train], y[train], features[~train], y[~train])
        )
    return float(np.mean(accuracies))


def r2(X: np.ndarray, reconstruction: np.ndarray) -> float:
    """1 - residual / total sum of squares, over all pixels together; 0 is the mean image."""
    residual = np.square(X - reconstruction).sum()
    return float(1 - residual / np.square(X - X.mean(axis=0)).sum())


def measure(seed: int, quick: bool) -> Row:
    """Every line of the table for one seed."""
    X, y = load_digits(return_X_y=True)
    start = time.perf_counter()
    gan = fitted(X, seed, quick)
    seconds = time.perf_counter() - start
    digit_of, accuracy = match_clusters(y, gan.labels_)
    with_noise = gan.transform(X)
    codes = with_noise[:, : N_CLUSTERS + N_CONTINUOUS]
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
