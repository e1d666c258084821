"""Categories of images, clusters alone: `python benchmarks/categories.py --images [NAME ...]`.

Digits of scikit-learn (all rows), MNIST, clothing (Fashion-MNIST), hands and digits on photographs,
from the folder SKLEARN_BINFOGAN_DATA. The consistency phase alone is trained, on training images
without labels; accuracy is that of test images, with the best one-to-one assignment of categories
to classes. "four starts" is `n_init=4`. Photographs have the paper's four codes; that code counts
which tells the digits of the training images best.
"""

from __future__ import annotations

import argparse
import gzip
import os
import time
import warnings
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _shared import (
    MNIST_SHAPE,
    QUICK,
    Row,
    decimals,
    folded,
    percent,
    pixels,
    print_table,
    reported,
    run,
    table,
    whole,
)
from colour import IMAGE_SHAPE, N_CLUSTERS, PHOTOS, photos
from scipy.stats import spearmanr
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.utils import Bunch

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.datasets import load_mnist
from sklearn_binfogan.metrics import cluster_accuracy

NAME = "categories_images"
OURS, FOUR_STARTS, KMEANS = "ours", "four starts", "kmeans"
TITLES = {KMEANS: "k-means"}  # for readers
HAND_SHAPE = (64, 64, 3)
DIGIT_SEEDS, SEEDS = range(100, 120), range(100, 105)
N_SCORED = 10_000  # training rows
FEW = 600  # rows of a quick run
PHOTO_CODES: dict[str, Any] = {**PHOTOS, "n_clusters": N_CLUSTERS}


def folder(name: str) -> Path:
    return Path(os.environ["SKLEARN_BINFOGAN_DATA"]) / name


def digits() -> Bunch:
    X, y = load_digits(return_X_y=True)
    return Bunch(X_train=X, y_train=y, X_test=X, y_test=y)


def hands() -> Bunch:
    with np.load(folder("hands") / "hands64.npz") as stored:
        parts: dict[str, np.ndarray] = dict(stored)
    for name in ("X_train", "X_test"):
        parts[name] = parts[name].reshape(len(parts[name]), -1)
    return Bunch(**parts)


def photographs() -> Bunch:
    train, test = photos(quick=False)
    return Bunch(X_train=train.X, y_train=train.y, X_test=test.X, y_test=test.y)


def clothing() -> Bunch:
    """Fashion-MNIST, which has MNIST's file names and sizes but other sums."""

    def read(name: str, header: int) -> np.ndarray:
        with gzip.open(folder("fashion-mnist") / f"{name}.gz") as file:
            return np.frombuffer(file.read(), np.uint8, offset=header)

    parts = {"train": "train", "test": "t10k"}
    data = Bunch()
    for part, name in parts.items():
        data[f"X_{part}"] = read(f"{name}-images-idx3-ubyte", 16).reshape(-1, 784)
        data[f"y_{part}"] = read(f"{name}-labels-idx1-ubyte", 8).astype(np.int64)
    return data


# Name -> reader, shape of an image, parameters
IMAGES: dict[str, tuple[Any, tuple[int, ...], dict[str, Any]]] = {
    "digits": (digits, (8, 8), {}),
    "mnist": (load_mnist, MNIST_SHAPE, {}),
    "clothing": (clothing, MNIST_SHAPE, {}),
    "hands": (hands, HAND_SHAPE, {}),
    "photographs": (photographs, IMAGE_SHAPE, PHOTO_CODES),
}


def methods_of(name: str) -> list[str]:
    """Four starts where a start ends well or badly by chance and takes less than a minute."""
    return [OURS, FOUR_STARTS, KMEANS] if name in ("digits", "clothing") else [OURS, KMEANS]


