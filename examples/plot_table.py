"""
===============================================
A table, and how to choose a number of clusters
===============================================

The chemical analysis of 178 Italian wines has 13 columns of different units. A
fit standardises them, and generated wines come back in the table's own units.
The number of clusters has to be given, so several are compared without labels
first.
"""

import os

import matplotlib.pyplot as plt
from sklearn.datasets import load_wine
from sklearn.metrics import adjusted_rand_score

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.inspection import (
    CodeUsageDisplay,
    ExtremesDisplay,
    PairPlotDisplay,
)

# A few steps, to try the page out
QUICK = os.environ.get("SKLEARN_BINFOGAN_QUICK") == "1"
BUDGET = {"warmup_iter": 2, "max_iter": 2} if QUICK else {}
NUMBERS = [1, 2, 3, 4, 5]

X, y = load_wine(return_X_y=True, as_frame=True)

# %%
# Compare numbers of clusters
# ---------------------------
# The score needs no labels, and compares over numbers of clusters, one
# included: it rises as kinds of rows are told apart, and falls where a border
# would go through one kind. The adjusted Rand index needs the cultivars, of
# which there are three. It is shown only to see what the score is worth here.

models = {
    n_clusters: BInfoGANTransformer(
        n_clusters=n_clusters, random_state=0, **BUDGET
    ).fit(X)
    for n_clusters in NUMBERS
}
scores = [gan.score(X) for gan in models.values()]
agreement = [adjusted_rand_score(y, gan.labels_) for gan in models.values()]

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(NUMBERS, scores, "o-", label="score, without labels")
ax.plot(
    NUMBERS, agreement, "s--", label="adjusted Rand index, with the cultivars"
)
ax.set_xticks(NUMBERS)
ax.set_xlabel("number of clusters")
ax.set_ylabel("score, adjusted Rand index")
ax.set_title("Wines: which number of clusters?")
ax.legend()

# %%
# Look at the findings as well: they name clusters that are empty, or that hold
# one kind of row.

for n_clusters, model in models.items():
    findings = model.diagnostics_["findings"]
    print(f"{n_clusters} clusters: {findings or 'no findings'}")

# %%
# Read the clusters
# -----------------
# How many wines each of three clusters holds, and how sure the model is of
# them.

gan = models[3]
display = CodeUsageDisplay.from_estimator(gan, X)
display.ax_.set_title("Wines in each cluster", pad=22)
print(
    X.groupby(gan.labels_)[["alcohol", "color_intensity", "proline"]]
    .mean()
    .round(1)
)

# %%
# Which columns a continuous code goes with: those that differ most between its
# ends.

display = ExtremesDisplay.from_estimator(gan, X, code=0)
display.ax_.set_title("Wines by continuous code 0")

# %%
# Draw new wines
# --------------
# ``sample`` gives rows in the table's own units. Where they lie beside the real
# ones shows by pairs of columns, here those that differ most between clusters.

drawn, cluster = gan.sample(300, random_state=0)
print(drawn.shape, cluster[:10])

PairPlotDisplay.from_estimator(gan, X, random_state=0)
plt.show()
