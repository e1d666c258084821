"""Categories of tables and of a public suite for clustering, compared with other methods.

    python benchmarks/categories.py            # 57 sets and 12 tables -> results/categories.json
    python benchmarks/categories.py --subset   # 15 of them, to develop on
    python benchmarks/categories.py --tables   # only the tables
    python benchmarks/categories.py --images   # images instead: see image_categories.py

The folder SKLEARN_BINFOGAN_DATA holds `clustering-suite/` (Gagolewski et al. 2022,
clustering-data-v1) and `tables/` (KEEL). A set with several reference partitions is clustered into
as many groups as each of them has, and the best agreement counts; rows without a reference are
clustered, too, but not counted. From tables of more than 4 000 rows, 4 000 are drawn, the same for
all methods. Tables are judged by accuracy, also that of predict on a held-out half. All methods see
standardised columns. A peer that is not installed is left out: see the extra `peers`.

An interrupted run resumes where it stopped. Every fit uses one thread.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import torch
from _shared import (
    QUICK,
    Row,
    decimals,
    folded,
    parser,
    percent,
    print_table,
    reported,
    run,
    table,
)
from image_categories import FOUR_STARTS, IMAGES, OURS, TITLES, folder, run_images
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import (
    HDBSCAN,
    AgglomerativeClustering,
    KMeans,
    SpectralClustering,
)
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import kneighbors_graph
from sklearn.preprocessing import StandardScaler

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.metrics import cluster_accuracy

SUBSET = [
    "fcps/atom",
    "fcps/engytime",
    "graves/fuzzyx",
    "graves/zigzag_noisy",
    "sipu/aggregation",
    "sipu/flame",
    "sipu/a2",
    "sipu/s3",
    "sipu/unbalance",
    "wut/x2",
    "wut/labirynth",
    "wut/twosplashes",
    "segment",
    "satimage",
    "spambase",
]
# Many clusters, unequal ones, few rows: where k-means is good.
PLAIN = [
    "sipu/a1",
    "sipu/a2",
    "sipu/a3",
    "sipu/d31",
    "sipu/r15",
    "sipu/s1",
    "sipu/s2",
    "sipu/s3",
    "sipu/s4",
    "sipu/unbalance",
    "sipu/aggregation",
    "wut/x1",
    "wut/x2",
    "wut/x3",
]
MOST_ROWS = 4000  # of a table, and for spectral clustering
HALVES = ("fitted half", "held-out half")
SEEDS = (100, 101)


class Data(NamedTuple):
    """Standardised rows and their reference partitions, numbered from 1; 0 stands for none."""

    X: np.ndarray
    references: list[np.ndarray]

    @property
    def sizes(self) -> list[int]:
        """Numbers of groups of the partitions."""
        return sorted({int(reference.max()) for reference in self.references})


def sets() -> list[str]:
    """Names of the suite's sets, then of the tables."""
    suite = folder("clustering-suite")
    names = [str(p.relative_to(suite))[: -len(".data.gz")] for p in suite.glob("*/*.data.gz")]
    return sorted(names) + sorted(path.stem for path in folder("tables").glob("*.npz"))


def is_table(name: str) -> bool:
    return "/" not in name


def load(name: str) -> Data:
    """Read a set of the suite or a table."""
    if is_table(name):
        stored = np.load(folder("tables") / f"{name}.npz")
        drawn = np.random.RandomState(0).permutation(len(stored["X"]))[:MOST_ROWS]
        X = stored["X"][drawn].astype(np.float64)
        references = [np.unique(stored["y"][drawn], return_inverse=True)[1] + 1]
    else:
        place = folder("clustering-suite") / name
        X = np.loadtxt(place.with_name(place.name + ".data.gz"), ndmin=2)
        files = sorted(place.parent.glob(place.name + ".labels*.gz"))
        references = [np.loadtxt(file, dtype=int) for file in files]
    return Data(StandardScaler().fit_transform(X), references)


# -- methods: rows, number of clusters, seed -> labels -----------------------------------------


def ours(X: np.ndarray, k: int, seed: int, quick: bool = False) -> BInfoGANTransformer:
    budget = {**(QUICK if quick else {}), "max_iter": 0}
    return BInfoGANTransformer(n_clusters=k, random_state=seed, **budget).fit(X)


def fitted_kmeans(X: np.ndarray, k: int, seed: int) -> KMeans:
    return KMeans(k, n_init=10, random_state=seed).fit(X)


