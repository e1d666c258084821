"""
=====================================
The paper's pictures of MNIST
=====================================

A bidirectional InfoGAN with one code of ten categories and two continuous codes, as in section 3 of
the paper, is fitted to the 60 000 training images of MNIST. Test images sorted by their codes give
the paper's figure 2; reconstructions, samples and traversals show the generator. Labels serve only
to measure the accuracy at the end.

MNIST is read from the folder that the environment variable ``SKLEARN_BINFOGAN_DATA`` or the option
``--data-dir`` names, or else downloaded. The fit takes long without a GPU: ``--quick`` tries the
example out, and ``--model`` keeps the fitted model for the next time.
"""

import argparse
import io
import os
import sys
from pathlib import Path

import matplotlib

if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and sys.platform == "linux":
    matplotlib.use("Agg")

import joblib
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.datasets import load_mnist
from sklearn_binfogan.metrics import cluster_accuracy

try:
    HERE = Path(__file__).parent
except NameError:  # sphinx-gallery runs the code without a file
    HERE = Path.cwd()

parser = argparse.ArgumentParser(description="Draw the paper's figures of MNIST.")
parser.add_argument("--output", type=Path, default=HERE / "output", help="folder for pictures")
parser.add_argument("--data-dir", type=Path, help="folder with the files of MNIST")
parser.add_argument(
    "--model",
    type=Path,
    help="joblib file: loaded if it is there (only load files you trust), else written after fit",
)
parser.add_argument("--quick", action="store_true", help="few images and steps, to try it out")
options = parser.parse_args()
options.output.mkdir(parents=True, exist_ok=True)
if options.model:
    options.model.parent.mkdir(parents=True, exist_ok=True)

N_TRAIN, N_TEST = (1000, 500) if options.quick else (None, None)  # None: all
BUDGET = {"warmup_iter": 20, "max_iter": 20} if options.quick else {}

# %%
# Fit, or load
# ------------
# ``include_noise=True`` keeps the encoding of the noise z, which reconstructions need.

mnist = load_mnist(options.data_dir)
X_train, X_test, y_test = mnist.X_train[:N_TRAIN], mnist.X_test[:N_TEST], mnist.y_test[:N_TEST]


def fit():
    """Return the model fitted to the training images."""
    gan = BInfoGANTransformer(
        n_clusters=10,
        n_continuous=2,
        image_shape=mnist.image_shape,
        include_noise=True,
        random_state=0,
        verbose=1,
        **BUDGET,
    )
    return gan.fit(X_train)


if options.model and options.model.exists():
    gan = joblib.load(options.model)
    print(f"loaded {options.model}")
else:
    gan = fit()
    if options.model:
        joblib.dump(gan, options.model)
        print(f"wrote {options.model}")

# %%
# The codes of the test images: posteriors of the categories, continuous codes, noise. Categories
# have no names; they are numbered by falling size in the training data.

codes = gan.transform(X_test)
N_CLUSTERS, N_CONTINUOUS = gan.n_clusters, gan.n_continuous
category = codes[:, :N_CLUSTERS].argmax(axis=1)  # what predict returns
continuous = codes[:, N_CLUSTERS : N_CLUSTERS + N_CONTINUOUS]
CATEGORIES = [f"category {k}" for k in range(N_CLUSTERS)]

# %%
# Drawing
# -------
# Images are white on black, as in the paper. A place without an image stays white.

SIDE = mnist.image_shape[0]
PITCH = SIDE + 2  # from one image to the next


def positions(n, gaps):
    """Return where each of n images begins, with half an image more before those in gaps."""
    return PITCH * np.arange(n) + SIDE // 2 * np.searchsorted(gaps, np.arange(n), side="right")


def draw_grid(ax, images, title, row_labels=(), column_labels=(), row_gaps=(), column_gaps=()):
    """Draw images of shape (n_rows, n_columns, n_pixels); gaps are indices that a gap precedes."""
    tops, lefts = positions(len(images), row_gaps), positions(images.shape[1], column_gaps)
    canvas = np.full((tops[-1] + SIDE, lefts[-1] + SIDE), np.nan)
    for top, row in zip(tops, images, strict=True):
        for left, image in zip(lefts, row, strict=True):
            canvas[top : top + SIDE, left : left + SIDE] = image.reshape(mnist.image_shape)
    ax.imshow(canvas, cmap="gray", vmin=0, vmax=255)
    ax.set_yticks(tops[: len(row_labels)] + SIDE / 2, row_labels)
    ax.set_xticks(lefts[: len(column_labels)] + SIDE / 2, column_labels)
    ax.tick_params(length=0, labelsize=8)
    ax.set_title(title, fontsize=10)
    ax.spines[:].set_visible(False)


def new_figure(n_panels=1, panel_size=(5.5, 5)):
    """Return a figure and its panels, side by side."""
    width, height = panel_size
    size = (width * n_panels, height)
    figure, axes = plt.subplots(1, n_panels, figsize=size, layout="constrained", squeeze=False)
    return figure, axes[0]


