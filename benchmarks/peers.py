"""Clusters of MNIST by alternatives to this library, on the same rows, machine and measure.

    python -m pip install -c constraints.txt -e '.[peers]'
    python benchmarks/peers.py                   # -> results/peers.json; resumable
    python benchmarks/peers.py --only k-means    # one of them
    python benchmarks/peers.py --chart           # docs/images/peers.png from the results

Each fit runs in a process of its own, on one thread, on the 60 000 training images. Seconds are of
CPU time, which other processes disturb less than wall-clock time; UMAP is fitted again for each
method that uses it. Methods "at our time" come last: they get at least the mean seconds of our own
fits. Accuracy is one-to-one, by the best match of clusters and classes; HDBSCAN's outliers count as
one more cluster. Test accuracy is given if a method can label new rows. ClustPy imports
torchvision, which has to be a CPU build if torch is one.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
from _shared import (
    FEW_SEEDS,
    MNIST_SHAPE,
    ROOT,
    Row,
    folded,
    image_model,
    mnist,
    output_path,
    parser,
    percent,
    pixels,
    print_table,
    reported,
    run,
    table,
    whole,
)
from joblib import parallel_config
from sklearn.base import BaseEstimator
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from sklearn_binfogan.metrics import cluster_accuracy

N_CLUSTERS = 10
EPOCHS = {"pretrain_epochs": 100, "clustering_epochs": 150}  # ClustPy's defaults
OURS, AT_OUR_TIME = "ours", ", our time"

Fit = tuple[np.ndarray, Callable[[np.ndarray], np.ndarray] | None]  # labels, predict


def labels_and_predict(model: BaseEstimator, X: np.ndarray) -> Fit:
    """Fit; predict as the model does where it can."""
    labels = model.fit_predict(X)
    return labels, getattr(model, "predict", None)


def k_means(X: np.ndarray, seed: int) -> Fit:
    return labels_and_predict(KMeans(N_CLUSTERS, n_init=10, random_state=seed), X)


def pca_mixture(X: np.ndarray, seed: int) -> Fit:
    mixture = GaussianMixture(N_CLUSTERS, reg_covar=1e-3, random_state=seed)
    return labels_and_predict(make_pipeline(PCA(50, random_state=seed), mixture), X)


def umap(seed: int) -> BaseEstimator:
    """Settings that UMAP's own guide recommends for clusters, in ten dimensions."""
    from umap import UMAP

    return UMAP(n_neighbors=30, min_dist=0.0, n_components=10, n_jobs=1, random_state=seed)


def umap_k_means(X: np.ndarray, seed: int) -> Fit:
    clusters = KMeans(N_CLUSTERS, n_init=10, random_state=seed)
    return labels_and_predict(make_pipeline(umap(seed), clusters), X)


def umap_mixture(X: np.ndarray, seed: int) -> Fit:
    mixture = GaussianMixture(N_CLUSTERS, n_init=3, random_state=seed)
    return labels_and_predict(make_pipeline(umap(seed), mixture), X)


def umap_hdbscan(X: np.ndarray, seed: int) -> Fit:
    clusters = HDBSCAN(min_samples=10, min_cluster_size=500)
    return make_pipeline(umap(seed), clusters).fit_predict(X), None


def clustpy(name: str, X: np.ndarray, seed: int, epochs: dict[str, int]) -> Fit:
    from clustpy import deep

    model = getattr(deep, name)(N_CLUSTERS, random_state=seed, **epochs)
    return model.fit(X).labels_, getattr(model, "predict", None)


def epochs_in(name: str, X: np.ndarray, seed: int, seconds: float) -> dict[str, int]:
    """Epochs that take at least some seconds, in the proportion of the defaults."""
    spent = []
    for epochs in ((1, 1), (2, 1), (1, 2)):
        start = time.process_time()
        clustpy(name, X, seed, dict(zip(EPOCHS, epochs, strict=True)))
        spent.append(time.process_time() - start)
    own = [max(s - spent[0], 1e-3) for s in spent[1:]]
    whole = sum(n * s for n, s in zip(EPOCHS.values(), own, strict=True))
    share = max(seconds - spent[0], 0) / whole
    return {key: max(math.ceil(share * n), 1) for key, n in EPOCHS.items()}


