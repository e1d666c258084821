"""MNIST: clusters, codes, samples and reconstructions, seed by seed.

    python benchmarks/mnist.py              # seeds 100 to 109 -> results/mnist.json
    python benchmarks/mnist.py --prior      # classes of unequal size -> results/mnist_prior.json
    python benchmarks/mnist.py --score      # does score rank models? -> results/mnist_score.json
    python benchmarks/mnist.py --ablation   # what each part does -> results/mnist_ablation.json

A run that was cut off goes on where it stopped. Every fit uses one thread. No labels are used to
fit or to choose; `python benchmarks/results_page.py` writes docs/results_mnist.md from the files.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
from _classifiers import conv_accuracy, few_labels_accuracy, logistic_accuracy
from _factors import factor_measures
from _report import QUICK, SEEDS, Row, parser, print_table, run, summary
from digits import N_CLUSTERS, N_CONTINUOUS, agreement, r2, recovery
from paper_mnist import HALF, N_STEPS
from results_page import rank_correlation
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import PCA
from sklearn.metrics import confusion_matrix
from sklearn.utils import Bunch
from skorch.callbacks import Callback

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan._architectures import resolve_architecture
from sklearn_binfogan.datasets import load_mnist
from sklearn_binfogan.metrics import cluster_accuracy, match_clusters

IMAGE_SHAPE = (28, 28)
N_CODES = N_CLUSTERS + N_CONTINUOUS
N_TRAIN, BLOCK = 60_000, 1000
N_GENERATED, N_LABELS = 10_000, (20, 100)
PAPER_ROWS, PAPER_STEPS, PAPER_WARMUP_STEPS = 1280, 11, 2

FEW_SEEDS = range(100, 103)
PRIORS = ["learned", "uniform"]
CLASS_SIZES = np.linspace(6000, 600, 10).astype(int)

N_SCORE_FIT, N_SCORED = 20_000, 5000  # rows: some fifty fits are to end within a coffee break
SCORE_SEEDS = range(300, 324)  # the score was designed on seeds 200 to 223
SCORE_BUDGET = {"warmup_iter": 200, "max_iter": 100}
MIXED = [
    {"warmup_iter": steps, "max_iter": 100, "mi_weight": weight, "learning_rate": rate}
    for steps in (50, 100, 300)
    for weight in (0.1, 1.0)
    for rate in (5e-4, 2e-3)
]

SHORT = {"warmup_iter": 300, "max_iter": 300}


def load(quick: bool) -> Bunch:
    """MNIST, or a little of it to try the script."""
    data = load_mnist()
    if quick:
        for name, n_rows in {
            "X_train": 2000,
            "y_train": 2000,
            "X_test": 500,
            "y_test": 500,
        }.items():
            data[name] = data[name][:n_rows]
    return data


def new_model(seed: int, quick: bool, **parameters: Any) -> BInfoGANTransformer:
    """The model that every study looks at; a quick run overrules its budget."""
    budget = {k: v for k, v in QUICK.items() if parameters.get(k) != 0} if quick else {}
    return BInfoGANTransformer(
        n_clusters=N_CLUSTERS,
        n_continuous=N_CONTINUOUS,
        image_shape=IMAGE_SHAPE,
        include_noise=True,
        random_state=seed,
        **{**parameters, **budget},
    )


def timed_fit(gan: BInfoGANTransformer, X: np.ndarray) -> float:
    """Fit and return the seconds that it took."""
    start = time.perf_counter()
    gan.fit(X)
    return time.perf_counter() - start


def pixels(X: np.ndarray) -> np.ndarray:
    """Rows of 0 to 255 as float32 in [0, 1]."""
    return X.astype(np.float32) / 255


# -- every measure of one seed -----------------------------------------------------------------


class FirstPhase(Callback):
    """Where the model stands at the end of the consistency phase.

    Attributes, once the phase has ended: `ended_`, on the clock of `time.perf_counter`;
    `seconds_`, what this callback itself took; `labels_`, the clusters of `X`.
    """

    def __init__(self, X: np.ndarray) -> None:
        self.X = X

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        if net.training.phase.name != "game":  # before it the categories are settled
            return
        self.ended_ = time.perf_counter()
        images = torch.from_numpy(pixels(self.X)).reshape(-1, 1, *IMAGE_SHAPE)
        encoder = net.module_.averaged_encoder
        with torch.no_grad():
            codes = torch.cat([encoder(block.to(net.device)) for block in images.split(BLOCK)])
        self.labels_ = codes[:, :N_CLUSTERS].argmax(dim=1).cpu().numpy()
        self.seconds_ = time.perf_counter() - self.ended_


class StepTimes(Callback):
    """When each training step ended, in `times_`."""

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        self.times_: list[float] = []

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        if training:
            self.times_.append(time.perf_counter())


def paper_step_seconds(X: np.ndarray, seed: int, quick: bool) -> float:
    """Median seconds of a step of the paper's preset, here and now."""
    steps = StepTimes()
    BInfoGANTransformer(
        image_shape=IMAGE_SHAPE,
        architecture="paper-mnist",
        max_iter=PAPER_WARMUP_STEPS + 2 if quick else PAPER_STEPS,
        random_state=seed,
        callbacks=[steps],
    ).fit(X[:PAPER_ROWS])
    return float(np.median(np.diff(steps.times_[PAPER_WARMUP_STEPS:])))


