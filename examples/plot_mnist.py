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
example out, and ``--model`` keeps the fitted model for the next time. So these pages don't run it:
they show the pictures that it drew.
"""

# sphinx_gallery_thumbnail_path = 'images/mnist_traversals.png'

# sphinx_gallery_start_ignore
import argparse
import io
import os
import sys
from pathlib import Path

import matplotlib

if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and sys.platform == "linux":
    matplotlib.use("Agg")

# sphinx_gallery_end_ignore

import joblib
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.datasets import load_mnist
from sklearn_binfogan.inspection import (
    CodeGridDisplay,
    ExtremesDisplay,
    ReconstructionDisplay,
    TraversalDisplay,
)
from sklearn_binfogan.metrics import cluster_accuracy

# sphinx_gallery_start_ignore
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
# sphinx_gallery_end_ignore
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
# Categories have no names; they are numbered by falling size in the training data.

category = gan.predict(X_test)
N_CLUSTERS, N_CONTINUOUS = gan.n_clusters, gan.n_continuous


def save(display, name):
    """Write the figure of a display to the output folder, in 128 colours to keep it small."""
    buffer = io.BytesIO()
    display.figure_.savefig(buffer, dpi=100, bbox_inches="tight")
    picture = Image.open(buffer).convert("RGB").quantize(128, Image.Quantize.MAXCOVERAGE)
    picture.save(options.output / name, optimize=True)
    print(f"wrote {options.output / name}")


def panels():
    """Return axes side by side, one per continuous code."""
    size = (5.6 * N_CONTINUOUS, 4.8)
    return plt.subplots(1, N_CONTINUOUS, figsize=size, layout="constrained", squeeze=False)[1][0]


# %%
# Figure 2(a): a row per category
# -------------------------------
# Test images drawn at random among those of each category. Wrong ones are shown as they are.
#
# .. image:: /images/mnist_categories.png
#    :alt: Random test images, a row per category

display = CodeGridDisplay.from_estimator(gan, X_test, order="random", random_state=0, n_columns=12)
display.ax_.set_title("Random test images by predicted category")
save(display, "mnist_categories.png")

# %%
# Figure 2(b): the ends of the continuous codes
# ---------------------------------------------
# Per category the test images of lowest value on the left, those of highest value on the right; the
# last picture is what differs on average: red where the high ones are brighter, blue where darker.
#
# .. image:: /images/mnist_continuous.png
#    :alt: Test images of lowest and highest continuous codes

for code, ax in enumerate(panels()):
    display = ExtremesDisplay.from_estimator(gan, X_test, code=code, ax=ax)
save(display, "mnist_continuous.png")

# %%
# Reconstructions
# ---------------
# Test images above their reconstructions G(E(x)), a column per category.
#
# .. image:: /images/mnist_reconstructions.png
#    :alt: Test images and their reconstructions

rng = np.random.default_rng(0)
members = [rng.permutation(np.flatnonzero(category == k))[:4] for k in range(N_CLUSTERS)]
n_pairs = max(1, min(map(len, members)))  # of the smallest category
columns = [group[:n_pairs] for group in members if len(group)]
display = ReconstructionDisplay.from_estimator(
    gan, X_test, indices=np.stack(columns, axis=1).ravel(), n_columns=len(columns)
)
save(display, "mnist_reconstructions.png")

# %%
# Samples
# -------
# Continuous codes and noise are drawn where the encoder puts the training images of the category.
#
# .. image:: /images/mnist_samples.png
#    :alt: Generated images, a row per category

display = CodeGridDisplay.from_samples(gan, n_columns=12, random_state=0)
display.ax_.set_title("Generated images by category")
save(display, "mnist_samples.png")

# %%
# Traversals
# ----------
# One continuous code varies, a little beyond the -1 to 1 of training; all else is 0.
#
# .. image:: /images/mnist_traversals.png
#    :alt: Generated images along the continuous codes

for code, ax in enumerate(panels()):
    display = TraversalDisplay.from_estimator(
        gan, code=code, values=np.linspace(-1.5, 1.5, 11), ax=ax
    )
save(display, "mnist_traversals.png")

# %%
# Accuracy
# --------
# Only here labels are used: categories are matched one to one to the digits.

accuracy = cluster_accuracy(y_test, category)
print(f"One-to-one cluster accuracy, {len(X_test)} test images: {accuracy:.2%}")
