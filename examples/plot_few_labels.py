"""
=====================================
A few labels
=====================================

A label or ten for each class, and hundreds of rows without:
``BInfoGANClassifier`` lets categories of a bidirectional InfoGAN follow the
classes. Its accuracy on scikit-learn's digits is drawn against the number of
labels, beside other ways to use the same labels: ``LabelSpreading`` and
``SelfTrainingClassifier``, which also use the rows without a label, and
logistic regression on pixels, on principal components, and on the codes of a
``BInfoGANTransformer`` that saw no label.

That takes minutes, so these pages don't run it: they show the pictures that it
drew.
"""

# sphinx_gallery_thumbnail_path = 'images/few_labels_accuracy.png'

import os

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import PercentFormatter
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer
from sklearn_binfogan.inspection import CodeGridDisplay

SHAPE = (8, 8)
# Few rows and steps, to try the page out
QUICK = os.environ.get("SKLEARN_BINFOGAN_QUICK") == "1"
N_ROWS = 200 if QUICK else None  # None: all
BUDGET = {"warmup_iter": 2, "max_iter": 2} if QUICK else {}
N_LABELS = [10, 20] if QUICK else [10, 20, 50, 100]

X, y = load_digits(return_X_y=True)
X, y = X[:N_ROWS], y[:N_ROWS]


def few_labels(n_labels, seed=0):
    """Draw equally many labels of each class; -1 stands for no label."""
    rng = np.random.default_rng(seed)
    rows = [
        rng.choice(np.flatnonzero(y == c), n_labels // 10, replace=False)
        for c in range(10)
    ]
    drawn = np.full(len(y), -1)
    drawn[np.concatenate(rows)] = y[np.concatenate(rows)]
    return drawn


# %%
# Twenty labels
# -------------
# A row without a label has -1, as in scikit-learn's own semi-supervised
# estimators.

twenty = few_labels(20)
classifier = BInfoGANClassifier(
    image_shape=SHAPE, random_state=0, verbose=1, **BUDGET
)
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
display.ax_.set_title("Generated digits by class, from 20 labels")

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


gan = BInfoGANTransformer(
    image_shape=SHAPE, random_state=0, verbose=1, **BUDGET
).fit(X)
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
        "BInfoGANClassifier": classifier.set_params(verbose=0)
        .fit(X, drawn)
        .predict(X),
        "LabelSpreading": LabelSpreading(kernel="knn")
        .fit(X / 16, drawn)
        .transduction_,
        "SelfTrainingClassifier": SelfTrainingClassifier(logistic())
        .fit(X, drawn)
        .predict(X),
    }
    for name, columns in features.items():
        model = logistic().fit(columns[labelled], drawn[labelled])
        found[f"logistic regression, {name}"] = model.predict(columns)
    for name, labels in found.items():
        accuracy = (labels[~labelled] == y[~labelled]).mean()
        accuracies.setdefault(name, []).append(accuracy)
        print(f"{n_labels:>4} labels, {name}: {accuracy:.1%}")

figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
for name, values in accuracies.items():
    ax.plot(
        N_LABELS,
        values,
        "o-",
        label=name,
        linewidth=3 if name.startswith("BInfo") else 1,
    )
ax.set_xscale("log")
ax.set_xticks(N_LABELS, [str(n) for n in N_LABELS])
ax.minorticks_off()
ax.yaxis.set_major_formatter(PercentFormatter(1))
ax.set_xlabel("number of labels, as many of each digit")
ax.set_ylabel("accuracy on the digits without a label")
ax.set_title("Digits from a few labels, one draw of them")
ax.legend()
plt.show()