def kmeans(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    labels: np.ndarray = fitted_kmeans(X, k, seed).labels_
    return labels


def mixture(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    return GaussianMixture(k, n_init=5, random_state=seed).fit_predict(X)


def ward(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    return AgglomerativeClustering(k).fit_predict(X)


def spectral(X: np.ndarray, k: int, seed: int) -> np.ndarray | None:
    if len(X) > MOST_ROWS:
        return None
    graph = kneighbors_graph(X, 10)
    model = SpectralClustering(k, affinity="precomputed", random_state=seed)
    return model.fit_predict((graph + graph.T) / 2)


def hdbscan(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Find the number of clusters automatically; noise counts as a group of its own."""
    return HDBSCAN(min_cluster_size=15, copy=True).fit_predict(X)


def umap_mixture(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    from umap import UMAP

    flat = UMAP(n_neighbors=15, min_dist=0, random_state=seed, n_jobs=1).fit_transform(X)
    return mixture(flat, k, seed)


def genie(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    from genieclust import Genie

    return Genie(n_clusters=k).fit_predict(X)


def lumbermark(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    from lumbermark import Lumbermark

    return Lumbermark(n_clusters=k).fit_predict(X)


PEERS: dict[str, Callable[..., np.ndarray | None]] = {
    "kmeans": kmeans,
    "mixture": mixture,
    "ward": ward,
    "spectral": spectral,
    "hdbscan": hdbscan,
    **({"umap_mixture": umap_mixture} if find_spec("umap") else {}),
    **({"genie": genie} if find_spec("genieclust") else {}),
    **({"lumbermark": lumbermark} if find_spec("lumbermark") else {}),
}
SEEDLESS = {"ward", "hdbscan", "genie", "lumbermark"}
NAMES = {  # of methods, for readers
    **TITLES,
    "mixture": "Gaussian mixture",
    "ward": "Ward",
    "hdbscan": "HDBSCAN",
    "umap_mixture": "UMAP, mixture",
    "genie": "Genie",
    "lumbermark": "Lumbermark",
}


# -- measures ----------------------------------------------------------------------------------


def agreement(name: str, reference: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy of a table, adjusted Rand index of a set; rows without a reference don't count."""
    known = reference > 0
    measured = cluster_accuracy if is_table(name) else adjusted_rand_score
    return float(measured(reference[known], labels[known]))


def measure(method: str, name: str, seed: int, quick: bool) -> Row:
    """Best agreement over the reference partitions; CPU seconds of the slowest fit."""
    torch.set_num_threads(1)
    data = load(name)
    found, seconds = {}, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # signs of collapse, components of graphs
        for k in data.sizes:
            start = time.process_time()
            fitted = ours(data.X, k, seed, quick) if method == OURS else None
            found[k] = fitted.labels_ if fitted else PEERS[method](data.X, k, seed)
            seconds.append(time.process_time() - start)
        if any(labels is None for labels in found.values()):
            return {"agreement": None}
        best = max(agreement(name, r, found[int(r.max())]) for r in data.references)
        fit = {OURS: partial(ours, quick=quick), "kmeans": fitted_kmeans}.get(method)
        more = held_out(data, fit, seed) if fit and is_table(name) else {}
    return {"agreement": best, "seconds": max(seconds), **more}


def held_out(data: Data, fit: Callable[..., Any], seed: int) -> Row:
    """Accuracy on both halves of a table of a model that was fitted to the first."""
    half, reference = len(data.X) // 2, data.references[0]
    labels = fit(data.X[:half], data.sizes[0], seed).predict(data.X)
    # Clusters get their classes on the first half.
    counts = np.zeros((reference.max() + 1, labels.max() + 1))
    np.add.at(counts, (reference[:half], labels[:half]), 1)
    classes, clusters = linear_sum_assignment(counts, maximize=True)
    class_of = np.full(counts.shape[1], -1)
    class_of[clusters] = classes
    right = class_of[labels] == reference
    return {"fitted_half": float(right[:half].mean()), "held_out_half": float(right[half:].mean())}


# -- page and run ------------------------------------------------------------------------------


def mean_over_seeds(rows: list[Row]) -> dict[tuple[str, str], float]:
    """Mean agreement by method and set, over the seeds that were measured."""
    values: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row["agreement"] is not None:
            values.setdefault((row["method"], row["name"]), []).append(row["agreement"])
    return {key: float(np.mean(found)) for key, found in values.items()}


def groups(names: list[str]) -> dict[str, list[str]]:
    """Sets over which means are taken."""
    return {
        "the suite, adjusted Rand index": [name for name in names if not is_table(name)],
        "many, unequal and few rows, of these": [name for name in names if name in PLAIN],
        "tables, accuracy": [name for name in names if is_table(name)],
    }


def means(rows: list[Row]) -> list[Row]:
    """A line per group of sets: the mean of each method that has measured all of them."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    found = mean_over_seeds(rows)
    lines = []
    for title, names in groups(list(dict.fromkeys(row["name"] for row in rows))).items():
        line: Row = {"group": title, "sets": len(names)}
        for method in methods:
            whole = bool(names) and all((method, name) in found for name in names)
            line[method] = float(np.mean([found[method, n] for n in names])) if whole else ""
        lines.append(line)
    return lines


def titles(methods: Iterable[str]) -> list[str]:
    """Names of methods as readers know them."""
    return [NAMES.get(method, method) for method in methods]


def shown(value: float | str | None) -> str:
    return percent(value) if isinstance(value, float) else ""


@reported(
    "Categories of tables and of a suite",
    "categories",
    "benchmarks/categories.py",
    "Adjusted Rand index, in per cent, on the sets of Gagolewski's clustering suite (2022), and "
    "accuracy on tables; ours by several seeds, others by one. **Our rules were tuned on these "
    "sets and tables, with their labels**, so expect lower numbers on other data.",
)
def section(content: Row) -> str:
    rows = content["rows"]
    found = mean_over_seeds(rows)
    methods = list(dict.fromkeys(row["method"] for row in rows))
    names = list(dict.fromkeys(row["name"] for row in rows))
    lines = [[line["group"], *(shown(line[m]) for m in methods)] for line in means(rows)]
    sets = [[name, *(shown(found.get((m, name))) for m in methods)] for name in names]
    parts = [
        table(["mean over sets", *titles(methods)], lines),
        folded("Every set", table(["mean over seeds", *titles(methods)], sets)),
    ]
    own = {(row["name"], row["seed"]): row for row in rows if row["method"] == OURS}
    seeds = sorted({seed for _, seed in own})
    by_seed = []
    for name in names:
        fits = [own[name, seed] for seed in seeds if (name, seed) in own]
        cells = [shown(own.get((name, seed), {}).get("agreement")) for seed in seeds]
        by_seed.append([name, *cells, decimals(max(fit["seconds"] for fit in fits))])
    every_seed = table(["ours, by seed", *seeds, "seconds"], by_seed)
    return "\n\n".join([*parts, folded("Ours, every seed", every_seed), halves(rows)])


def halves(rows: list[Row]) -> str:
    """Table of the accuracies on the two halves of each table."""
    keys = ("fitted_half", "held_out_half")
    halved = [row for row in rows if all(key in row for key in keys)]
    methods, names = (list(dict.fromkeys(row[key] for row in halved)) for key in ("method", "name"))
    if not halved:
        return ""

    def mean(name: str, method: str) -> list[float]:
        fits = [row for row in halved if (row["name"], row["method"]) == (name, method)]
        return [float(np.mean([row[key] for row in fits])) for key in keys]

    cells = np.array([[each for method in methods for each in mean(n, method)] for n in names])
    lines = [[name, *map(percent, line)] for name, line in zip(names, cells, strict=True)]
    lines.append(["mean", *map(percent, cells.mean(axis=0))])
    header = ["table", *(f"{title}, {half}" for title in titles(methods) for half in HALVES)]
    caption = "Rows that were not seen: half of a table fitted, the other half predicted"
    return folded(caption, table(header, lines))


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--subset", action="store_true", help="a few sets of every kind")
    options.add_argument("--tables", action="store_true", help="the tables alone")
    images = {"nargs": "*", "choices": [*IMAGES, []], "metavar": "NAME"}
    options.add_argument("--images", **images, help=f"images alone: {', '.join(IMAGES)}; or all")
    methods = [OURS, FOUR_STARTS, *PEERS]
    options.add_argument("--only", nargs="+", choices=methods, help="these methods alone")
    options = options.parse_args()
    if options.images is not None:
        run_images(options)
        return
    names = SUBSET if options.subset else sets()
    if options.tables:
        names = [name for name in names if is_table(name)]
    seeds = options.seeds or SEEDS
    cases = [
        {"method": method, "name": name, "seed": seed}
        for seed in seeds
        for method in options.only or [OURS, *PEERS]
        for name in names
        if method != FOUR_STARTS and (method not in SEEDLESS or seed == seeds[0])
    ]
    rows = run("categories", partial(measure, quick=options.quick), cases, options)
    print_table(means(rows))


if __name__ == "__main__":
    main()
