"""How many clusters? The peak of `score`, of silhouette (k-means) and of BIC (Gaussian mixture).

    python benchmarks/n_clusters.py    # seeds 100 to 102 -> results/n_clusters.json

Every set has a known number of kinds. A row is a fit with one number of clusters; the table at the
end compares where the measures peak, and says how many clusters HDBSCAN finds. `score` was designed
on the sets marked "tuned", and nothing was changed after the others had been looked at. Silhouette
is not defined for one cluster.
Tables of the OpenML suites lie in the folder `tables` of SKLEARN_BINFOGAN_DATA; without it those
sets are left out. The game is short, since it does not change the clusters. An interrupted run
resumes where it stopped. Every fit uses one thread.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _shared import QUICK, Row, parser, print_table, reported, run, table
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine, make_blobs
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

from sklearn_binfogan import BInfoGANTransformer

SEEDS = range(100, 103)
MOST_ROWS = 1000
GAME = 100  # steps: the clusters are settled before it
MEASURES = {"score": "score", "silhouette": "silhouette", "bic": "minus_bic"}

Labelled = tuple[np.ndarray, np.ndarray]


class Data(NamedTuple):
    """A set with a known number of kinds."""

    load: Callable[[], Labelled]
    kinds: Sequence[int]  # any of which is right
    numbers: Sequence[int]  # of clusters that are tried
    tuned: bool = False
    image_shape: tuple[int, ...] | None = None


def blobs(n: int, kinds: int, columns: int, spread: float, seed: int) -> Labelled:
    """Round blobs of equal size."""
    X, y = make_blobs(n, centers=kinds, n_features=columns, cluster_std=spread, random_state=seed)
    return X, y


def stretched() -> Labelled:
    """Four blobs, sheared and stretched together."""
    X, y = blobs(500, 4, 6, 1.5, 21)
    return X @ np.random.default_rng(21).normal(size=(6, 6)), y


def unequal() -> Labelled:
    """Six blobs of 40 to 240 rows, whose spreads differ."""
    sizes = [40, 80, 120, 160, 200, 240]
    X, y = make_blobs(
        sizes, n_features=4, cluster_std=[0.6, 1.0, 1.4, 0.8, 1.2, 1.6], random_state=22
    )
    return X, y


def uniform() -> Labelled:
    """Rows without kinds, in a cube."""
    return np.random.default_rng(23).uniform(size=(500, 6)), np.zeros(500, int)


def stored(name: str) -> Labelled:
    """Rows of a table in SKLEARN_BINFOGAN_DATA, at most MOST_ROWS drawn by chance."""
    with np.load(Path(os.environ["SKLEARN_BINFOGAN_DATA"]) / "tables" / f"{name}.npz") as file:
        X, y = file["X"].astype(float), np.unique(file["y"], return_inverse=True)[1]
    rows = np.random.default_rng(0).permutation(len(X))[:MOST_ROWS]
    return X[rows], y[rows]


def built_in(load: Callable[..., Labelled]) -> Callable[[], Labelled]:
    """Rows and classes of one of scikit-learn's sets."""
    return partial(load, return_X_y=True)


FEW, SOME, MANY = range(1, 7), range(1, 11), (1, 2, 4, 6, 8, 9, 10, 11, 12, 14)
DATA = {
    "one blob": Data(partial(blobs, 300, 1, 5, 1.0, 0), [1], FEW, True),
    "2 blobs": Data(partial(blobs, 300, 2, 2, 1.0, 1), [2], FEW, True),
    "3 blobs": Data(partial(blobs, 300, 3, 10, 3.0, 2), [3], FEW, True),
    "5 blobs": Data(partial(blobs, 400, 5, 5, 2.0, 4), [5], SOME, True),
    "8 blobs": Data(partial(blobs, 400, 8, 8, 2.0, 5), [8], SOME, True),
    "10 blobs": Data(partial(blobs, 500, 10, 10, 3.0, 3), [10], MANY, True),
    "iris": Data(built_in(load_iris), [2, 3], FEW, True),  # two of its kinds overlap
    "wdbc": Data(built_in(load_breast_cancer), [2], FEW, True),
    "uniform": Data(uniform, [1], FEW),
    "4 stretched": Data(stretched, [4], FEW),
    "6 unequal": Data(unequal, [6], SOME),
    "7 blobs": Data(partial(blobs, 700, 7, 3, 1.0, 24), [7], SOME),
    "10 apart": Data(partial(blobs, 1000, 10, 16, 2.0, 25), [10], MANY),
    "wine": Data(built_in(load_wine), [3], FEW),
    "vehicle": Data(partial(stored, "vehicle"), [4], FEW),
    "segment": Data(partial(stored, "segment"), [7], SOME),
    "penbased": Data(partial(stored, "penbased"), [10], MANY),
    "digits": Data(built_in(load_digits), [10], MANY, image_shape=(8, 8)),
}


def available() -> list[str]:
    """Names of the sets that are available."""
    has_tables = "SKLEARN_BINFOGAN_DATA" in os.environ
    return [
        name
        for name, data in DATA.items()
        if has_tables or getattr(data.load, "func", None) is not stored
    ]


