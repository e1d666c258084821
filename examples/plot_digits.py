"""
=====================================
Handwritten digits without labels
=====================================

A bidirectional InfoGAN is fitted to scikit-learn's 8 x 8 digits. Its categories are clusters, its
continuous codes describe style, its generator draws new digits and decodes encoded ones, and its
codes are features for a classifier. Labels serve only to judge the result and to train that
classifier.
"""

import argparse
import os
import sys
from pathlib import Path

import matplotlib

if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and sys.platform == "linux":
    matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.metrics import match_clusters

try:
    HERE = Path(__file__).parent
except NameError:  # sphinx-gallery runs the code without a file
    HERE = Path.cwd()

parser = argparse.ArgumentParser(description="Cluster, generate and reconstruct digits.")
parser.add_argument("--output", type=Path, default=HERE / "output", help="folder for pictures")
parser.add_argument("--quick", action="store_true", help=argparse.SUPPRESS)  # a smoke test
options = parser.parse_args()
options.output.mkdir(parents=True, exist_ok=True)

SHAPE = (8, 8)
N_CLUSTERS = 10
BUDGET = {"warmup_iter": 20, "max_iter": 20} if options.quick else {}
SEARCH_BUDGET = BUDGET or {"warmup_iter": 100, "max_iter": 100}


def make_gan(**parameters):
    """Return the model of this example, for 8 x 8 images."""
    return BInfoGANTransformer(
        n_clusters=N_CLUSTERS, image_shape=SHAPE, random_state=0, **parameters
    )


# %%
# Fit
# ---
# One row of X is a flattened image. The first phase of training finds the clusters; the second, the
# game between encoder, generator and discriminator, keeps them and adds the style codes.

X, y = load_digits(return_X_y=True)
gan = make_gan(include_noise=True, verbose=1, **BUDGET).fit(X)

# %%
# The clusters have no names: match them to the digits one to one, so that most rows agree.

digit_of_cluster, accuracy = match_clusters(y, gan.labels_)
print(f"One-to-one cluster accuracy, {len(X)} digits: {accuracy:.1%}")
print(f"Label-free score: {gan.score(X):.3f}")

# %%
# Codes as features
# -----------------
# In a pipeline the transformer ignores the labels; the classifier sees 10 posteriors and 2
# continuous codes instead of 64 pixels.

X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
pipe = Pipeline(
    [("binfogan", make_gan(verbose=1, **BUDGET)), ("clf", LogisticRegression(max_iter=1000))]
)
pipe.fit(X_train, y_train)
print(f"Pipeline accuracy, {len(X_test)} held-out digits: {pipe.score(X_test, y_test):.1%}")

# %%
# Choose lambda
# -------------
# ``mi_weight`` is the paper's lambda. The budget here is small, to show the search rather than to
# settle the choice. Without labels, search over the transformer itself: its ``score`` needs none.

pipe.set_params(binfogan__verbose=0)
pipe.set_params(**{f"binfogan__{name}": value for name, value in SEARCH_BUDGET.items()})
search = GridSearchCV(pipe, {"binfogan__mi_weight": [0.1, 1, 10]}, cv=2, n_jobs=2, refit=False)
search.fit(X_train, y_train)
for weight, mean in zip(
    search.cv_results_["param_binfogan__mi_weight"],
    search.cv_results_["mean_test_score"],
    strict=True,
):
    print(f"lambda {weight:>4}: accuracy {mean:.1%} on average of 2 folds")
print(f"Best lambda: {search.best_params_['binfogan__mi_weight']}")

# %%
# Pictures
# --------


def draw_grid(ax, images, title=""):
    """Draw images of shape (n_rows, n_columns, 64) side by side, a pixel apart."""
    n_rows, n_columns = images.shape[:2]
    tiles = np.pad(
        images.reshape(n_rows, n_columns, *SHAPE), ((0, 0), (0, 0), (1, 1), (1, 1))
    ).transpose(0, 2, 1, 3)
    ax.imshow(tiles.reshape(n_rows * (SHAPE[0] + 2), -1), cmap="gray_r", vmin=0, vmax=X.max())
    ax.set(xticks=[], yticks=[], title=title)


def label_rows(ax, names):
    """Write a name beside each row of a grid."""
    height = SHAPE[0] + 2
    ax.set_yticks(height * np.arange(len(names)) + height / 2 - 0.5, names)
    ax.tick_params(length=0)


