"""Clusters of data in files of your own, compared with k-means and a Gaussian mixture.

    python benchmarks/own_data.py FOLDER    # seeds 100 to 104 -> results/own_data.json

FOLDER holds a file `NAME.npz` for each data set, with the rows `X` and their classes `y`. X of
shape (n, n_columns) is a table; (n, height, width) are images. The other methods get standardised
columns of tables and the pixels of images. An interrupted run resumes where it stopped. Every fit
uses one thread.
"""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path

import numpy as np
from _shared import (
    QUICK,
    Measure,
    Row,
    decimals,
    groups_table,
    parser,
    reported,
    run,
    spread,
    table,
)
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.metrics import cluster_accuracy

SEEDS = range(100, 105)
LEAST_VARIANCE = 1e-3  # of the mixture: some columns hold few values


def measure(data: str, seed: int, folder: Path, quick: bool) -> Row:
    """Agreement of clusters with the classes of one set."""
    with np.load(folder / f"{data}.npz") as stored:
        X, y = stored["X"], np.unique(stored["y"], return_inverse=True)[1]
    rows, n, is_table = X.reshape(len(X), -1), int(y.max()) + 1, X.ndim == 2
    others = StandardScaler().fit_transform(rows) if is_table else rows.astype(np.float64)
    ours = BInfoGANTransformer(
        n,
        image_shape=None if is_table else X.shape[1:],
        max_iter=0,  # the game does not change clusters
        random_state=seed,
        **({"warmup_iter": QUICK["warmup_iter"]} if quick else {}),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # signs of collapse; mixtures that did not converge
        found = {
            "ours": ours.fit_predict(rows),
            "kmeans": KMeans(n, n_init=10, random_state=seed).fit_predict(others),
        }
        if is_table:
            mixture = GaussianMixture(n, n_init=5, reg_covar=LEAST_VARIANCE, random_state=seed)
            found["mixture"] = mixture.fit_predict(others)
    agreement = {name: float(adjusted_rand_score(y, each)) for name, each in found.items()}
    accuracy = {f"{name}_accuracy": cluster_accuracy(y, each) for name, each in found.items()}
    size = {"rows": len(X), "columns": list(X.shape[1:]), "classes": n}
    return {**size, **agreement, **accuracy}


MEASURES = [
    Measure("ours", "ours", "", decimals),
    Measure("kmeans", "k-means", "", decimals),
    Measure("mixture", "Gaussian mixture", "", decimals),
    Measure("ours_accuracy", "ours, accuracy"),
    Measure("kmeans_accuracy", "k-means, accuracy"),
    Measure("mixture_accuracy", "Gaussian mixture, accuracy"),
]


@reported(
    "Other public data",
    "own_data",
    "benchmarks/own_data.py FOLDER",
    "Adjusted Rand index of the clusters, and accuracy by one-to-one assignment: means over the "
    "seeds, then every seed.",
)
def section(content: Row) -> str:
    rows, lines = content["rows"], []
    for name in dict.fromkeys(row["data"] for row in rows):
        own = [row for row in rows if row["data"] == name]
        size = " x ".join(map(str, [own[0]["rows"], *own[0]["columns"]]))
        means = (spread(measure, own)[0] for measure in MEASURES)
        lines.append([name, size, own[0]["classes"], *means])
    header = ["data", "rows x columns", "classes", *(measure.label for measure in MEASURES)]
    return f"{table(header, lines)}\n\n{groups_table('data', rows, MEASURES)}"


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument("folder", type=Path)
    chosen = options.parse_args()
    names = sorted(path.stem for path in chosen.folder.glob("*.npz"))
    if not names:
        raise SystemExit(f"{chosen.folder} holds no .npz file.")
    cases = [{"data": name, "seed": seed} for name in names for seed in chosen.seeds or SEEDS]
    task = partial(measure, folder=chosen.folder, quick=chosen.quick)
    run("own_data", task, cases, chosen)


if __name__ == "__main__":
    main()
