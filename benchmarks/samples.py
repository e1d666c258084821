"""Samples of tables as training data, and the classifier with all labels, compared with peers.

    python benchmarks/samples.py    # seeds 100 to 104 -> results/samples.json

The 12 tables lie in the folder `tables` of SKLEARN_BINFOGAN_DATA; at most 4 000 rows of each, of
which 40 % are kept for the test. Samples are drawn class by class, as many as there are training
rows. The mixture has five Gaussians per class and sees standardised rows. "Without the game" is
the ablation: a mixture of the same size, with the same kinds of columns, as in `sample`, but of the
rows themselves instead of codes and residuals.
An interrupted run resumes where it stopped. Every fit uses one thread.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _shared import (
    QUICK,
    Measure,
    Row,
    decimals,
    groups_table,
    numbers_only,
    parser,
    print_table,
    reported,
    run,
)
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_binfogan import BInfoGANClassifier
from sklearn_binfogan._aggregate import AggregatePosterior
from sklearn_binfogan._codes import CodeSpec
from sklearn_binfogan._layout import Layout
from sklearn_binfogan._presets import TABLE
from sklearn_binfogan.metrics import train_on_generated_score, two_sample_score

TABLES = ["movement_libras", "wdbc", "ionosphere", "pima", "vehicle", "segment", "letter"]
TABLES += ["satimage", "penbased", "spambase", "magic", "twonorm"]
SEEDS = range(100, 105)
MOST_ROWS, TESTED = 4000, 0.4
N_GAUSSIANS = 5
LABELS_A_CLASS = 10

Draw = Callable[[int, int], np.ndarray]  # class, number of rows -> rows


def split(table: str, seed: int) -> list[np.ndarray]:
    """Rows to fit and to test by, and their classes."""
    with np.load(Path(os.environ["SKLEARN_BINFOGAN_DATA"]) / "tables" / f"{table}.npz") as file:
        X, y = file["X"].astype(np.float64), np.unique(file["y"], return_inverse=True)[1]
    rows = np.random.default_rng(seed).permutation(len(X))[:MOST_ROWS]
    return train_test_split(X[rows], y[rows], test_size=TESTED, random_state=seed, stratify=y[rows])


def mixtures(X: np.ndarray, y: np.ndarray, seed: int) -> Draw:
    """Draw from one mixture per class."""
    scaler = StandardScaler().fit(X)

    def draw(label: int, n: int) -> np.ndarray:
        own = scaler.transform(X[y == label])
        n_used = min(N_GAUSSIANS, len(own))
        mixture = GaussianMixture(n_used, random_state=seed).fit(own)
        return scaler.inverse_transform(mixture.sample(n)[0])

    return draw


def without_the_game(X: np.ndarray, y: np.ndarray, seed: int) -> Draw:
    """Draw from the density that `sample` uses, fitted to the rows themselves."""
    layout, n_classes = Layout.table(X), int(y.max()) + 1
    spec = CodeSpec((n_classes,), 0, 0)
    density = AggregatePosterior(spec, TABLE.recipe.density_components, X.shape[1])
    categories = torch.eye(n_classes)
    density.fit(categories[y], torch.from_numpy(layout.scaled(X, np.float32)))
    rng = torch.Generator().manual_seed(seed)

    def draw(label: int, n: int) -> np.ndarray:
        _, rows = density.draw(categories[[label] * n], rng)
        return layout.to_rows(rows.numpy())

    return draw


def judged(draw: Draw, name: str, parts: list[np.ndarray], seed: int) -> Row:
    """Train on generated rows and test on real ones; tell the two apart."""
    _, X_test, y, y_test = parts
    counts = np.bincount(y)
    rows = np.concatenate([draw(label, n) for label, n in enumerate(counts)])
    labels = np.repeat(np.arange(len(counts)), counts)
    trained = train_on_generated_score(X_test, y_test, rows, labels, random_state=seed)
    told = two_sample_score(X_test, rows, random_state=seed)
    return {f"trained_on_{name}": trained, f"told_from_{name}": told}


def ten_labels(y: np.ndarray, seed: int) -> np.ndarray:
    """Keep the labels of ten rows of each class, or of all if there are fewer; -1 elsewhere."""
    rng, few = np.random.default_rng(seed), np.full(len(y), -1)
    for label in range(int(y.max()) + 1):
        rows = rng.permutation(np.flatnonzero(y == label))[:LABELS_A_CLASS]
        few[rows] = label
    return few


def measure(table: str, seed: int, quick: bool) -> Row:
    """All measures of one table with one seed."""
    parts = split(table, seed)
    X, X_test, y, y_test = parts
    budget = QUICK if quick else {}
    start = time.process_time()
    gan = BInfoGANClassifier(random_state=seed, **budget).fit(X, y)
    seconds = time.process_time() - start
    few = BInfoGANClassifier(random_state=seed, **{**budget, "max_iter": 0}).fit(
        X, ten_labels(y, seed)
    )
    mlp = make_pipeline(StandardScaler(), MLPClassifier(random_state=seed)).fit(X, y)

    def sample(label: int, n: int) -> np.ndarray:
        return gan.sample(n, label=label, random_state=seed)[0]

    return {
        "trained_on_real": train_on_generated_score(X_test, y_test, X, y, random_state=seed),
        **judged(sample, "ours", parts, seed),
        **judged(mixtures(X, y, seed), "mixture", parts, seed),
        **judged(without_the_game(X, y, seed), "density", parts, seed),
        "accuracy": float(gan.score(X_test, y_test)),
        "accuracy_ten": float(few.score(X_test, y_test)),
        "mlp_accuracy": float(mlp.score(X_test, y_test)),
        "fit_seconds": seconds,
    }


WAYS = {
    "ours": "`sample`",
    "mixture": "a mixture per class",
    "density": "a density like that of `sample`, without the game",
}
SAMPLES = [
    Measure("trained_on_real", "a forest trained on real rows, tested on others"),
    *(Measure(f"trained_on_{way}", f"the same trained on rows of {WAYS[way]}") for way in WAYS),
    *(
        Measure(
            f"told_from_{way}",
            f"a forest tells real rows from those of {WAYS[way]}",
            "",
            decimals,
            max,
        )
        for way in WAYS
    ),
    Measure("accuracy", "accuracy of BInfoGANClassifier, all labels"),
    Measure("mlp_accuracy", "accuracy of MLPClassifier, all labels"),
    Measure("accuracy_ten", "accuracy of BInfoGANClassifier, ten labels a class"),
    Measure("fit_seconds", "CPU seconds for one fit", "", decimals, max),
]


def means(rows: list[Row], by: str) -> list[Row]:
    """Mean of every measure over the rows of each table, or of each seed."""
    names = [name for name in rows[0] if isinstance(rows[0][name], float)]
    averaged = []
    for value in dict.fromkeys(row[by] for row in rows):
        own = [row for row in rows if row[by] == value]
        mean = {name: float(np.mean([row[name] for row in own])) for name in names}
        averaged.append({by: value, **mean})
    return averaged


@reported(
    "Samples of tables",
    "samples",
    "benchmarks/samples.py",
    "Whether rows of `sample` can replace real ones. On average a mixture per class does as well, "
    "and so does our density without the game. Told apart: 0.5 is best.",
)
def section(content: Row) -> str:
    rows = content["rows"]
    n_tables = len({row["table"] for row in rows})
    overall = [{**row, "table": f"mean over {n_tables} tables"} for row in means(rows, "seed")]
    return groups_table("table", rows + overall, SAMPLES)


def main() -> None:
    options = parser(__doc__.splitlines()[0]).parse_args()
    seeds = options.seeds or SEEDS
    cases = [{"table": table, "seed": seed} for seed in seeds for table in TABLES]
    rows = run("samples", partial(measure, quick=options.quick), cases, options)
    print_table(means(numbers_only(rows), "table"))


if __name__ == "__main__":
    main()
