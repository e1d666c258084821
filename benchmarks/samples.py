"""Samples of tables as training data, and the classifier with all labels, compared with peers.

    python benchmarks/samples.py            # seeds 100 to 104 -> results/samples.json
    python -m pip install -e '.[table-peers]'
    python benchmarks/samples.py --peers    # other generators -> results/table_peers.json

The 12 tables lie in the folder `tables` of SKLEARN_BINFOGAN_DATA; at most 4 000 rows of each, of
which 40 % are kept for the test. Samples are drawn class by class, as many as there are training
rows. The mixture has five Gaussians per class and sees standardised rows. "Without the game" is the
ablation: a mixture of the same size, with the same kinds and corrections of columns, as in
`sample`, but of the rows themselves instead of codes and residuals. `table_peers.py` says how the
others are used; those that are not installed are left out. They need NumPy 1 and pandas 2.0, so an
environment of their own, and their run is one of all generators, with SDMetrics' quality report if
it is installed. The tables whose fits take least come first.

An interrupted run resumes where it stopped. Every fit uses one thread.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from _shared import (
    QUICK,
    Measure,
    Row,
    decimals,
    folded,
    groups_table,
    numbers_only,
    parser,
    print_table,
    reported,
    run,
    table,
    whole,
)
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from table_peers import Draw, copula, ctgan, forests, quality, tvae

from sklearn_binfogan import BInfoGANClassifier
from sklearn_binfogan._aggregate import AggregatePosterior
from sklearn_binfogan._codes import CodeSpec
from sklearn_binfogan._layout import Layout
from sklearn_binfogan._marginals import MOST_DRAWN, Marginals
from sklearn_binfogan._presets import TABLE
from sklearn_binfogan.metrics import train_on_generated_score, two_sample_score

# Those whose fits take least come first.
TABLES = ["pima", "ionosphere", "wdbc", "vehicle", "twonorm", "magic", "segment", "penbased"]
TABLES += ["letter", "movement_libras", "satimage", "spambase"]
SEEDS = range(100, 105)
MOST_ROWS, TESTED = 4000, 0.4
N_GAUSSIANS = 5
LABELS_A_CLASS = 10


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
    scaled = torch.from_numpy(layout.scaled(X, np.float32))
    density.fit(categories[y], scaled)
    marginals, rng = Marginals(X.shape[1]), torch.Generator().manual_seed(seed)
    repeated = np.tile(y, max(MOST_DRAWN // len(y), 1))
    marginals.fit(layout.unscaled(density.draw(categories[repeated], rng)[1].numpy()), X, layout)

    def draw(label: int, n: int) -> np.ndarray:
        _, rows = density.draw(categories[[label] * n], rng)
        return layout.kept(marginals.corrected(layout.unscaled(rows.numpy())))

    return draw


def ours(X: np.ndarray, y: np.ndarray, seed: int, **budget: int) -> Draw:
    """Draw by `sample` from a classifier that knows all labels."""
    return samples_of(BInfoGANClassifier(random_state=seed, **budget).fit(X, y), seed)


def samples_of(gan: BInfoGANClassifier, seed: int) -> Draw:
    return lambda label, n: gan.sample(n, label=label, random_state=seed)[0]


def real(X: np.ndarray, y: np.ndarray, seed: int) -> Draw:
    """Give the training rows themselves: what the best generator could reach."""
    return lambda label, n: X[y == label][:n]


def generated(draw: Draw, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw as many rows of each class as `y` has, and their classes."""
    drawn = [draw(label, n) for label, n in enumerate(np.bincount(y))]
    return np.concatenate(drawn), np.repeat(np.arange(len(drawn)), [len(rows) for rows in drawn])


def judged(rows: np.ndarray, labels: np.ndarray, parts: list[np.ndarray], seed: int) -> Row:
    """Train on generated rows and test on real ones; tell the two apart."""
    _, X_test, _, y_test = parts
    return {
        "trained_on": train_on_generated_score(X_test, y_test, rows, labels, random_state=seed),
        "told_from": two_sample_score(X_test, rows, random_state=seed),
    }


def ten_labels(y: np.ndarray, seed: int) -> np.ndarray:
    """Keep the labels of ten rows of each class, or of all if there are fewer; -1 elsewhere."""
    rng, few = np.random.default_rng(seed), np.full(len(y), -1)
    for label in range(int(y.max()) + 1):
        rows = rng.permutation(np.flatnonzero(y == label))[:LABELS_A_CLASS]
        few[rows] = label
    return few


def measure(table: str, seed: int, quick: bool) -> Row:
    """All measures of one table with one seed, without peers."""
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

    draws = {
        "ours": samples_of(gan, seed),
        "mixture": mixtures(X, y, seed),
        "density": without_the_game(X, y, seed),
    }
    found = {way: judged(*generated(draw, y), parts, seed) for way, draw in draws.items()}
    return {
        "trained_on_real": train_on_generated_score(X_test, y_test, X, y, random_state=seed),
        **{f"{name}_{way}": value for way in draws for name, value in found[way].items()},
        "accuracy": float(gan.score(X_test, y_test)),
        "accuracy_ten": float(few.score(X_test, y_test)),
        "mlp_accuracy": float(mlp.score(X_test, y_test)),
        "fit_seconds": seconds,
    }


