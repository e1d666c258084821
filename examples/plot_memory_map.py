"""
===============================
More rows than memory has room
===============================

A memory map is an array in a file, of which only the parts in use lie in
memory. A fit takes one as it takes any array and reads the rows of a batch when
their turn comes, so that its time depends on its number of steps, not on the
number of rows.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_blobs

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.inspection import CodeUsageDisplay

# Few rows and steps, to try the page out
QUICK = os.environ.get("SKLEARN_BINFOGAN_QUICK") == "1"
BUDGET = (
    {"warmup_iter": 2, "max_iter": 2}
    if QUICK
    else {"warmup_iter": 400, "max_iter": 400}
)
N_ROWS, N_PIECE = (2_000, 1_000) if QUICK else (1_000_000, 100_000)

# %%
# Write the file
# --------------
# Piece by piece, as data would arrive: a million rows of 20 columns, 80 MB, in
# five groups.

centres = np.random.default_rng(0).uniform(-5, 5, (5, 20))
folder = TemporaryDirectory()
path = Path(folder.name, "rows.npy")
rows = np.lib.format.open_memmap(path, "w+", np.float32, shape=(N_ROWS, 20))
for start in range(0, N_ROWS, N_PIECE):
    piece, _ = make_blobs(
        N_PIECE, centers=centres, cluster_std=3.0, random_state=start
    )
    rows[start : start + N_PIECE] = piece
rows.flush()

# %%
# Fit
# ---

X = np.load(path, mmap_mode="r")
gan = BInfoGANTransformer(
    n_clusters=5, random_state=0, verbose=1, **BUDGET
).fit(X)
print(f"label-free score: {gan.score(X[:10_000]):.3f}")

# %%
# Use the model
# -------------
# ``predict`` reads the map in blocks. ``transform`` does so too, but its result
# lies in memory: for more codes than that, go through the rows in slices.

print("rows of each cluster:", np.bincount(gan.predict(X), minlength=5))
for start in range(0, N_ROWS, N_PIECE):
    codes = gan.transform(
        X[start : start + N_PIECE]
    )  # to be written to a file, piece by piece
print("codes of the last piece:", codes.shape)

# %%

display = CodeUsageDisplay.from_estimator(gan, X[:10_000])
display.ax_.set_title("The first 10 000 rows by cluster", pad=22)
plt.show()

# %%
# Rows that arrive later
# ----------------------
# ``partial_fit`` goes on training with them.

later, _ = make_blobs(N_PIECE, centers=centres, cluster_std=3.0, random_state=1)
gan.partial_fit(later.astype(np.float32))
print(f"label-free score: {gan.score(X[:10_000]):.3f}")

# %%
# The file goes when its map is no longer in use.

del rows, X
folder.cleanup()