def save(figure, name):
    """Write a figure to the output folder, in 16 greys to keep the file small."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100, bbox_inches="tight")
    greys = Image.open(buffer).convert("L").point([round(v / 17) * 17 for v in range(256)])
    greys.quantize(16).save(options.output / name, optimize=True)
    print(f"wrote {options.output / name}")


def images_of(indices, n):
    """Return n images: those test images, then empty ones if they are fewer."""
    images = np.full((n, X_test.shape[1]), np.nan)
    images[: len(indices)] = X_test[indices]
    return images


# %%
# Figure 2(a): a row per category
# -------------------------------
# Test images drawn at random among those of each category. Wrong ones are shown as they are.

rng = np.random.default_rng(0)


def draw_members(cluster, n):
    """Return the indices of up to n test images of a category, drawn without replacement."""
    return rng.permutation(np.flatnonzero(category == cluster))[:n]


members = np.stack([images_of(draw_members(k, 12), 12) for k in range(N_CLUSTERS)])
figure, (ax,) = new_figure()
draw_grid(ax, members, "Random test images by predicted category", CATEGORIES)
save(figure, "mnist_categories.png")

# %%
# Figure 2(b): the ends of the continuous codes
# ---------------------------------------------
# Per category the test images of lowest value on the left, those of highest value on the right.

N_END = 5


def ends(code, cluster):
    """Return the test images of lowest and highest value of a code, in rising order."""
    members = np.flatnonzero(category == cluster)
    members = members[np.argsort(continuous[members, code])]
    half = len(members) // 2  # no image is shown at both ends
    lowest, highest = members[:half][:N_END], members[half:][-N_END:]
    return np.concatenate([images_of(lowest, N_END), images_of(highest, N_END)])


END_LABELS = [""] * (2 * N_END)
END_LABELS[N_END // 2], END_LABELS[N_END + N_END // 2] = "lowest values", "highest values"

figure, axes = new_figure(N_CONTINUOUS, (4.6, 4.6))
for code, ax in enumerate(axes):
    images = np.stack([ends(code, k) for k in range(N_CLUSTERS)])
    title = f"Test images by continuous code {code}"
    draw_grid(ax, images, title, CATEGORIES, END_LABELS, column_gaps=[N_END])
save(figure, "mnist_continuous.png")

# %%
# Reconstructions
# ---------------
# Test images above their reconstructions G(E(x)), a column per category.

N_PAIRS = 4


def pairs(cluster):
    """Return random test images of a category and their reconstructions in turn."""
    indices = draw_members(cluster, N_PAIRS)
    images = np.stack([images_of(indices, N_PAIRS)] * 2, axis=1)
    if len(indices):
        images[: len(indices), 1] = gan.inverse_transform(codes[indices])
    return images.reshape(2 * N_PAIRS, -1)


images = np.stack([pairs(k) for k in range(N_CLUSTERS)], axis=1)
figure, (ax,) = new_figure()
draw_grid(
    ax,
    images,
    "Test images x above their reconstructions G(E(x)), by category",
    ["x", "G(E(x))"] * N_PAIRS,
    range(N_CLUSTERS),
    row_gaps=range(2, 2 * N_PAIRS, 2),
)
save(figure, "mnist_reconstructions.png")

# %%
# Samples
# -------
# Continuous codes and noise drawn from the prior.

samples = np.stack([gan.sample(12, cluster=k, random_state=k)[0] for k in range(N_CLUSTERS)])
figure, (ax,) = new_figure()
draw_grid(ax, samples, "Generated images by category", CATEGORIES)
save(figure, "mnist_samples.png")

# %%
# Traversals
# ----------
# One continuous code varies, a little beyond the -1 to 1 of training; all else is 0.

VALUES = np.linspace(-1.5, 1.5, 11)


def traverse(code):
    """Return images (n_clusters, n_values, n_pixels) along one continuous code."""
    grid = np.zeros((N_CLUSTERS, len(VALUES), N_CLUSTERS + N_CONTINUOUS))
    grid[:, :, :N_CLUSTERS] = np.eye(N_CLUSTERS)[:, None]
    grid[:, :, N_CLUSTERS + code] = VALUES
    images = gan.inverse_transform(grid.reshape(-1, grid.shape[-1]))
    return images.reshape(N_CLUSTERS, len(VALUES), -1)


figure, axes = new_figure(N_CONTINUOUS, (4.6, 4.6))
for code, ax in enumerate(axes):
    title = f"Generated images along continuous code {code}"
    draw_grid(ax, traverse(code), title, CATEGORIES, [f"{value:.1f}" for value in VALUES])
save(figure, "mnist_traversals.png")

# %%
# Accuracy
# --------
# Only here labels are used: categories are matched one to one to the digits.

accuracy = cluster_accuracy(y_test, category)
print(f"One-to-one cluster accuracy, {len(X_test)} test images: {accuracy:.2%}")
