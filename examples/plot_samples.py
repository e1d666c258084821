"""
===========================
Samples and reconstructions
===========================

What a generator is good for: new digits of a cluster, digits along a style
code, and digits rebuilt from their codes.
"""

import os

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.inspection import (
    CodeGridDisplay,
    ExtremesDisplay,
    NearestRowsDisplay,
    ReconstructionDisplay,
    TrainingCurveDisplay,
    TraversalDisplay,
)

# Few rows and steps, to try the page out
QUICK = os.environ.get("SKLEARN_BINFOGAN_QUICK") == "1"
N_ROWS = 200 if QUICK else None  # None: all
BUDGET = {"warmup_iter": 2, "max_iter": 2} if QUICK else {}

# %%
# Fit
# ---
# ``include_noise=True`` keeps the noise that a row is encoded by, which
# reconstructions need.

X, _ = load_digits(return_X_y=True)
X = X[:N_ROWS]
gan = BInfoGANTransformer(
    n_clusters=10,
    image_shape=(8, 8),
    include_noise=True,
    random_state=0,
    verbose=1,
    **BUDGET,
).fit(X)

# %%
# New digits
# ----------
# ``sample`` draws style and noise where the encoder puts real rows of the
# cluster.

X_new, cluster = gan.sample(5, cluster=3, random_state=0)
print(X_new.shape, cluster)

display = CodeGridDisplay.from_samples(gan, n_columns=12, random_state=0)
display.ax_.set_title("Generated digits by cluster")

# %%
# Are they copies? Below each generated digit stands the real one nearest to it.
# Copies would be at distance 0; new digits are about as far from the nearest
# real one as real digits are from each other.

display = NearestRowsDisplay.from_estimator(
    gan, X, n_rows=30, n_columns=15, random_state=0
)
print(f"{display.relative_distance:.2f} times as far as real digits")

# %%
# Along a style code
# ------------------
# Each continuous code from -1 to 1, all else at 0. The map beside each grid is
# what the code changes on average: red pixels gain ink, blue ones lose it.

figure, axes = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
for code, ax in enumerate(axes):
    TraversalDisplay.from_estimator(gan, code=code, ax=ax)
    ax.set_title(f"Generated digits along continuous code {code}")

# %%
# The same question asked of real digits: those of lowest and highest value.

display = ExtremesDisplay.from_estimator(gan, X, code=0)
display.ax_.set_title("Real digits by continuous code 0")

# %%
# Reconstructions
# ---------------
# Digits above what the generator makes of their codes.

display = ReconstructionDisplay.from_estimator(
    gan, X, n_rows=45, n_columns=15, random_state=0
)
display.ax_.set_title(
    f"Digits above their reconstructions, R2 = {display.r2:.2f}"
)

# %%
# The same by hand. The category's columns can be set, too: here each digit
# keeps its style and noise, and becomes one of cluster 0.

codes = gan.transform(X[:10])
changed = codes.copy()
changed[:, :10] = np.eye(10)[0]
rows = [X[:10], gan.inverse_transform(codes), gan.inverse_transform(changed)]
figure, axes = plt.subplots(3, 10, figsize=(8, 2.8), layout="constrained")
for line, names in zip(rows, axes, strict=True):
    for row, ax in zip(line, names, strict=True):
        ax.imshow(row.reshape(8, 8), cmap="gray", vmin=0, vmax=16)
        ax.set_xticks([])
        ax.set_yticks([])
for ax, name in zip(
    axes[:, 0], ["real", "rebuilt", "as cluster 0"], strict=True
):
    ax.set_ylabel(name)
figure.suptitle("Digits, their reconstructions, and the same in cluster 0")

# %%
# Would more steps help?
# ----------------------
# While the score still rises at the end, they would.

TrainingCurveDisplay.from_estimator(gan)
plt.show()
