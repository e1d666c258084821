"""What lambda does to clusters: accuracy and label-free score of digits and a table.

    python benchmarks/lambda_clusters.py          # seeds 100 to 104 -> results/lambda_clusters.json
    python benchmarks/lambda_clusters.py --chart  # docs/images/lambda_clusters.png from that file

Only clusters are trained (max_iter=0): there lambda weighs I(c; x) of real rows. An interrupted run
resumes where it stopped. Every fit uses one thread.
"""

from __future__ import annotations

import json
from functools import partial

import numpy as np
from _shared import (
    ROOT,
    Measure,
    Row,
    decimals,
    groups_table,
    output_path,
    parser,
    print_table,
    reported,
    run,
)
from sklearn.datasets import load_digits, load_wine
from sklearn.preprocessing import StandardScaler

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.metrics import cluster_accuracy

LAMBDAS = [0.0, 0.1, 0.3, 1.0, 3.0, 10.0]
CURVE_SEEDS = range(100, 105)


def wine() -> tuple[np.ndarray, np.ndarray]:
    """Return standardised rows and their classes."""
    X, y = load_wine(return_X_y=True)
    return StandardScaler().fit_transform(X), y


SETS = {
    "digits": (partial(load_digits, return_X_y=True), {"image_shape": (8, 8)}),
    "wine": (wine, {}),
}


def measure(data: str, mi_weight: float, seed: int, quick: bool) -> Row:
    """Accuracy and score of one fit."""
    load, parameters = SETS[data]
    X, y = load()
    budget = {"warmup_iter": 2} if quick else {}
    gan = BInfoGANTransformer(
        len(np.unique(y)),
        mi_weight=mi_weight,
        max_iter=0,
        random_state=seed,
        **parameters,
        **budget,
    ).fit(X)
    return {"cluster_accuracy": cluster_accuracy(y, gan.labels_), "score": float(gan.score(X))}


MEASURES = [
    Measure("cluster_accuracy", "cluster accuracy"),
    Measure("score", "score", "", decimals),
]


@reported(
    "lambda and clusters",
    "lambda_clusters",
    "benchmarks/lambda_clusters.py",
    "What lambda does to clusters, trained by the consistency phase alone: `max_iter=0`. "
    "Scores of such fits lack the parts that need G, and so are lower than those of whole "
    "fits.",
)
def section(content: Row) -> str:
    rows = [{**row, "group": f"{row['data']}, {row['mi_weight']:g}"} for row in content["rows"]]
    return groups_table("group", rows, MEASURES)


def draw(rows: list[Row]) -> None:
    """Chart of accuracy and score against lambda: means, and bars from the least seed to the most.

    0 has no place on a logarithmic axis: values stand at equal distances.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.2), layout="constrained")
    labels = {"cluster_accuracy": "one-to-one accuracy, %", "score": "label-free score"}
    for ax, (key, label) in zip(axes, labels.items(), strict=True):
        for shift, data in zip((-0.06, 0.06), SETS, strict=True):
            scale = 100 if key == "cluster_accuracy" else 1
            values = scale * np.array(
                [
                    [r[key] for r in rows if (r["data"], r["mi_weight"]) == (data, weight)]
                    for weight in LAMBDAS
                ]
            )
            mean = values.mean(axis=1)
            ends = [mean - values.min(axis=1), values.max(axis=1) - mean]
            places = np.arange(len(LAMBDAS)) + shift
            ax.errorbar(places, mean, ends, marker="o", capsize=3, label=data)
        ax.set_xticks(range(len(LAMBDAS)), [f"{weight:g}" for weight in LAMBDAS])
        ax.set(xlabel="lambda, mi_weight", ylabel=label)
        ax.grid(alpha=0.3)
    axes[0].legend()
    figure.suptitle("Clusters by lambda, five seeds: mean, least and most")
    figure.savefig(ROOT / "docs" / "images" / "lambda_clusters.png", dpi=200)


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--chart", action="store_true", help="only draw the picture")
    options = options.parse_args()
    if options.chart:
        draw(json.loads(output_path(options, "lambda_clusters").read_text())["rows"])
        return
    cases = [
        {"data": data, "mi_weight": weight, "seed": seed}
        for data in SETS
        for weight in LAMBDAS
        for seed in options.seeds or CURVE_SEEDS
    ]
    rows = run("lambda_clusters", partial(measure, quick=options.quick), cases, options)
    print_table(rows)


if __name__ == "__main__":
    main()
