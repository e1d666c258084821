"""
=====================================
Handwritten digits without labels
=====================================

A bidirectional InfoGAN is fitted to scikit-learn's 8 x 8 digits. Its categories are clusters, its
continuous codes describe style, its generator draws new digits and decodes encoded ones, and its
codes are features for a classifier. Labels serve only to judge the result and to train that
classifier.
"""

# sphinx_gallery_start_ignore
import argparse
import os
import sys
from pathlib import Path

import matplotlib

if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and sys.platform == "linux":
    matplotlib.use("Agg")

# sphinx_gallery_end_ignore

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

# sphinx_gallery_start_ignore
try:
    HERE = Path(__file__).parent
except NameError:  # sphinx-gallery runs the code without a file
    HERE = Path.cwd()

parser = argparse.ArgumentParser(description="Cluster, generate and reconstruct digits.")
parser.add_argument("--output", type=Path, default=HERE / "output", help="folder for pictures")
parser.add_argument("--quick", action="store_true", help=argparse.SUPPRESS)  # a smoke test
options = parser.parse_args()
options.output.mkdir(parents=True, exist_ok=True)
# sphinx_gallery_end_ignore

SHAPE = (8, 8)
N_CLUSTERS = 10
BUDGET = {"warmup_iter": 20, "max_iter": 20} if options.quick else {}
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

CLUSTER_NAMES = [
    f"cluster {k} (digit {digit_of_cluster[k]})" if k in digit_of_cluster else f"cluster {k}"
    for k in range(N_CLUSTERS)
]


def save(display, name):
    """Write the figure of a display to the output folder."""
    display.figure_.savefig(options.output / name, dpi=120, bbox_inches="tight")
    print(f"wrote {options.output / name}")


# %%
# Real digits, a row per cluster, those that the model is surest of first.

display = CodeGridDisplay.from_estimator(gan, X, n_columns=12)
display.ax_.set_yticklabels(CLUSTER_NAMES)
save(display, "real_digits.png")

# %%
# Generated digits, a row per cluster.

display = CodeGridDisplay.from_samples(gan, n_columns=12, random_state=0)
display.ax_.set_yticklabels(CLUSTER_NAMES)
save(display, "generated_digits.png")

# %%
# Each continuous code from -1 to 1, the other code and the noise at 0; beside it, what the code
# changes on average: red pixels gain ink, blue ones lose it.

figure, axes = plt.subplots(1, gan.n_continuous, figsize=(12, 5), layout="constrained")
for code, ax in enumerate(axes):
    display = TraversalDisplay.from_estimator(gan, code=code, ax=ax)
save(display, "traversal.png")

# %%
# The same question asked of real digits: lowest and highest values of the first continuous code.

save(ExtremesDisplay.from_estimator(gan, X, code=0), "extremes.png")

# %%
# Digits above their reconstructions G(E(x)), noise included: they keep more of the digit than its
# cluster and two numbers.

display = ReconstructionDisplay.from_estimator(gan, X, n_rows=45, n_columns=15, random_state=0)
save(display, "reconstructions.png")

# %%
# How many digits each cluster holds, and how sure the model is of them.

save(CodeUsageDisplay.from_estimator(gan, X), "usage.png")

# %%
# Losses by epoch, which is 50 steps, and the label-free score on rows held out. ``train_loss`` is
# another sum in each phase.

save(TrainingCurveDisplay.from_estimator(gan), "losses.png")

# %%
# Choose lambda
# -------------
# ``mi_weight`` is the paper's lambda. The budget here is small, to show the search rather than to
# settle the choice. Without labels, search over the transformer itself: its ``score`` needs none.

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
