"""What lambda does to clusters: accuracy and label-free score of digits and of five tables.

    python benchmarks/lambda_clusters.py          # seeds 100 to 104 -> results/lambda_clusters.json
    python benchmarks/lambda_clusters.py --chart  # docs/images/lambda_clusters.png from that file

Only clusters are trained (max_iter=0): there lambda weighs I(c; x) of real rows. Four tables lie in
the folder `tables` of SKLEARN_BINFOGAN_DATA. An interrupted run resumes where it stopped. Every fit
uses one thread.
"""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import numpy as np
from _shared import (
    ROOT,
    Measure,
    Row,
    decimals,
    groups_table,
    output_path,
    parser,
    percent,
    print_table,
    reported,
    run,
    table,
)
from scipy.stats import spearmanr
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


def stored(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the standardised rows of a table of the folder `tables`, and their classes."""
    with np.load(Path(os.environ["SKLEARN_BINFOGAN_DATA"]) / "tables" / f"{name}.npz") as file:
        return StandardScaler().fit_transform(file["X"].astype(np.float64)), file["y"]


SETS = {
    "digits": (partial(load_digits, return_X_y=True), {"image_shape": (8, 8)}),
    "wine": (wine, {}),
    **{
        name: (partial(stored, name), {})
        for name in ("ionosphere", "vehicle", "segment", "penbased")
    },
}
DRAWN = ("digits", "wine")  # in the chart
USUAL = 1.0  # the default


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
    return f"{searches_table(rows)}\n\n{groups_table('group', rows, MEASURES)}"


def searches_table(rows: list[Row]) -> str:
    """A line per data set: what a search over lambda by `score` finds, beside the default.

    A search compares the fits of one seed. The rank correlation is over all fits of the set.
    """
    head = ["data", "accuracy of the choice, mean", "of lambda = 1", "difference"]
    head += ["lambdas chosen", "rank correlation of score and accuracy"]
    lines = []
    for data in dict.fromkeys(row["data"] for row in rows):
        own = [row for row in rows if row["data"] == data]
        seeds = dict.fromkeys(row["seed"] for row in own)
        by_seed = [[row for row in own if row["seed"] == seed] for seed in seeds]
        chosen = [max(fits, key=lambda row: row["score"]) for fits in by_seed]
        usual = [row for row in own if row["mi_weight"] == USUAL]
        means = [float(np.mean([r["cluster_accuracy"] for r in some])) for some in (chosen, usual)]
        lambdas = sorted({row["mi_weight"] for row in chosen})
        rank = spearmanr(*([row[m.key] for row in own] for m in MEASURES)).statistic
        found = [percent(means[0]), percent(means[1]), f"{100 * (means[0] - means[1]):+.2f}"]
        lines.append([data, *found, ", ".join(f"{v:g}" for v in lambdas), decimals(rank)])
    return table(head, lines)


def draw(rows: list[Row]) -> None:
    """Chart of accuracy and score against lambda: means, and bars from the least seed to the most.

    0 has no place on a logarithmic axis: values stand at equal distances.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.2), layout="constrained")
    labels = {"cluster_accuracy": "one-to-one accuracy, %", "score": "label-free score"}
    for ax, (key, label) in zip(axes, labels.items(), strict=True):
        for shift, data in zip((-0.06, 0.06), DRAWN, strict=True):
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
    options.add_argument("--data", nargs="+", choices=list(SETS), default=list(SETS))
    options = options.parse_args()
    if options.chart:
        draw(json.loads(output_path(options, "lambda_clusters").read_text())["rows"])
        return
    cases = [
        {"data": data, "mi_weight": weight, "seed": seed}
        for data in options.data
        for weight in LAMBDAS
        for seed in options.seeds or CURVE_SEEDS
    ]
    rows = run("lambda_clusters", partial(measure, quick=options.quick), cases, options)
    print_table(rows)


if __name__ == "__main__":
    main()
