"""
=====================================
Handwritten digits without labels
=====================================

A bidirectional InfoGAN is fitted to scikit-learn's 8 x 8 digits. Its categories are clusters, its
continuous codes describe style, its generator draws new digits and decodes encoded ones, and its
codes are features for a classifier. Labels serve only to judge the result and to train that
classifier.
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
    ExtremesDisplay,
    ReconstructionDisplay,
    TrainingCurveDisplay,
    TraversalDisplay,
)
from sklearn_binfogan.metrics import match_clusters

SHAPE = (8, 8)
N_CLUSTERS = 10
QUICK = os.environ.get("SKLEARN_BINFOGAN_QUICK") == "1"  # a few steps, to try the page out
BUDGET = {"warmup_iter": 5, "max_iter": 5} if QUICK else {}
SEARCH_BUDGET = BUDGET or {"warmup_iter": 50, "max_iter": 50}

# %%
# Fit
# ---
# One row of X is a flattened image. In a pipeline the transformer ignores the labels: the first
# phase of its training finds the clusters; the second, the game between encoder, generator and
# discriminator, keeps them and adds the style codes. The classifier sees 10 posteriors and 2
# continuous codes instead of 64 pixels.

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
gan = BInfoGANTransformer(
    n_clusters=N_CLUSTERS, image_shape=SHAPE, random_state=0, verbose=1, **BUDGET
)
pipe = Pipeline([("binfogan", gan), ("clf", LogisticRegression(max_iter=1000))])
pipe.fit(X_train, y_train)
print(f"Pipeline accuracy, {len(X_test)} held-out digits: {pipe.score(X_test, y_test):.1%}")

# %%
# The clusters have no names: match them to the digits one to one, so that most rows agree.

digit_of_cluster, accuracy = match_clusters(y, gan.predict(X))
print(f"One-to-one cluster accuracy, {len(X)} digits: {accuracy:.1%}")
print(f"Label-free score: {gan.score(X):.3f}")

# %%
# Pictures
# --------
# The displays of ``sklearn_binfogan.inspection`` work as scikit-learn's: ``from_estimator`` draws,
# ``ax_`` and ``figure_`` are matplotlib's, and what is drawn can be read from their attributes.
# Real digits come first, a row per cluster, those that the model is surest of on the left.

CLUSTER_NAMES = [
    f"cluster {k} (digit {digit_of_cluster[k]})" if k in digit_of_cluster else f"cluster {k}"
    for k in range(N_CLUSTERS)
]
display = CodeGridDisplay.from_estimator(gan, X, n_columns=12)
display.ax_.set_yticklabels(CLUSTER_NAMES)
display.ax_.set_title("Real digits by cluster")

# %%
# Generated digits, a row per cluster.

display = CodeGridDisplay.from_samples(gan, n_columns=12, random_state=0)
display.ax_.set_yticklabels(CLUSTER_NAMES)
display.ax_.set_title("Generated digits by cluster")

# %%
# Each continuous code from -1 to 1, the other code and the noise at 0. The map beside each grid is
# what the code changes on average: red pixels gain ink, blue ones lose it.

figure, axes = plt.subplots(1, gan.n_continuous, figsize=(12, 5), layout="constrained")
for code, ax in enumerate(axes):
    TraversalDisplay.from_estimator(gan, code=code, ax=ax)
    ax.set_title(f"Generated digits along continuous code {code}")

# %%
# The same question asked of real digits: lowest and highest values of the first continuous code.

display = ExtremesDisplay.from_estimator(gan, X, code=0)
display.ax_.set_title("Real digits by continuous code 0")

# %%
# Digits above their reconstructions G(E(x)), noise included: they keep more of the digit than its
# cluster and two numbers.

display = ReconstructionDisplay.from_estimator(gan, X, n_rows=45, n_columns=15, random_state=0)
display.ax_.set_title(f"Digits above their reconstructions, R2 = {display.r2:.2f}")

# %%
# How many digits each cluster holds, and how sure the model is of them.

display = CodeUsageDisplay.from_estimator(gan, X)
display.ax_.set_title("Digits in each cluster")

# %%
# Losses by epoch, which is 50 steps, and the label-free score on rows held out. ``train_loss`` is
# another sum in each phase.

TrainingCurveDisplay.from_estimator(gan)

# %%
# Choose lambda
# -------------
# ``mi_weight`` is the paper's lambda: it weighs the mutual information of codes and rows, in both
# phases, and so moves the clusters, too. The budget here is small, to show the search rather than
# to settle the choice. Without labels, search over the transformer itself by its ``score``.

pipe.set_params(binfogan__verbose=0)
pipe.set_params(**{f"binfogan__{name}": value for name, value in SEARCH_BUDGET.items()})
search = GridSearchCV(pipe, {"binfogan__mi_weight": [0.1, 1, 10]}, cv=2, refit=False)
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
    names = "real_digits", "generated_digits", "traversal", "extremes", "reconstructions"
    for number, name in zip(plt.get_fignums(), [*names, "usage", "training"], strict=True):
        plt.figure(number).savefig(output / f"{name}.png", dpi=120, bbox_inches="tight")
    print(f"Pictures are in {output}")
# sphinx_gallery_end_ignore
