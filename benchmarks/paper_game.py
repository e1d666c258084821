"""Does the paper's game at full width teach more than our default, in clusters or in samples?

    python benchmarks/paper_game.py    # -> results/paper_game.json

On MNIST, seed by seed: the paper's preset alone, the same after our consistency phase with nothing
frozen, and our default. Hours of one core for a seed, minutes on a GPU. Clusters are judged on test
images. A small network is trained on samples, or on reconstructions of real images, and tested on
real images; the label of a sample is its category's most frequent digit in the training images.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
from _shared import (
    MNIST_SHAPE,
    QUICK,
    Measure,
    Row,
    conv_net_accuracy,
    decimals,
    groups_table,
    mnist,
    numbers_only,
    parser,
    print_table,
    reported,
    run,
    whole,
)

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.metrics import match_clusters, prdc

N_IMAGES, N_COMPARED = 10_000, 2_000
PAPER: Row = {"architecture": "paper-mnist"}
# A weight of 0 would leave the phase out; this one leaves its term out of the game.
AFTER: Row = {**PAPER, "warmup_iter": 1_400, "max_iter": 10_000, "consistency_weight": 1e-9}
RUNS: dict[str, Row] = {
    "our default": {},
    "the paper's": PAPER,
    "consistency phase, then the paper's": AFTER,
    "the same, its term kept": {**AFTER, "consistency_weight": 1.0},
}
SEEDS = (100,)


def measure(training: str, seed: int, quick: bool) -> Row:
    """Clusters, samples and reconstructions of one way to train."""
    data = mnist(quick)
    gan = BInfoGANTransformer(
        image_shape=MNIST_SHAPE,
        include_noise=True,
        random_state=seed,
        **RUNS[training] | (QUICK if quick else {}),
    )
    start = time.perf_counter()
    gan.fit(data.X_train)
    return {"seconds": time.perf_counter() - start, **measures(gan, data, seed)}


def measures(gan: BInfoGANTransformer, data: Any, seed: int) -> Row:
    """All measures of a fitted model."""
    found, _ = match_clusters(data.y_train, gan.predict(data.X_train))
    digit_of = np.array([found.get(k, -1) for k in range(10)])
    X, y = gan.sample(N_IMAGES, random_state=seed)
    is_known = digit_of[y] >= 0  # a category may have no row
    real, labels = data.X_train[:N_IMAGES], data.y_train[:N_IMAGES]
    rebuilt = gan.inverse_transform(gan.transform(real))
    tested = (data.X_test, data.y_test, seed)
    near = prdc(data.X_test[:N_COMPARED] / 255.0, X[:N_COMPARED] / 255.0)
    return {
        "test_accuracy": float((digit_of[gan.predict(data.X_test)] == data.y_test).mean()),
        "trained_on_samples": conv_net_accuracy(X[is_known], digit_of[y[is_known]], *tested),
        "trained_on_reconstructions": conv_net_accuracy(rebuilt, labels, *tested),
        "trained_on_real": conv_net_accuracy(real, labels, *tested),
        "precision": near.precision,
        "coverage": near.coverage,
    }


MEASURES = [
    Measure("test_accuracy", "clusters: one-to-one test accuracy"),
    Measure("trained_on_samples", "network trained on 10 000 samples"),
    Measure("trained_on_reconstructions", "network trained on 10 000 reconstructions"),
    Measure("trained_on_real", "network trained on 10 000 real images"),
    Measure("precision", "precision of samples (k = 5, pixels)", shown=decimals),
    Measure("coverage", "coverage of real images (k = 5, pixels)", shown=decimals),
    Measure("seconds", "seconds of the fit", shown=whole, worst=max),
]


@reported("Does the paper's game teach more?", "paper_game", "benchmarks/paper_game.py")
def section(content: Row) -> str:
    return groups_table("training", content["rows"], MEASURES)


def main() -> None:
    options = parser(__doc__.splitlines()[0]).parse_args()
    seeds = options.seeds or SEEDS
    cases = [{"training": name, "seed": seed} for seed in seeds for name in RUNS]
    rows = run("paper_game", partial(measure, quick=options.quick), cases, options)
    print_table(numbers_only(rows))


if __name__ == "__main__":
    main()
