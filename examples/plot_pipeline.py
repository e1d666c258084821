"""
===================================
A pipeline, and a search for lambda
===================================

The codes of a model are features for a classifier. lambda, ``mi_weight``, says
how much codes must tell about rows. A search looks for a good value: with
labels by the accuracy of the whole pipeline, without labels by the model's own
score.
"""

import os

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_binfogan import BInfoGANTransformer

# A few steps, to try the page out
QUICK = os.environ.get("SKLEARN_BINFOGAN_QUICK") == "1"
STEPS = 2 if QUICK else 80
N_ROWS = 150 if QUICK else None  # None: all
LAMBDAS = [0.1, 1.0] if QUICK else [0.03, 1.0, 10.0]

# %%
# A pipeline
# ----------
# The transformer ignores the labels; they are for the classifier, which sees
# 10 probabilities and 2 style codes instead of 64 pixels.

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X[:N_ROWS], y[:N_ROWS], stratify=y[:N_ROWS], random_state=0
)
gan = BInfoGANTransformer(
    n_clusters=10,
    image_shape=(8, 8),
    warmup_iter=STEPS,
    max_iter=STEPS,
    random_state=0,
)
pipe = Pipeline(
    [
        ("gan", gan),
        ("scale", StandardScaler()),
        ("clf", LogisticRegression(max_iter=1000)),
    ]
)
pipe.set_output(transform="pandas").fit(X_train, y_train)
print(f"accuracy on {len(X_test)} held-out digits:", end=" ")
print(f"{pipe.score(X_test, y_test):.1%}")
pipe[:1].transform(X_test).head().round(2)

# %%
# A search with labels
# --------------------
# Few steps keep this page quick: it shows how to search, not which value is
# best. The default is 1.

names = {"gan__mi_weight": LAMBDAS}
with_labels = GridSearchCV(pipe, names, cv=2).fit(X_train, y_train)
print("best by accuracy:", with_labels.best_params_)

# %%
# A search without labels
# -----------------------
# Give the transformer itself to the search. Its ``score`` needs no labels.

without = GridSearchCV(gan, {"mi_weight": LAMBDAS}, cv=2).fit(X_train)
print("best by the label-free score:", without.best_params_)

# %%
# Both searches
# -------------
# A dot is a fold, the line their mean.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
titles = {
    "accuracy of the pipeline": with_labels,
    "label-free score": without,
}
for ax, (title, search) in zip(axes, titles.items(), strict=True):
    found = search.cv_results_
    for fold in range(2):
        ax.plot(
            LAMBDAS, found[f"split{fold}_test_score"], "o", color="tab:gray"
        )
    ax.plot(LAMBDAS, found["mean_test_score"], color="tab:blue")
    ax.set_xscale("log")
    ax.set_xticks(LAMBDAS, [f"{value:g}" for value in LAMBDAS])
    ax.minorticks_off()
    ax.set_xlabel("lambda, mi_weight")
    ax.set_ylabel(title)
figure.suptitle("Two searches for lambda, two folds each")
plt.show()