def loaded(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, kinds, and the rows as the peers see them: standardised, or principal components."""
    X, y = DATA[name].load()
    peer = PCA(20, random_state=0) if DATA[name].image_shape else StandardScaler()
    return X, y, peer.fit_transform(X)


def measure(data: str, seed: int, n_clusters: int, quick: bool) -> Row:
    """Three measures of how well a number of clusters suits a set; none reads the kinds."""
    X, y, rows = loaded(data)
    gan = BInfoGANTransformer(
        n_clusters=n_clusters,
        image_shape=DATA[data].image_shape,
        random_state=seed,
        **(QUICK if quick else {"max_iter": GAME}),
    )
    start = time.perf_counter()
    labels = gan.fit_predict(X)
    seconds = time.perf_counter() - start
    kmeans = KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(rows)
    mixture = GaussianMixture(n_clusters, n_init=3, reg_covar=1e-3, random_state=seed).fit(rows)
    found = gan.diagnostics_
    return {
        "score": float(gan.score(X)),
        "distinctness": found["distinctness"],
        "recovery": found["recovery"],
        "reconstruction": found["reconstruction"],
        "silhouette": float(silhouette_score(rows, kmeans)) if n_clusters > 1 else None,
        "minus_bic": -float(mixture.bic(rows)) / len(rows),
        "hdbscan": n_dense(data),
        "used": len(np.unique(labels)),
        "adjusted_rand": float(adjusted_rand_score(y, labels)),
        "kmeans_adjusted_rand": float(adjusted_rand_score(y, kmeans)),
        "mixture_adjusted_rand": float(adjusted_rand_score(y, mixture.predict(rows))),
        "fit_seconds": seconds,
    }


def n_dense(data: str) -> int:
    """Clusters that HDBSCAN finds, none smaller than a fiftieth of the rows."""
    rows = loaded(data)[2]
    labels = HDBSCAN(min_cluster_size=max(5, len(rows) // 50), copy=True).fit_predict(rows)
    return len(set(labels.tolist()) - {-1})


def peaks(rows: list[Row]) -> list[Row]:
    """Per set and seed, the number of clusters that each measure prefers, or finds."""
    found = []
    for data, seed in dict.fromkeys((row["data"], row["seed"]) for row in rows):
        of_set = [row for row in rows if (row["data"], row["seed"]) == (data, seed)]
        line = {"data": data, "tuned": DATA[data].tuned, "seed": seed, "kinds": DATA[data].kinds}
        for name, key in MEASURES.items():
            known = [row for row in of_set if row[key] is not None]
            line[name] = max(known, key=lambda row: row[key])["n_clusters"] if known else None
        line["hdbscan"] = of_set[0]["hdbscan"]
        found.append(line)
    return found


def shares(lines: list[Row]) -> list[Row]:
    """How often each measure peaks at the right number, by whether a set was tuned on."""
    groups = {"tuned": [line for line in lines if line["tuned"]]}
    groups["not tuned"] = [line for line in lines if not line["tuned"]]
    return [
        {
            "sets": group,
            "n": len(of_group),
            **{
                name: sum(line[name] in line["kinds"] for line in of_group)
                for name in [*MEASURES, "hdbscan"]
            },
        }
        for group, of_group in groups.items()
        if of_group
    ]


def _or_none(numbers: list[int | None]) -> str:
    return ", ".join(str(number) for number in dict.fromkeys(numbers) if number is not None) or "-"


@reported(
    "How many clusters?",
    "n_clusters",
    "benchmarks/n_clusters.py",
    "For which number of clusters the score, the silhouette of k-means and the BIC of a "
    "Gaussian mixture are best, and how many HDBSCAN finds. Some of the sets were used to design "
    "the score.",
)
def section(content: Row) -> str:
    """Where each measure peaks: one number for all seeds, or several."""
    lines = peaks(content["rows"])
    cells = []
    for data in dict.fromkeys(line["data"] for line in lines):
        of_set = [line for line in lines if line["data"] == data]
        kinds = " or ".join(map(str, DATA[data].kinds))
        found = [_or_none([line[name] for line in of_set]) for name in [*MEASURES, "hdbscan"]]
        cells.append([data, "yes" if DATA[data].tuned else "no", kinds, *found])
    heads = ["set", "served to choose", "kinds", "peak of score", "of silhouette", "of BIC"]
    heads += ["by HDBSCAN"]
    right = [
        f"- {row['sets']}: score {row['score']}, silhouette {row['silhouette']}, BIC {row['bic']}, "
        f"HDBSCAN {row['hdbscan']} of {row['n']} right"
        for row in shares(lines)
    ]
    return table(heads, cells) + "\n" + "\n".join(right) + "\n"


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--data", nargs="+", choices=list(DATA), help="default: all at hand")
    options = options.parse_args()
    cases = [
        {"data": data, "seed": seed, "n_clusters": n_clusters}
        for seed in options.seeds or (SEEDS[:1] if options.quick else SEEDS)
        for data in options.data or available()
        for n_clusters in (DATA[data].numbers[:3] if options.quick else DATA[data].numbers)
    ]
    rows = run("n_clusters", partial(measure, quick=options.quick), cases, options)
    lines = peaks(rows)
    print_table(lines)
    print_table(shares(lines))


if __name__ == "__main__":
    main()