def clusters_and_seconds(data: Bunch, seed: int, quick: bool) -> tuple[BInfoGANTransformer, Row]:
    """Fit; accuracies of the clusters and what they cost."""
    first = FirstPhase(data.X_test)
    gan = new_model(seed, quick, callbacks=[first])
    start = time.perf_counter()
    seconds = timed_fit(gan, data.X_train) - first.seconds_
    step_seconds = paper_step_seconds(data.X_train, seed, quick)
    return gan, {
        "test_accuracy": cluster_accuracy(data.y_test, gan.predict(data.X_test)),
        "train_accuracy": cluster_accuracy(data.y_train, gan.labels_),
        "fit_seconds": seconds,
        "first_phase_accuracy": cluster_accuracy(data.y_test, first.labels_),
        "first_phase_seconds": first.ended_ - start,
        "paper_step_seconds": step_seconds,
        "speedup": N_STEPS * step_seconds / seconds,
    }


def generated(
    gan: BInfoGANTransformer, data: Bunch, n_images: int, seed: int, **how: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Samples and the digits that they are to be."""
    digit_of, _ = match_clusters(data.y_train, gan.labels_)
    images, drawn = gan.sample(n_images, random_state=seed, **how)
    # A cluster that holds no training image has no digit: its samples are left out.
    known = np.isin(drawn, list(digit_of))
    return pixels(images[known]), np.array([digit_of[k] for k in drawn[known].tolist()])


def trained_on_generated(gan: BInfoGANTransformer, data: Bunch, seed: int) -> Row:
    """Test accuracy of classifiers that saw generated images alone; real ones for comparison."""
    n_images = min(N_GENERATED, len(data.X_train))
    chosen = np.random.default_rng(seed).choice(len(data.X_train), n_images, replace=False)
    test = (pixels(data.X_test), data.y_test)
    sources = {
        "generated": generated(gan, data, n_images, seed),
        "prior": generated(gan, data, n_images, seed, from_prior=True),
        "real": (pixels(data.X_train[chosen]), data.y_train[chosen]),
    }
    return {
        **{f"{k}_logistic": logistic_accuracy(*rows, *test) for k, rows in sources.items()},
        **{f"{k}_conv": conv_accuracy(*rows, *test, seed) for k, rows in sources.items()},
    }


def few_labels(train_codes: np.ndarray, test_codes: np.ndarray, data: Bunch, seed: int) -> Row:
    """Logistic regression on 20 and 100 labels: on codes, on pixels and on as many components."""
    train, test = pixels(data.X_train), pixels(data.X_test)
    pca = PCA(N_CODES, random_state=seed).fit(train)
    features = {
        "codes": (train_codes, test_codes),
        "pixels": (train, test),
        "pca": (pca.transform(train), pca.transform(test)),
    }
    return {
        f"labels_{n}_{name}": few_labels_accuracy(
            pair, data.y_train, data.y_test, n, seed, scale=name != "pixels"
        )
        for n in N_LABELS
        for name, pair in features.items()
    }


def measure(seed: int, quick: bool) -> Row:
    """Every line of the table for one seed."""
    data = load(quick)
    gan, clusters = clusters_and_seconds(data, seed, quick)
    with_noise = gan.transform(data.X_test)
    codes = with_noise[:, :N_CODES]
    images = pixels(data.X_test).reshape(-1, *IMAGE_SHAPE)
    return {
        **clusters,
        **recovery(gan, seed),
        "r2": r2(data.X_test, gan.inverse_transform(with_noise)),
        **factor_measures(gan.predict(data.X_test), codes[:, N_CLUSTERS:], images),
        **trained_on_generated(gan, data, seed),
        **few_labels(gan.transform(data.X_train)[:, :N_CODES], codes, data, seed),
        "score": float(gan.score(data.X_test)),
    }


# -- classes of unequal size -------------------------------------------------------------------


def thinned(data: Bunch, seed: int) -> tuple[np.ndarray, list[int]]:
    """Training rows of which class sizes fall evenly, and those sizes; the seed ranks the classes.

    A class that has fewer images than its rank asks for gives all it has.
    """
    rng = np.random.default_rng(seed)
    wanted_sizes = CLASS_SIZES * len(data.y_train) // N_TRAIN  # a quick run has fewer
    chosen = []
    for wanted, digit in zip(wanted_sizes, rng.permutation(10), strict=True):
        rows = np.flatnonzero(data.y_train == digit)
        chosen.append(rng.choice(rows, min(wanted, len(rows)), replace=False))
    return np.sort(np.concatenate(chosen)), [len(rows) for rows in chosen]


def balanced_accuracy(y: np.ndarray, labels: np.ndarray) -> float:
    """Mean recall of the classes under the one-to-one assignment that makes it largest."""
    recall = confusion_matrix(y, labels, labels=np.arange(N_CLUSTERS), normalize="true")
    return float(recall[linear_sum_assignment(recall, maximize=True)].mean())


def measure_prior(cluster_prior: str, seed: int, quick: bool) -> Row:
    """One fit on classes of unequal size; the test set keeps its own."""
    data = load(quick)
    rows, sizes = thinned(data, seed)
    # The game leaves the clusters as the first phase has made them: it may be short.
    gan = new_model(seed, quick, cluster_prior=cluster_prior, max_iter=100)
    seconds = timed_fit(gan, data.X_train[rows])
    labels = gan.predict(data.X_test)
    prior = getattr(gan, "cluster_prior_", None)
    return {
        "balanced_accuracy": balanced_accuracy(data.y_test, labels),
        "test_accuracy": cluster_accuracy(data.y_test, labels),
        "seconds": seconds,
        "class_shares": (np.array(sizes) / sum(sizes)).tolist(),
        "cluster_prior_": None if prior is None else np.asarray(prior).tolist(),
    }


# -- does score rank models? -------------------------------------------------------------------


def score_cases(seeds: Iterable[int], quick: bool) -> list[Row]:
    """Many seeds of one configuration; two seeds for each of a dozen."""
    seeds = list(seeds)[: 4 if quick else None]
    one = [{"configurations": "one", "seed": seed, **SCORE_BUDGET} for seed in seeds]
    mixed = [
        {"configurations": "mixed", "seed": seed, **parameters}
        for parameters in MIXED[:: 6 if quick else 1]
        for seed in seeds[:2]
    ]
    return one + mixed


def measure_score(configurations: str, seed: int, quick: bool, **parameters: Any) -> Row:
    """The label-free score of a short fit beside its accuracy."""
    data = load(quick)
    gan = new_model(seed, quick, **parameters)
    X, y = data.X_train[:N_SCORE_FIT], data.y_train[:N_SCORE_FIT]
    seconds = timed_fit(gan, X)
    return {
        "score": float(gan.score(X[:N_SCORED])),
        "test_accuracy": cluster_accuracy(data.y_test, gan.predict(data.X_test)),
        "train_accuracy": cluster_accuracy(y, gan.labels_),
        "seconds": seconds,
        "diagnostics": {k: v for k, v in gan.diagnostics_.items() if isinstance(v, float)},
    }


# -- what each part does -----------------------------------------------------------------------


def default_architecture() -> Any:
    """The object that architecture="auto" stands for."""
    return resolve_architecture("auto", (1, *IMAGE_SHAPE))


def ablations() -> dict[str, Row]:
    """Parameters of each row of the ablation table."""

    def changed(**values: float) -> Any:
        return dataclasses.replace(default_architecture(), **values)

    return {
        "consistency phase alone": {**SHORT, "max_iter": 0},
        "the paper's game alone": {"architecture": HALF, "warmup_iter": 0, "max_iter": 600},
        "both": SHORT,
        "both, one head": {**SHORT, "architecture": changed(n_heads=1)},
        "both, no cycle": {**SHORT, "cycle_weight": 0},
        "both, no candidate or fine heads": {
            **SHORT,
            "architecture": changed(n_heads=1, n_overclustering_heads=0),
        },
        "both, no steadiness": {**SHORT, "architecture": changed(invariance_weight=0.0)},
        "both, no marginal": {**SHORT, "architecture": changed(prior_matching_weight=0.0)},
    }


def measure_ablation(system: str, seed: int, quick: bool) -> Row:
    """One short fit of one system."""
    data = load(quick)
    gan = new_model(seed, quick, **ablations()[system])
    seconds = timed_fit(gan, data.X_train)
    codes, labels = gan.transform(data.X_test), gan.predict(data.X_test)
    images = pixels(data.X_test).reshape(-1, *IMAGE_SHAPE)
    return {
        "test_accuracy": cluster_accuracy(data.y_test, labels),
        "r2": r2(data.X_test, gan.inverse_transform(codes)),
        "agreement": agreement(gan, seed),
        **factor_measures(labels, codes[:, N_CLUSTERS:N_CODES], images),
        "seconds": seconds,
    }


# -- from the command line ---------------------------------------------------------------------


def numbers_only(rows: list[Row]) -> list[Row]:
    """Rows without lists and dicts, which no table has room for."""
    return [{k: v for k, v in row.items() if not isinstance(v, list | dict)} for row in rows]


def run_main(options: argparse.Namespace) -> None:
    """The table of every seed, and its summary."""
    cases = [{"seed": seed} for seed in options.seeds or SEEDS]
    rows = run("mnist", partial(measure, quick=options.quick), cases, options)
    # A table of some thirty measures is read down a column per seed.
    names = [name for name in numbers_only(rows)[0] if name != "seed"]
    lines = numbers_only(rows) + summary(rows, by="seed")
    print_table(
        [{"measure": name, **{str(x["seed"]): x.get(name, "") for x in lines}} for name in names]
    )
    print(f"slant and stroke found in {sum(r['factors_found'] for r in rows)} of {len(rows)} seeds")


def run_prior(options: argparse.Namespace) -> None:
    """Learned and uniform prior on classes of unequal size."""
    seeds = options.seeds or FEW_SEEDS
    cases = [{"cluster_prior": prior, "seed": seed} for prior in PRIORS for seed in seeds]
    print_table(
        numbers_only(
            run("mnist_prior", partial(measure_prior, quick=options.quick), cases, options)
        )
    )


def run_score(options: argparse.Namespace) -> None:
    """Rank correlation of the score with accuracy, two ways."""
    cases = score_cases(options.seeds or SCORE_SEEDS, options.quick)
    rows = run("mnist_score", partial(measure_score, quick=options.quick), cases, options)
    for kind in ("one", "mixed"):
        of_kind = [row for row in rows if row["configurations"] == kind]
        print_table(numbers_only(of_kind))
        print(f"{kind}: rank correlation {rank_correlation(of_kind):.3f}")


def run_ablation(options: argparse.Namespace) -> None:
    """The table of systems."""
    seeds = options.seeds or FEW_SEEDS
    cases = [{"system": name, "seed": seed} for name in ablations() for seed in seeds]
    rows = run("mnist_ablation", partial(measure_ablation, quick=options.quick), cases, options)
    print_table(numbers_only(rows))


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    studies = {"prior": run_prior, "score": run_score, "ablation": run_ablation}
    group = options.add_mutually_exclusive_group()
    for name, study in studies.items():
        group.add_argument(
            f"--{name}",
            dest="study",
            action="store_const",
            const=study,
            default=run_main,
            help=f"{study.__doc__} Default: the main table.",
        )
    options = options.parse_args()
    options.study(options)


if __name__ == "__main__":
    main()