def deep_epochs(
    method: str, X: np.ndarray, seed: int, budget: float | None
) -> dict[str, int] | None:
    """Epochs of a deep peer, the defaults without a budget; None for the others."""
    if method not in DEEP:
        return None
    return EPOCHS if budget is None else epochs_in(DEEP[method], X, seed, budget)


def ours(X: np.ndarray, seed: int, quick: bool, **budget: Any) -> Fit:
    gan = image_model(MNIST_SHAPE, seed, quick, n_clusters=N_CLUSTERS, **budget)
    return labels_and_predict(gan, X)


SHALLOW: dict[str, Callable[[np.ndarray, int], Fit]] = {
    "k-means": k_means,
    "PCA + Gaussian mixture": pca_mixture,
    "UMAP + k-means": umap_k_means,
    "UMAP + Gaussian mixture": umap_mixture,
    "UMAP + HDBSCAN": umap_hdbscan,
}
DEEP = {
    "ClustPy's DEC": "DEC",
    f"ClustPy's DEC{AT_OUR_TIME}": "DEC",
    f"ClustPy's VaDE{AT_OUR_TIME}": "VaDE",
}
OWN = {OURS: {}, "ours, clusters alone": {"max_iter": 0}}
METHODS = [*DEEP, *OWN, *SHALLOW]  # the longest first, for two processes


def fit(method: str, seed: int, quick: bool, budget: float | None = None) -> Row:
    """Fit one method in this process; a deep peer in `budget` seconds."""
    data = mnist(quick)
    X, y = data.X_train, data.y_train
    # The bytes as they are for ours; [0, 1] for all others.
    scaled = (lambda rows: rows) if method in OWN else pixels
    X, X_test = scaled(X), scaled(data.X_test)
    epochs = deep_epochs(method, X, seed, 1.0 if quick else budget)
    if method in SHALLOW:
        SHALLOW[method](X[:1000], seed)  # imports, and what numba compiles, are not counted
    start = time.process_time()
    if method in OWN:
        labels, predict = ours(X, seed, quick, **OWN[method])
    elif epochs:
        labels, predict = clustpy(DEEP[method], X, seed, epochs)
    else:
        labels, predict = SHALLOW[method](X, seed)
    spent = time.process_time() - start
    # Kilobytes, but bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {
        "accuracy": accuracy(y, labels),
        "test_accuracy": None if predict is None else accuracy(data.y_test, predict(X_test)),
        "seconds": spent,
        "peak_megabytes": peak / 2**20,
        "epochs": epochs,
    }


def accuracy(y: np.ndarray, labels: np.ndarray) -> float:
    """One-to-one accuracy; any labels, such as HDBSCAN's -1."""
    return float(cluster_accuracy(y, np.unique(labels, return_inverse=True)[1]))


def fit_on_one_thread(case: Row) -> Row:
    import torch

    torch.set_num_threads(1)
    with threadpool_limits(1):
        return fit(**case)


