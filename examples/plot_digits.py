"""
=================================
Handwritten digits without labels
=================================

A model is fitted to scikit-learn's 8 x 8 digits. Its categories are clusters,
its codes are features for a classifier, and it draws new digits. Labels serve
only to judge the result and to train that classifier.
"""

import os

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.inspection import (
    CodeGridDisplay,
    CodeUsageDisplay,
    TraversalDisplay,
)
from sklearn_binfogan.metrics import match_clusters

N_CLUSTERS = 10
# Few rows and steps, to try the page out
QUICK = os.environ.get("SKLEARN_BINFOGAN_QUICK") == "1"
N_ROWS = 200 if QUICK else None  # None: all
BUDGET = {"warmup_iter": 2, "max_iter": 2} if QUICK else {}
SEARCH_BUDGET = BUDGET or {"warmup_iter": 50, "max_iter": 50}

# %%
# Fit
# ---
# One row of X is a flattened image. In a pipeline the transformer ignores the
# labels: the first phase of its fit finds the clusters; the second, the game,
# keeps them, and learns style codes and how to draw. The classifier sees 10
# probabilities and 2 style codes instead of 64 pixels.

X, y = load_digits(return_X_y=True)
X, y = X[:N_ROWS], y[:N_ROWS]
X_train, X_test, y_train, y_test = train_test_split(
    X, y, stratify=y, random_state=0
)
gan = BInfoGANTransformer(
    n_clusters=N_CLUSTERS,
    image_shape=(8, 8),
    random_state=0,
    verbose=1,
    **BUDGET,
)
pipe = Pipeline([("binfogan", gan), ("clf", LogisticRegression(max_iter=1000))])
pipe.fit(X_train, y_train)
accuracy = pipe.score(X_test, y_test)
print(f"Pipeline accuracy, {len(X_test)} held-out digits: {accuracy:.1%}")

# %%
# Are the clusters digits?
# ------------------------
# Clusters have no names: match them to the digits one to one, so that most rows
# agree.

digit_of_cluster, accuracy = match_clusters(y, gan.predict(X))
print(f"One-to-one cluster accuracy, {len(X)} digits: {accuracy:.1%}")
print(f"Label-free score: {gan.score(X):.3f}")
print("Findings:", gan.diagnostics_["findings"] or "none")

# %%
# Real digits, a row per cluster, those that the model is surest of on the left.

CLUSTER_NAMES = [
    f"cluster {k} (digit {digit_of_cluster[k]})"
    if k in digit_of_cluster
    else f"cluster {k}"
    for k in range(N_CLUSTERS)
]
display = CodeGridDisplay.from_estimator(gan, X, n_columns=12)
display.ax_.set_yticklabels(CLUSTER_NAMES)
display.ax_.set_title("Real digits by cluster")

# %%
# How many digits each cluster holds, and how sure the model is of them.

display = CodeUsageDisplay.from_estimator(gan, X)
display.ax_.set_title("Digits in each cluster", pad=22)

# %%
# New digits
# ----------
# Generated digits, a row per cluster.

display = CodeGridDisplay.from_samples(gan, n_columns=12, random_state=0)
display.ax_.set_yticklabels(CLUSTER_NAMES)
display.ax_.set_title("Generated digits by cluster")

# %%
# One style code from -1 to 1, all else at 0. The map beside the grid is what it
# changes on average: red pixels gain ink, blue ones lose it.

display = TraversalDisplay.from_estimator(gan, code=0)
display.ax_.set_title("Generated digits along continuous code 0")

# %%
# Choose lambda
# -------------
# ``mi_weight`` is the paper's lambda: how much codes must tell about rows. The
# budget here is small, to show the search rather than to settle the choice.

pipe.set_params(binfogan__verbose=0)
pipe.set_params(**{f"binfogan__{k}": v for k, v in SEARCH_BUDGET.items()})
search = GridSearchCV(
    pipe, {"binfogan__mi_weight": [0.1, 1, 10]}, cv=2, refit=False
)
search.fit(X_train, y_train)
for weight, mean in zip(
    search.cv_results_["param_binfogan__mi_weight"],
    search.cv_results_["mean_test_score"],
    strict=True,
):
    print(f"lambda {weight:>4}: accuracy {mean:.1%} on average of 2 folds")
print(f"Best lambda: {search.best_params_['binfogan__mi_weight']}")

# sphinx_gallery_start_ignore
# A script keeps its pictures in files; the gallery and its notebooks show them.
if "__file__" in globals():
    from pathlib import Path

    output = Path(__file__).parent / "output"
    output.mkdir(exist_ok=True)
    names = "real_digits", "usage", "generated_digits", "traversal"
    for number, name in zip(plt.get_fignums(), names, strict=True):
        path = output / f"{name}.png"
        plt.figure(number).savefig(path, dpi=120, bbox_inches="tight")
    print(f"Pictures are in {output}")
# sphinx_gallery_end_ignore
