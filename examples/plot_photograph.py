"""
====================================
Colour images: parts of a photograph
====================================

A photograph that comes with scikit-learn is cut into squares of 16 x 16 pixels.
A model clusters the squares without labels, and each square of the photograph
is painted by its cluster: roofs and trees come apart from the sky, and the sky
is divided by its light. The same works for any set of small colour images.
"""

import os

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.inspection import CodeGridDisplay, CodeUsageDisplay

# A few steps, to try the page out
QUICK = os.environ.get("SKLEARN_BINFOGAN_QUICK") == "1"
BUDGET = {"warmup_iter": 2, "max_iter": 2} if QUICK else {"max_iter": 150}
SIDE, STRIDE = 16, 16 if QUICK else 8

# %%
# Cut the photograph into squares
# -------------------------------
# A row of X is a flattened square, its colours last. Bytes are fine as they
# are.

photograph = load_sample_image("china.jpg")
windows = np.lib.stride_tricks.sliding_window_view(
    photograph, (SIDE, SIDE), axis=(0, 1)
)[::STRIDE, ::STRIDE]
squares = windows.transpose(0, 1, 3, 4, 2)  # channels last
n_rows, n_columns = squares.shape[:2]
X = np.ascontiguousarray(squares).reshape(n_rows * n_columns, -1)
print(f"{len(X)} squares of {X.shape[1]} numbers")

# %%
# Fit
# ---
# For colour images the default augmentation changes light and tint, so that
# clusters ignore them. Here colour tells sky from roof: ``"affine"`` moves the
# squares and leaves their colours alone. Parts of a photograph differ in size,
# hence the learned prior.

gan = BInfoGANTransformer(
    n_clusters=6,
    image_shape=(SIDE, SIDE, 3),
    augmentation="affine",
    cluster_prior="learned",
    random_state=0,
    verbose=1,
    **BUDGET,
).fit(X)
print("squares of each cluster:", gan.diagnostics_["cluster_sizes"])

# %%
# The photograph by cluster
# -------------------------

painted = gan.labels_.reshape(n_rows, n_columns)
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
axes[0].imshow(photograph)
axes[0].set_title("Photograph")
shown = axes[1].imshow(painted, cmap="tab10", vmin=-0.5, vmax=9.5)
axes[1].set_title("Its squares by cluster")
bar = figure.colorbar(shown, ax=axes[1], boundaries=np.arange(-0.5, 6))
bar.set_ticks(range(6))
bar.set_label("cluster")
for ax in axes:
    ax.set_axis_off()

# %%
# What each cluster holds
# -----------------------
# Squares drawn at random, a row per cluster, and how many there are.

display = CodeGridDisplay.from_estimator(gan, X, order="random", random_state=0)
display.ax_.set_title("Squares by cluster")

# %%

display = CodeUsageDisplay.from_estimator(gan, X)
display.ax_.set_title("Squares in each cluster", pad=22)

# %%
# Drawn squares
# -------------
# The game was short: samples have the colours of their cluster, and little
# detail. More ``max_iter`` would give more.

display = CodeGridDisplay.from_samples(gan, n_columns=10, random_state=0)
display.ax_.set_title("Generated squares by cluster")
plt.show()