def measure(**case: Any) -> Row:
    """Fit in a fresh process, whose peak memory is this fit's alone."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(fit_on_one_thread, case).result()


def run_all(options: argparse.Namespace) -> list[Row]:
    """Measure the chosen methods; those "at our time" last, when our time is known."""
    chosen = cases(options)
    own = [case for case in chosen if not case["method"].endswith(AT_OUR_TIME)]
    rows = run("peers", measure, own, options)
    if own == chosen:
        return rows
    budget = float(np.mean([row["seconds"] for row in rows if row["method"] == OURS]))
    timed = [{**case, "budget": budget} for case in chosen if case not in own]
    return run("peers", measure, [*own, *timed], options)


def cases(options: argparse.Namespace) -> list[Row]:
    """Three seeds of all but the deep peers, which have one."""
    chosen = options.only or METHODS
    if any(method.endswith(AT_OUR_TIME) for method in chosen):
        chosen = {*chosen, OURS}
    seeds = options.seeds or FEW_SEEDS
    return [
        {"method": method, "seed": seed, "quick": options.quick}
        for method in METHODS
        if method in chosen
        for seed in (seeds[:1] if method in DEEP else seeds)
    ]


def methods(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows of each method, the cheapest first."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["method"], []).append(row)
    return dict(sorted(groups.items(), key=lambda item: _mean(item[1], "seconds")))


@reported(
    "Methods",
    "peers",
    "benchmarks/peers.py",
    "Ours is the most accurate here, and its clusters alone cost no more than UMAP and a mixture.",
)
def section(content: Row) -> str:
    groups = methods(content["rows"])
    lines = (
        [
            method,
            percent(_mean(rows, "accuracy")),
            percent(min(row["accuracy"] for row in rows)),
            _range(rows),
            "no `predict`"
            if rows[0]["test_accuracy"] is None
            else percent(_mean(rows, "test_accuracy")),
            whole(_mean(rows, "seconds")),
            whole(_mean(rows, "peak_megabytes")),
            _epochs(rows[0]),
        ]
        for method, rows in groups.items()
    )
    header = ["method", "accuracy, mean", "worst", "range", "test accuracy", "seconds", "peak MB"]
    every = (
        [method, row["seed"], percent(row["accuracy"]), whole(row["seconds"])]
        for method, rows in groups.items()
        for row in rows
    )
    seeds = table(["method", "seed", "accuracy", "seconds"], every)
    return f"{table([*header, 'epochs'], lines)}\n\n{folded('Every seed', seeds)}"


def _range(rows: list[Row]) -> str:
    """Least to greatest accuracy; of one fit nothing."""
    values = [row["accuracy"] for row in rows]
    return f"{percent(min(values))} to {percent(max(values))}" if len(values) > 1 else "one seed"


def _mean(rows: list[Row], key: str) -> float:
    return float(np.mean([row[key] for row in rows]))


def _epochs(row: Row) -> str:
    """Epochs of both phases of a deep method."""
    return " + ".join(map(str, row["epochs"].values())) if row["epochs"] else ""


# Where a label stands from its points: of two points close to each other one above, one below.
LABEL_BELOW = {
    "ClustPy's VaDE, our time",
    "PCA + Gaussian mixture",
    "UMAP + Gaussian mixture",
    "UMAP + HDBSCAN",
    "UMAP + k-means",
}


def draw(rows: list[Row]) -> None:
    """Chart of accuracy against seconds: a point per seed, the method's name on its points."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.2, 4.8), layout="constrained")
    for method, own in methods(rows).items():
        x = [row["seconds"] for row in own]
        y = [100 * row["accuracy"] for row in own]
        colour = "tab:orange" if method in OWN else "tab:blue"
        axes.scatter(x, y, 40, marker="*" if method in OWN else "o", color=colour, alpha=0.7)
        below = method in LABEL_BELOW
        axes.annotate(
            method,
            (float(np.mean(x)), min(y) if below else max(y)),
            xytext=(0, -8 if below else 8),
            textcoords="offset points",
            ha="center",
            va="top" if below else "bottom",
            color=colour,
        )
    axes.set(
        xscale="log",
        xlim=(2, 9000),
        ylim=(45, 104),
        xticks=[10, 100, 1000],
        xticklabels=["10", "100", "1 000"],
        xlabel="CPU seconds of one fit, logarithmic",
        ylabel="one-to-one accuracy, %",
        title="Clusters of MNIST's 60 000 training images",
    )
    axes.grid(alpha=0.3)
    figure.savefig(ROOT / "docs" / "images" / "peers.png", dpi=200)


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--only", nargs="+", choices=METHODS)
    options.add_argument("--chart", action="store_true", help="only draw docs/images/peers.png")
    options = options.parse_args()
    if options.chart:
        draw(json.loads(output_path(options, "peers").read_text())["rows"])
    else:
        with parallel_config(backend="threading"):  # of threads that wait for a process each
            print_table(run_all(options))


if __name__ == "__main__":
    main()