def measure(name: str, method: str, seed: int, quick: bool) -> Row:
    """Accuracy of test images; CPU seconds of the fit; score of training rows."""
    read, shape, parameters = IMAGES[name]
    data = read()
    n = FEW if quick else None
    X, y = data.X_train[:n], data.y_train[:n]
    X_test, y_test = data.X_test[:n], data.y_test[:n]
    start = time.process_time()
    if method == KMEANS:
        model = KMeans(10, n_init=3, random_state=seed).fit(pixels(X[:N_SCORED]))
        seconds = time.process_time() - start
        return {
            "agreement": cluster_accuracy(y_test, model.predict(pixels(X_test))),
            "seconds": seconds,
        }
    options = {
        "n_clusters": 10,
        "n_init": 4 if method == FOUR_STARTS else 1,
        **parameters,
        **(QUICK if quick else {}),
        "max_iter": 0,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # signs of collapse
        gan = BInfoGANTransformer(image_shape=shape, random_state=seed, **options).fit(X)
    seconds = time.process_time() - start
    labels = gan.labels_.reshape(len(X), -1)
    on_training = [cluster_accuracy(y, column) for column in labels.T]
    best = int(np.argmax(on_training))
    found = gan.predict(X_test).reshape(len(X_test), -1)[:, best]
    return {
        "agreement": cluster_accuracy(y_test, found),
        "training_accuracy": max(on_training),
        "score": float(gan.score(X[:N_SCORED])),
        "seconds": seconds,
    }


# -- page and run ------------------------------------------------------------------------------


def cases(names: Iterable[str], seeds: Iterable[int] | None) -> list[Row]:
    """A case per fit, of all data sets for one seed before the next."""
    wanted = {name: list(seeds or (DIGIT_SEEDS if name == "digits" else SEEDS)) for name in names}
    every = sorted({seed for numbers in wanted.values() for seed in numbers})
    return [
        {"name": name, "method": method, "seed": seed}
        for seed in every
        for name, numbers in wanted.items()
        if seed in numbers
        for method in methods_of(name)
    ]


def lines(rows: list[Row]) -> list[Row]:
    """Mean and worst accuracy, seconds, and the score's rank correlation with accuracy."""
    found = []
    for name, method in dict.fromkeys((row["name"], row["method"]) for row in rows):
        fits = [row for row in rows if (row["name"], row["method"]) == (name, method)]
        accuracies = [row["agreement"] for row in fits]
        known = [row for row in fits if "score" in row]
        pairs = [(row["score"], row["training_accuracy"]) for row in known]
        ranked = float(spearmanr(*zip(*pairs, strict=True))[0]) if len(pairs) > 2 else None
        found.append(
            {
                "images": name,
                "method": method,
                "seeds": len(fits),
                "mean": float(np.mean(accuracies)),
                "worst": min(accuracies),
                "seconds": float(np.mean([row["seconds"] for row in fits])),
                "score_rank": ranked,
            }
        )
    return found


@reported("Categories of images", NAME, "benchmarks/categories.py --images")
def section(content: Row) -> str:
    rows = content["rows"]
    header = ["images", "method", "seeds", "mean", "worst", "CPU seconds", "score's rank"]
    body = [
        [
            line["images"],
            TITLES.get(line["method"], line["method"]),
            line["seeds"],
            percent(line["mean"]),
            percent(line["worst"]),
            whole(line["seconds"]),
            "" if line["score_rank"] is None else decimals(line["score_rank"]),
        ]
        for line in lines(rows)
    ]
    seeds = [
        [
            row["name"],
            TITLES.get(row["method"], row["method"]),
            row["seed"],
            percent(row["agreement"]),
        ]
        for row in rows
    ]
    every = table(["images", "method", "seed", "accuracy"], seeds)
    return "\n\n".join([table(header, body), folded("Every seed", every)])


def run_images(options: argparse.Namespace) -> None:
    """Measure the data sets that `--images` names; none: all of them."""
    wanted = cases(options.images or IMAGES, options.seeds)
    if options.only:
        wanted = [case for case in wanted if case["method"] in options.only]
    print_table(lines(run(NAME, partial(measure, quick=options.quick), wanted, options)))
