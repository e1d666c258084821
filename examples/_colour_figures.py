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

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.inspection import CodeGridDisplay, ExtremesDisplay, ReconstructionDisplay

N_CLUSTERS, N_CONTINUOUS = (10, 10, 10, 10), 4  # the paper's
N_QUICK = 600


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


def fit_or_load(X, image_shape, options, **parameters):
    """Return a model with the paper's codes, fitted to X or read from the file of `--model`."""
    if options.model and options.model.exists():
        return joblib.load(options.model)
    if options.quick:
        parameters |= {"warmup_iter": 20, "max_iter": 20}
    gan = BInfoGANTransformer(
        n_clusters=N_CLUSTERS,
        n_continuous=N_CONTINUOUS,
        image_shape=image_shape,
        include_noise=True,
        random_state=0,
        verbose=1,
        **parameters,
    ).fit(X)
    if options.model:
        options.model.parent.mkdir(parents=True, exist_ok=True)
        joblib.dump(gan, options.model)
    return gan


def save(figure, path):
    """Write a figure and say where."""
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)
    print(f"wrote {path}")


def draw_categories(gan, X, path):
    """Draw test images, a row per value of each categorical code: the paper's figure 3."""
    figure, axes = plt.subplots(1, len(N_CLUSTERS), figsize=(20, 5), layout="constrained")
    for code, ax in enumerate(axes):
        CodeGridDisplay.from_estimator(
            gan, X, categorical_code=code, order="random", random_state=0, ax=ax
        )
        ax.set_title(f"Categorical code {code}", fontsize=10)
    save(figure, path)


def draw_ends(gan, X, path):
    """Draw the test images of lowest and highest value of each continuous code."""
    figure, axes = plt.subplots(1, N_CONTINUOUS, figsize=(22, 5), layout="constrained")
    for code, ax in enumerate(axes):
        ExtremesDisplay.from_estimator(gan, X, code=code, ax=ax)
    save(figure, path)


def draw_samples(gan, X, path):
    """Draw samples, a row per value of the first code, and test images above their G(E(x))."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
    CodeGridDisplay.from_samples(gan, random_state=0, ax=left)
    ReconstructionDisplay.from_estimator(gan, X, n_rows=50, random_state=0, ax=right)
    save(figure, path)
