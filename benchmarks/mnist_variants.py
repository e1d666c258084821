"""Clusters of MNIST when its images look different: negatives, other light, sizes, fewer rows.

    python benchmarks/mnist_variants.py    # seeds 100 and 101 -> results/mnist_variants.json

20 000 training images or fewer, the consistency phase alone, the defaults; accuracy is that of
these images, one-to-one. An interrupted run resumes where it stopped. Every fit uses one thread.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from _shared import (
    MNIST_SHAPE,
    QUICK,
    Measure,
    Row,
    decimals,
    groups_table,
    mnist,
    parser,
    print_table,
    reported,
    run,
)
from torch.nn import functional as F

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.metrics import cluster_accuracy

N_IMAGES, SEEDS = 20_000, range(100, 102)
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def each(low: float, high: float, rng: np.random.Generator, n: int) -> np.ndarray:
    """One number for each image."""
    return rng.uniform(low, high, (n, 1, 1))


def resized(X: np.ndarray, side: int) -> np.ndarray:
    images = F.interpolate(torch.from_numpy(X)[:, None], (side, side), mode="area")
    return images[:, 0].numpy()


# Images (n, 28, 28) from 0 to 255, and a generator -> changed images
CHANGES: dict[str, Change] = {
    "as they are": lambda X, rng: X,
    "black on white": lambda X, rng: 255 - X,
    "each of other contrast": lambda X, rng: X * each(0.35, 1, rng, len(X)),
    "each on another grey": lambda X, rng: X / 2 + each(0, 120, rng, len(X)),
    "noise of a deviation of 40": lambda X, rng: (X + rng.normal(0, 40, X.shape)).clip(0, 255),
    "14 x 14 pixels": lambda X, rng: resized(X, 14),
    "1 000 images": lambda X, rng: X[:1000],
}


def measure(images: str, seed: int, quick: bool) -> Row:
    """Accuracy, score and CPU seconds of one fit."""
    data = mnist(quick)
    n = 600 if quick else N_IMAGES
    X = data.X_train[:n].reshape(-1, *MNIST_SHAPE).astype(np.float32)
    X = CHANGES[images](X, np.random.default_rng(seed)).astype(np.float32)
    budget = {**(QUICK if quick else {}), "max_iter": 0}
    gan = BInfoGANTransformer(image_shape=X.shape[1:], random_state=seed, **budget)
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # signs of collapse
        labels = gan.fit_predict(X.reshape(len(X), -1))
    return {
        "accuracy": cluster_accuracy(data.y_train[: len(X)], labels),
        "score": float(gan.score(X.reshape(len(X), -1))),
        "seconds": time.process_time() - start,
    }


MEASURES = [
    Measure("accuracy", "one-to-one accuracy"),
    Measure("score", "score", "", decimals),
    Measure("seconds", "CPU seconds", "", decimals, max),
]


@reported(
    "Images that look different",
    "mnist_variants",
    "benchmarks/mnist_variants.py",
    "20 000 training images, or fewer where it says so, changed in ways that leave the digits what "
    "they are. Clusters alone.",
)
def section(content: Row) -> str:
    return groups_table("images", content["rows"], MEASURES)


def main() -> None:
    options = parser(__doc__.splitlines()[0]).parse_args()
    seeds = options.seeds or SEEDS
    cases = [{"images": images, "seed": seed} for seed in seeds for images in CHANGES]
    rows = run("mnist_variants", partial(measure, quick=options.quick), cases, options)
    print_table(rows)


if __name__ == "__main__":
    main()