def measure_way(table: str, seed: int, way: str, quick: bool) -> Row:
    """One generator, on one table with one seed."""
    parts = split(table, seed)
    X, X_test, y, y_test = parts
    start = time.process_time()
    draw = GENERATORS[way](X, y, seed, **(QUICK_BUDGETS.get(way, {}) if quick else {}))
    rows, labels = generated(draw, y)
    seconds = time.process_time() - start
    found = {"quality": quality(X_test, y_test, rows, labels)} if find_spec("sdmetrics") else {}
    missing = len(np.setdiff1d(y, labels))
    return {**judged(rows, labels, parts, seed), **found, "missing": missing, "seconds": seconds}


GENERATORS: dict[str, Callable[..., Draw]] = {
    "real": real,
    "ours": ours,
    "mixture": mixtures,
    "density": without_the_game,
    **({"copula": copula} if find_spec("copulas") else {}),
    **({"forests": forests} if find_spec("arfpy") else {}),
    **({"tvae": tvae, "ctgan": ctgan} if find_spec("ctgan") else {}),
}
QUICK_BUDGETS = {"ours": QUICK, "ctgan": {"epochs": 2}, "tvae": {"epochs": 2}}
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


COLUMNS = {
    "real": "real rows",
    "ours": "`sample`",
    "mixture": "mixture",
    "density": "without the game",
    "copula": "copula",
    "forests": "random forests",
    "tvae": "TVAE",
    "ctgan": "CTGAN",
}
JUDGED = [
    Measure("trained_on", "a forest trained on generated rows, tested on real ones"),
    Measure(
        "told_from",
        "a forest tells real rows from generated ones; 0.5 is best",
        "",
        decimals,
        max,
    ),
    Measure("quality", "SDMetrics' quality report; 1 is best", "", decimals),
    Measure("seconds", "CPU seconds to fit and to draw", "", whole, max),
]


def beside(rows: list[Row], measure: Measure) -> str:
    """A line per table, a column per generator: means over seeds.

    Below it the means over the tables that all have, and how often ours is better.
    """
    found: dict[str, dict[str, list[float]]] = {way: {} for way in COLUMNS}
    for row in rows:
        if measure.key in row:
            found[row["way"]].setdefault(row["table"], []).append(row[measure.key])
    means = {
        way: {name: float(np.mean(values)) for name, values in by_table.items()}
        for way, by_table in found.items()
        if by_table
    }
    names = list(dict.fromkeys(row["table"] for row in rows))
    lines = [
        [name, *(measure.shown(own[name]) if name in own else "" for own in means.values())]
        for name in names
    ]
    shared = [name for name in names if all(name in own for own in means.values())]
    if shared:
        averages = [float(np.mean([own[name] for name in shared])) for own in means.values()]
        lines.append([f"**mean over {len(shared)} tables**", *map(measure.shown, averages)])
    if "ours" in means:
        wins = [ours_is_better(means["ours"], own, measure) for own in means.values()]
        lines.append(["**`sample` is better on**", *wins])
    return table(["table", *(COLUMNS[way] for way in means)], lines)


def ours_is_better(ours: dict[str, float], other: dict[str, float], measure: Measure) -> str:
    """On how many of the tables that both have; empty for ours itself."""
    pairs = [(ours[name], other[name]) for name in ours if name in other]
    # The worst of the two is that of the other one.
    wins = sum(a != b and measure.worst(a, b) == b for a, b in pairs)
    return "" if ours is other else f"{wins} of {len(pairs)}"


@reported(
    "Samples of tables, beside other generators",
    "table_peers",
    "benchmarks/samples.py --peers",
    "Rows drawn class by class. Mixture, Gaussian copula and adversarial random forests are fitted "
    "per class; TVAE and CTGAN see the class as a column. All peers have their defaults.",
)
def peers_section(content: Row) -> str:
    rows = content["rows"]
    parts = [f"{m.label[0].upper()}{m.label[1:]}:\n\n{beside(rows, m)}" for m in JUDGED]
    missing = sorted({(row["table"], COLUMNS[row["way"]]) for row in rows if row["missing"]})
    if missing:
        named = ", ".join(f"{way} on {name}" for name, way in missing)
        parts.append(f"Not a row of some class was drawn by: {named}.")
    header = ["table", "seed", "generator", *(m.key.replace("_", " ") for m in JUDGED)]
    lines = [
        [
            *(row["table"], row["seed"], COLUMNS[row["way"]]),
            *(m.shown(row[m.key]) if m.key in row else "" for m in JUDGED),
        ]
        for row in rows
    ]
    return "\n\n".join([*parts, folded("Every seed", table(header, lines))])


def run_peers(options: argparse.Namespace) -> None:
    cases = [
        {"table": table, "seed": seed, "way": way}
        for seed in options.seeds or SEEDS
        for table in options.tables
        for way in GENERATORS
    ]
    run("table_peers", partial(measure_way, quick=options.quick), cases, options)


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--peers", action="store_true", help="other generators beside ours")
    few = {"nargs": "+", "choices": TABLES, "default": TABLES, "metavar": "NAME"}
    options.add_argument("--tables", **few, help="these tables alone")
    options = options.parse_args()
    if options.peers:
        run_peers(options)
        return
    seeds = options.seeds or SEEDS
    cases = [{"table": table, "seed": seed} for seed in seeds for table in options.tables]
    rows = run("samples", partial(measure, quick=options.quick), cases, options)
    print_table(means(numbers_only(rows), "table"))


if __name__ == "__main__":
    main()
