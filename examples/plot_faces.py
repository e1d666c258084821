"""
=============================
The paper's pictures of faces
=============================

A bidirectional InfoGAN with the paper's four codes of ten categories and four
continuous codes is fitted to faces of 32 x 32 pixels without labels. Test
images sorted by their codes give the paper's figure 3(a).

CelebA, as it was published, is read from the folder that the environment
variable ``SKLEARN_BINFOGAN_DATA`` names, or its subfolder ``celeba``. Faces of
your own go before it: ``faces/faces32.npz`` in that folder, a NumPy file with
bytes ``X_train`` and ``X_test`` of shape (n, 32, 32, 3). The fit takes long
without a GPU. The pictures are of people: mind the terms of the data set before
you show them. These pages show none.
"""

# sphinx_gallery_thumbnail_path = 'images/concepts.svg'

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from sklearn_binfogan import AffineMove, BInfoGANTransformer, ColourMove
from sklearn_binfogan.datasets import load_celeba
from sklearn_binfogan.inspection import CodeGridDisplay, ExtremesDisplay

N_CLUSTERS, N_CONTINUOUS = (10, 10, 10, 10), 4  # the paper's
# Few rows and steps, to try the page out
QUICK = os.environ.get("SKLEARN_BINFOGAN_QUICK") == "1"
BUDGET = (
    {"warmup_iter": 2, "max_iter": 2}
    if QUICK
    else {"warmup_iter": 2500, "max_iter": 1000}
)

# %%
# Data
# ----

own = Path(os.environ.get("SKLEARN_BINFOGAN_DATA", ""), "faces", "faces32.npz")
if own.exists():
    with np.load(own) as stored:
        X_train, X_test = (
            stored[name].reshape(-1, 32 * 32 * 3)
            for name in ("X_train", "X_test")
        )
else:
    celeba = load_celeba()
    X_train, X_test = celeba.X_train, celeba.X_test
if QUICK:
    X_train, X_test = X_train[:100], X_test[:60]

# %%
# Fit
# ---
# Aligned faces need gentle moves: where hair ends and what colours a face has
# tells a lot.

aligned = AffineMove(
    rotation=0.1, scale=0.08, shear=0.08, shift=0.06, warp=0.03, reflect=True
)
gan = BInfoGANTransformer(
    n_clusters=N_CLUSTERS,
    n_continuous=N_CONTINUOUS,
    image_shape=(32, 32, 3),
    augmentation=ColourMove(
        aligned, contrast=0.15, brightness=0.1, cast=0.03, mirror=True
    ),
    random_state=0,
    verbose=1,
    **BUDGET,
).fit(X_train)

# %%
# Do the codes tell different things? Mutual information of each pair, relative
# to the entropy.

print(np.round(gan.diagnostics_["code_information"], 2))

# %%
# Categorical codes
# -----------------
# Test images drawn at random, a row per value of each code.

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

figure, axes = plt.subplots(2, 2, figsize=(11, 10), layout="constrained")
for code, ax in enumerate(axes.flat):
    ExtremesDisplay.from_estimator(gan, X_test, code=code, ax=ax)
    ax.set_title(f"Test images by continuous code {code}")

# %%
# Samples
# -------

display = CodeGridDisplay.from_samples(gan, n_columns=12, random_state=0)
display.ax_.set_title("Generated faces by categorical code 0")
plt.show()
