"""
=====================================
The paper's pictures of house numbers
=====================================

A bidirectional InfoGAN with the paper's four codes of ten categories and four
continuous codes is fitted to colour images of digits without labels. Test
images sorted by their codes give the paper's figure 3(b).

SVHN's ``train_32x32.mat`` and ``test_32x32.mat`` are read from the folder that
the environment variable ``SKLEARN_BINFOGAN_DATA`` names, or its subfolder
``svhn``. Where they are not, 20 000 of MNIST's digits on photographs stand in.
The fit takes long without a GPU, so these pages don't run it: they show the
pictures that it drew of the stand-in.
"""

# sphinx_gallery_thumbnail_path = 'images/svhn_continuous.png'

import os

import matplotlib.pyplot as plt
import numpy as np

from sklearn_binfogan import AffineMove, BInfoGANTransformer, ColourMove
from sklearn_binfogan.datasets import load_svhn, make_mnist_on_photos
from sklearn_binfogan.inspection import (
    CodeGridDisplay,
    ExtremesDisplay,
    ReconstructionDisplay,
)
from sklearn_binfogan.metrics import cluster_accuracy

N_CLUSTERS, N_CONTINUOUS = (10, 10, 10, 10), 4  # the paper's
# Few rows and steps, to try the page out
QUICK = os.environ.get("SKLEARN_BINFOGAN_QUICK") == "1"
N_TRAIN, N_TEST = (100, 60) if QUICK else (20_000, 5_000)
BUDGET = (
    {"warmup_iter": 2, "max_iter": 2}
    if QUICK
    else {"warmup_iter": 1400, "max_iter": 1050}
)

# %%
# Data
# ----

try:
    svhn = load_svhn()
    X_train, X_test, y_test = svhn.X_train, svhn.X_test, svhn.y_test
except FileNotFoundError:
    train = make_mnist_on_photos(N_TRAIN, subset="train", random_state=0)
    test = make_mnist_on_photos(N_TEST, subset="test", random_state=1)
    X_train, X_test, y_test = train.X, test.X, test.y
if QUICK:
    X_train, X_test, y_test = (
        X_train[:N_TRAIN],
        X_test[:N_TEST],
        y_test[:N_TEST],
    )

# %%
# Fit
# ---
# The form of a digit alone tells it: categories are read from the contrast of
# colours, and T adds shares of other images, moved by half an image.

gan = BInfoGANTransformer(
    n_clusters=N_CLUSTERS,
    n_continuous=N_CONTINUOUS,
    image_shape=(32, 32, 3),
    architecture="conv-contrast",
    augmentation=ColourMove(AffineMove(warp=0.12, reflect=True), clutter=1.0),
    include_noise=True,
    random_state=0,
    verbose=1,
    **BUDGET,
).fit(X_train)

# %%
# Do the codes tell different things, and does one tell the digit? First the
# mutual information of each pair of codes, relative to the entropy; then the
# accuracy of each. Only here labels are used.

print(np.round(gan.diagnostics_["code_information"], 2))
for code, labels in enumerate(gan.predict(X_test).T):
    accuracy = cluster_accuracy(y_test, labels)
    print(f"code {code}: one-to-one digit accuracy {accuracy:.1%}")

# %%
# Categorical codes
# -----------------
# Test images drawn at random, a row per value of each code.
#
# .. image:: /images/svhn_categories.png
#    :alt: Random test images by four categorical codes

figure, axes = plt.subplots(2, 2, figsize=(11, 10), layout="constrained")
for code, ax in enumerate(axes.flat):
    CodeGridDisplay.from_estimator(
        gan,
        X_test,
        categorical_code=code,
        order="random",
        random_state=0,
        ax=ax,
    )
    ax.set_title(f"Test images by categorical code {code}")

# %%
# Continuous codes
# ----------------
# Test images of lowest and highest value of each code, a row per value of
# categorical code 0.
#
# .. image:: /images/svhn_continuous.png
#    :alt: Test images of lowest and highest continuous codes

figure, axes = plt.subplots(2, 2, figsize=(11, 10), layout="constrained")
for code, ax in enumerate(axes.flat):
    ExtremesDisplay.from_estimator(gan, X_test, code=code, ax=ax)
    ax.set_title(f"Test images by continuous code {code}")

# %%
# Samples and reconstructions
# ---------------------------
#
# .. image:: /images/svhn_samples.png
#    :alt: Samples, and test images above their reconstructions

figure, (left, right) = plt.subplots(
    1, 2, figsize=(11, 5), layout="constrained"
)
CodeGridDisplay.from_samples(gan, random_state=0, ax=left)
left.set_title("Generated images by categorical code 0")
display = ReconstructionDisplay.from_estimator(
    gan, X_test, n_rows=50, random_state=0, ax=right
)
right.set_title(
    f"Test images above their reconstructions, R2 = {display.r2:.2f}"
)
plt.show()