def save(figure, name):
    """Write a figure to the output folder."""
    figure.savefig(options.output / name, dpi=120, bbox_inches="tight")
    print(f"wrote {options.output / name}")


CLUSTER_NAMES = [
    f"cluster {k} (digit {digit_of_cluster[k]})" if k in digit_of_cluster else f"cluster {k}"
    for k in range(N_CLUSTERS)
]

# %%
# Real digits, a row per cluster; a cluster with fewer than 12 digits leaves places empty.


def members_of(cluster, n=12):
    """Return the first rows of a cluster, filled up with empty images."""
    rows = X[gan.labels_ == cluster][:n]
    return np.concatenate([rows, np.zeros((n - len(rows), X.shape[1]))])


figure, ax = plt.subplots(figsize=(7, 5), layout="constrained")
draw_grid(ax, np.stack([members_of(k) for k in range(N_CLUSTERS)]), "Real digits by cluster")
label_rows(ax, CLUSTER_NAMES)
save(figure, "real_digits.png")

# %%
# Generated digits, a row per cluster.

generated = [gan.sample(12, cluster=k, random_state=k)[0] for k in range(N_CLUSTERS)]
figure, ax = plt.subplots(figsize=(7, 5), layout="constrained")
draw_grid(ax, np.stack(generated), "Generated digits by cluster")
label_rows(ax, CLUSTER_NAMES)
save(figure, "generated_digits.png")

# %%
# Each continuous code from -1 to 1, the other code and the noise at 0.


def traverse(code, values):
    """Return images (n_clusters, n_values, 64) along one continuous code."""
    codes = np.zeros((N_CLUSTERS, len(values), N_CLUSTERS + gan.n_continuous))
    codes[:, :, :N_CLUSTERS] = np.eye(N_CLUSTERS)[:, None]
    codes[:, :, N_CLUSTERS + code] = values
    images = gan.inverse_transform(codes.reshape(-1, codes.shape[-1]))
    return images.reshape(N_CLUSTERS, len(values), -1)


figure, axes = plt.subplots(
    1, gan.n_continuous, figsize=(5 * gan.n_continuous + 1, 5), layout="constrained"
)
for code, ax in enumerate(axes):
    draw_grid(ax, traverse(code, np.linspace(-1, 1, 11)), f"continuous code {code}: -1 to 1")
label_rows(axes[0], CLUSTER_NAMES)
save(figure, "traversal.png")

# %%
# Digits above their reconstructions G(E(x)). With the noise in the codes a reconstruction keeps
# more of the digit than its cluster and two numbers.

shown = X[:: len(X) // 45][:45]
pairs = np.stack([shown, gan.inverse_transform(gan.transform(shown))]).reshape(2, 3, 15, -1)
figure, ax = plt.subplots(figsize=(9, 4), layout="constrained")
draw_grid(ax, pairs.swapaxes(0, 1).reshape(6, 15, -1), "Digits above their reconstructions G(E(x))")
label_rows(ax, ["real", "G(E(x))"] * 3)
save(figure, "reconstructions.png")

# %%
# Losses by epoch, which is 50 steps. ``valid_loss`` is 1 minus the label-free score on rows held
# out; ``train_loss`` is another loss in each phase, so it jumps where the game begins.


def draw_loss(ax, name, color):
    """Draw one loss, a line per phase, where the history has it."""
    label = name
    for phase in ["consistency", "game"]:
        rows = [row for row in gan.history_ if row["phase"] == phase and name in row]
        if rows:
            epochs, values = [row["epoch"] for row in rows], [row[name] for row in rows]
            ax.plot(epochs, values, marker=".", color=color, label=label)
            label = None  # one entry in the legend


game_begins = next(row["epoch"] for row in gan.history_ if row["phase"] == "game")
panels = [["train_loss"], ["valid_loss"], ["discriminator_loss", "adversarial_loss"]]
figure, axes = plt.subplots(1, 3, figsize=(12, 3.5), layout="constrained")
for ax, names in zip(axes, panels, strict=True):
    for i, name in enumerate(names):
        draw_loss(ax, name, f"C{i}")
    ax.axvspan(0.5, game_begins - 0.5, color="0.92", label="consistency phase")
    ax.set(xlabel="epoch")
    ax.legend()
save(figure, "losses.png")
