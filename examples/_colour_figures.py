"""What the examples of colour images share: the fit, and the grids of the paper's figure 3.

Pictures go to a folder of the user's: those of faces are not ours to publish.
"""

import argparse
import os
import sys
from pathlib import Path

import matplotlib

if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and sys.platform == "linux":
    matplotlib.use("Agg")

import joblib
import matplotlib.pyplot as plt
import numpy as np

from sklearn_binfogan import BInfoGANTransformer

N_CLUSTERS, N_CONTINUOUS = (10, 10, 10, 10), 4  # the paper's
N_QUICK = 600
N_COLUMNS = 10
N_END = 5


def parse_arguments(description, folder):
    """Return the options that both examples have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--output", type=Path, default=folder / "output", help="for pictures")
    parser.add_argument("--data-dir", type=Path, help="folder with the data set")
    parser.add_argument(
        "--model",
        type=Path,
        help="joblib file: loaded if there (only load files you trust), else written after the fit",
    )
    parser.add_argument("--quick", action="store_true", help="few images and steps, to try it out")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    return options


def fit_or_load(X, image_shape, options):
    """Return a model with the paper's codes, fitted to X or read from the file of `--model`."""
    if options.model and options.model.exists():
        return joblib.load(options.model)
    budget = {"warmup_iter": 20, "max_iter": 20} if options.quick else {}
    gan = BInfoGANTransformer(
        n_clusters=N_CLUSTERS,
        n_continuous=N_CONTINUOUS,
        image_shape=image_shape,
        include_noise=True,
        random_state=0,
        verbose=1,
        **budget,
    ).fit(X)
    if options.model:
        options.model.parent.mkdir(parents=True, exist_ok=True)
        joblib.dump(gan, options.model)
    return gan


def draw_grid(ax, images, image_shape, title, row_labels=(), column_gap=None):
    """Draw rows of images, (n_rows, n_columns, n_pixels); NaN is an empty place."""
    height, width, _ = image_shape
    n_rows, n_columns = images.shape[:2]
    lefts = np.arange(n_columns) * (width + 2)
    if column_gap is not None:
        lefts[column_gap:] += width // 2
    canvas = np.ones((n_rows * (height + 2), lefts[-1] + width, 3))
    for top, row in zip(np.arange(n_rows) * (height + 2), images, strict=True):
        for left, image in zip(lefts, row, strict=True):
            if np.isfinite(image).all():
                pixels = image.reshape(image_shape) / 255
                canvas[top : top + height, left : left + width] = pixels.clip(0, 1)
    ax.imshow(canvas)
    ax.set_title(title, fontsize=10)
    ax.set_yticks(np.arange(len(row_labels)) * (height + 2) + height / 2, row_labels, fontsize=8)
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def save(figure, path):
    """Write a figure and say where."""
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)
    print(f"wrote {path}")


def rows_of(X, indices, n):
    """Return n images: those of X, then empty ones if they are fewer."""
    images = np.full((n, X.shape[1]), np.nan)
    images[: len(indices)] = X[indices]
    return images


def draw_categories(gan, X, path):
    """Draw test images, a row per value of each categorical code: the paper's figure 3."""
    rng, labels = np.random.default_rng(0), gan.predict(X)
    figure, axes = plt.subplots(1, len(N_CLUSTERS), figsize=(5 * len(N_CLUSTERS), 5))
    for code, ax in enumerate(axes):
        rows = [
            rows_of(X, rng.permutation(np.flatnonzero(labels[:, code] == k))[:N_COLUMNS], N_COLUMNS)
            for k in range(N_CLUSTERS[code])
        ]
        draw_grid(ax, np.stack(rows), gan.image_shape, f"categorical code {code}", range(len(rows)))
    save(figure, path)


def draw_ends(gan, X, path):
    """Draw the test images of lowest and highest value of each continuous code."""
    codes = gan.transform(X)[:, sum(N_CLUSTERS) : sum(N_CLUSTERS) + N_CONTINUOUS]
    order = np.argsort(codes, axis=0)
    images = np.stack([X[np.r_[column[:N_END], column[-N_END:]]] for column in order.T])
    figure, ax = plt.subplots(figsize=(6, 3))
    labels = [f"continuous code {i}" for i in range(N_CONTINUOUS)]
    draw_grid(ax, images, gan.image_shape, "lowest and highest values", labels, N_END)
    save(figure, path)


def draw_samples(gan, X, path):
    """Draw samples, a row per value of the first code, and test images above their G(E(x))."""
    samples = np.stack(
        [
            gan.sample(N_COLUMNS, cluster=(k, None, None, None), random_state=k)[0]
            for k in range(N_CLUSTERS[0])
        ]
    )
    chosen = np.random.default_rng(0).choice(len(X), 5 * N_COLUMNS, replace=False)
    rebuilt = gan.inverse_transform(gan.transform(X[chosen]))
    pairs = np.stack([X[chosen], rebuilt], axis=1).reshape(5, N_COLUMNS, 2, -1)
    pairs = pairs.transpose(0, 2, 1, 3).reshape(10, N_COLUMNS, -1)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 5))
    draw_grid(left, samples, gan.image_shape, "samples by category of code 0", range(len(samples)))
    draw_grid(right, pairs, gan.image_shape, "test images above G(E(x))", ["x", "G(E(x))"] * 5)
    save(figure, path)
