"""
=====================================
The paper's pictures of MNIST
=====================================

A bidirectional InfoGAN with one code of ten categories and two continuous
codes, as in section 3 of the paper, is fitted to the 60 000 training images of
MNIST. Test images sorted by their codes give the paper's figure 2;
reconstructions, samples and traversals show the generator. Labels serve only to
measure the accuracy at the end.

MNIST is read from the folder that the environment variable
``SKLEARN_BINFOGAN_DATA`` names, or else downloaded. On a CPU core the fit takes
a few minutes, so these pages don't run it: they show the pictures that it drew.
"""

# sphinx_gallery_thumbnail_path = 'images/mnist_traversals.png'

import os

import matplotlib.pyplot as plt
import numpy as np

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.datasets import load_mnist
from sklearn_binfogan.inspection import (
    CodeGridDisplay,
    ExtremesDisplay,
    ReconstructionDisplay,
    TraversalDisplay,
)
from sklearn_binfogan.metrics import cluster_accuracy

# Few rows and steps, to try the page out
QUICK = os.environ.get("SKLEARN_BINFOGAN_QUICK") == "1"
N_TRAIN, N_TEST = (200, 100) if QUICK else (None, None)  # None: all
BUDGET = {"warmup_iter": 2, "max_iter": 2} if QUICK else {}

# %%
# Fit
# ---
# ``include_noise=True`` keeps the encoding of the noise z, which
# reconstructions need. ``sklearn_binfogan.save`` would keep the fitted model
# for the next time.

mnist = load_mnist()
X_train, X_test, y_test = (
    mnist.X_train[:N_TRAIN],
    mnist.X_test[:N_TEST],
    mnist.y_test[:N_TEST],
)
gan = BInfoGANTransformer(
    n_clusters=10,
    n_continuous=2,
    image_shape=mnist.image_shape,
    include_noise=True,
    random_state=0,
    verbose=1,
    **BUDGET,
).fit(X_train)

# %%
# Categories have no names; they are numbered by falling size in the training
# data.

category = gan.predict(X_test)
N_CLUSTERS, N_CONTINUOUS = gan.n_clusters, gan.n_continuous

# %%
# Accuracy
# --------
# Only here labels are used: categories are matched one to one to the digits.

accuracy = cluster_accuracy(y_test, category)
print(f"One-to-one cluster accuracy, {len(X_test)} test images: {accuracy:.2%}")

# %%
# Figure 2(a): a row per category
# -------------------------------
# Test images drawn at random among those of each category. Wrong ones are shown
# as they are.
#
# .. image:: /images/mnist_categories.png
#    :alt: Random test images, a row per category

display = CodeGridDisplay.from_estimator(
    gan, X_test, order="random", random_state=0, n_columns=12
)
display.ax_.set_title("Random test images by predicted category")

# %%
# Figure 2(b): the ends of the continuous codes
# ---------------------------------------------
# Per category the test images of lowest value on the left, those of highest
# value on the right; the last picture is what differs on average: red where the
# high ones are brighter, blue where darker.
#
# .. image:: /images/mnist_continuous.png
#    :alt: Test images of lowest and highest continuous codes


def axes_side_by_side():
    """Return axes, one per continuous code."""
    size = (5.6 * N_CONTINUOUS, 4.8)
    return plt.subplots(
        1, N_CONTINUOUS, figsize=size, layout="constrained", squeeze=False
    )[1][0]


for code, ax in enumerate(axes_side_by_side()):
    ExtremesDisplay.from_estimator(gan, X_test, code=code, ax=ax)
    ax.set_title(f"Test images by continuous code {code}")

# %%
# Reconstructions
# ---------------
# Test images above their reconstructions G(E(x)), a column per category.
#
# .. image:: /images/mnist_reconstructions.png
#    :alt: Test images and their reconstructions

rng = np.random.default_rng(0)
members = [
    rng.permutation(np.flatnonzero(category == k))[:4]
    for k in range(N_CLUSTERS)
]
n_pairs = max(1, min(map(len, members)))  # of the smallest category
columns = [group[:n_pairs] for group in members if len(group)]
display = ReconstructionDisplay.from_estimator(
    gan,
    X_test,
    indices=np.stack(columns, axis=1).ravel(),
    n_columns=len(columns),
)
display.ax_.set_title(
    f"Test images above their reconstructions, R2 = {display.r2:.2f}"
)

# %%
# Samples
# -------
# Continuous codes and noise are drawn where the encoder puts the training
# images of the category.
#
# .. image:: /images/mnist_samples.png
#    :alt: Generated images, a row per category

display = CodeGridDisplay.from_samples(gan, n_columns=12, random_state=0)
display.ax_.set_title("Generated digits by category")

# %%
# Traversals
# ----------
# One continuous code varies, a little beyond the -1 to 1 of training; all else
# is 0.
#
# .. image:: /images/mnist_traversals.png
#    :alt: Generated images along the continuous codes

for code, ax in enumerate(axes_side_by_side()):
    TraversalDisplay.from_estimator(
        gan, code=code, values=np.linspace(-1.5, 1.5, 11), ax=ax
    )
    ax.set_title(f"Generated digits along continuous code {code}")
plt.show()
