"""
=====================================
A few labels
=====================================

A label or ten for each class, and hundreds of rows without: ``BInfoGANClassifier`` binds the
categories of a bidirectional InfoGAN to the classes. Its accuracy on scikit-learn's digits is drawn
against the number of labels, beside other ways to use the same labels: ``LabelSpreading`` and
``SelfTrainingClassifier``, which also use the rows without a label, and logistic regression on
pixels, on principal components, and on the codes of a ``BInfoGANTransformer`` that saw no label.

That takes minutes, so these pages don't run it: they show the pictures that it drew.
"""

# sphinx_gallery_thumbnail_path = 'images/few_labels_accuracy.png'

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
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer
from sklearn_binfogan.inspection import CodeGridDisplay

# sphinx_gallery_start_ignore
try:
    HERE = Path(__file__).parent
except NameError:  # sphinx-gallery runs the code without a file
    HERE = Path.cwd()

parser = argparse.ArgumentParser(description="Classify digits from a few labels.")
parser.add_argument("--output", type=Path, default=HERE / "output", help="folder for pictures")
parser.add_argument("--quick", action="store_true", help=argparse.SUPPRESS)  # a smoke test
options = parser.parse_args()
options.output.mkdir(parents=True, exist_ok=True)
# sphinx_gallery_end_ignore

SHAPE = (8, 8)
BUDGET = {"warmup_iter": 20, "max_iter": 20} if options.quick else {}
N_LABELS = [10, 20, 50, 100]

X, y = load_digits(return_X_y=True)


def few_labels(n_labels, seed=0):
    """Draw equally many labels of each class; -1 stands for a row without a label."""
    rng = np.random.default_rng(seed)
    rows = [rng.choice(np.flatnonzero(y == c), n_labels // 10, replace=False) for c in range(10)]
    drawn = np.full(len(y), -1)
    drawn[np.concatenate(rows)] = y[np.concatenate(rows)]
    return drawn


# %%
# Twenty labels
# -------------
# A row without a label has -1, as in scikit-learn's own semi-supervised estimators.

twenty = few_labels(20)
classifier = BInfoGANClassifier(image_shape=SHAPE, random_state=0, verbose=1, **BUDGET)
classifier.fit(X, twenty)
rest = twenty < 0
accuracy = classifier.score(X[rest], y[rest])
print(f"20 labels, accuracy on the other {rest.sum()} digits: {accuracy:.1%}")

# %%
# The classifier draws digits of a class, too.
#
# .. image:: /images/few_labels_samples.png
#    :alt: Generated digits, a row per class

display = CodeGridDisplay.from_samples(classifier, n_columns=12, random_state=0)
display.ax_.set_yticklabels(classifier.classes_)
display.ax_.set_title("Digits drawn by class, from 20 labels")
display.figure_.savefig(options.output / "few_labels_samples.png", dpi=110)

# %%
# Accuracy by number of labels
# ----------------------------
# Every way gets the same labels and is judged on the rows without one.
#
# .. image:: /images/few_labels_accuracy.png
#    :alt: Accuracy against the number of labels


def logistic():
    """Return logistic regression on standardised columns."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


gan = BInfoGANTransformer(image_shape=SHAPE, random_state=0, verbose=1, **BUDGET).fit(X)
features = {
    "pixels": X,
    "PCA": PCA(12, random_state=0).fit_transform(X),
    "codes without labels": gan.transform(X),
}
accuracies = {}
for n_labels in N_LABELS:
    drawn = few_labels(n_labels)
    labelled = drawn >= 0
    found = {
        "BInfoGANClassifier": classifier.set_params(verbose=0).fit(X, drawn).predict(X),
        "LabelSpreading": LabelSpreading(kernel="knn").fit(X / 16, drawn).transduction_,
        "SelfTrainingClassifier": SelfTrainingClassifier(logistic()).fit(X, drawn).predict(X),
    }
    for name, columns in features.items():
        model = logistic().fit(columns[labelled], drawn[labelled])
        found[f"logistic regression, {name}"] = model.predict(columns)
    for name, labels in found.items():
        accuracy = (labels[~labelled] == y[~labelled]).mean()
        accuracies.setdefault(name, []).append(accuracy)
        print(f"{n_labels:>4} labels, {name}: {accuracy:.1%}")

_, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
for name, values in accuracies.items():
    ax.plot(N_LABELS, values, "o-", label=name, linewidth=3 if name.startswith("BInfo") else 1)
ax.set_xscale("log")
ax.set_xticks(N_LABELS, [str(n) for n in N_LABELS])
ax.minorticks_off()
ax.set(xlabel="labels", ylabel="accuracy on the other rows", title="Digits, one draw of labels")
ax.legend()
plt.savefig(options.output / "few_labels_accuracy.png", dpi=110)
print(f"Pictures are in {options.output}")
