"""Draw the pictures of the guide: each parameter too small, good and too large; each display.

python docs/parameter_pictures.py                    # all: some minutes on a CPU core
python docs/parameter_pictures.py mi_weight displays # some of them
"""

import argparse
import warnings

import matplotlib.pyplot as plt
import numpy as np
from pictures import ROOT, save
from sklearn.datasets import load_digits, load_wine

from sklearn_binfogan import AffineMove, BInfoGANTransformer
from sklearn_binfogan.inspection import (
    CodeGridDisplay,
    CodeUsageDisplay,
    ExtremesDisplay,
    NearestRowsDisplay,
    PairPlotDisplay,
    ReconstructionDisplay,
    TrainingCurveDisplay,
    TraversalDisplay,
)
from sklearn_binfogan.metrics import cluster_accuracy

IMAGES = ROOT / "docs" / "images"
X, y = load_digits(return_X_y=True)


def fitted(**parameters):
    """Fit the digits; parameters replace those of every picture."""
    common = {"n_clusters": 10, "image_shape": (8, 8), "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # some of these fits are meant to go wrong
        return BInfoGANTransformer(**(common | parameters)).fit(X)


def panels(titles, width=9.0, height=4.2):
    """Return a figure of axes side by side, each with a title."""
    figure, axes = plt.subplots(
        1, len(titles), figsize=(width, height), layout="constrained"
    )
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(title)
    return figure, axes


def grids(name, cases, samples, **drawn):
    """Draw rows by cluster, real or generated, for each case: a title and its parameters."""
    figure, axes = panels(list(cases))
    for ax, (title, parameters) in zip(axes, cases.items(), strict=True):
        gan = fitted(**parameters)
        print(title, f"accuracy {cluster_accuracy(y, gan.labels_):.1%}")
        print(gan.diagnostics_["findings"])
        if samples:
            CodeGridDisplay.from_samples(
                gan, n_columns=8, random_state=0, ax=ax, **drawn
            )
        else:
            CodeGridDisplay.from_estimator(gan, X, n_columns=8, ax=ax, **drawn)
        ax.set_title(title)
    save(figure, IMAGES / f"parameter_{name}.png")


def n_clusters():
    cases = {
        f"{word}: n_clusters={n}": {"n_clusters": n, "max_iter": 0}
        for n, word in ((5, "Too few"), (10, "Good"), (20, "Too many"))
    }
    grids("n_clusters", cases, samples=False, order="random", random_state=0)


def image_shape():
    cases = {
        "Left out: image_shape=None": {
            "image_shape": None,
            "architecture": "mlp",  # says that a table is meant
            "max_iter": 0,
        },
        "Good: image_shape=(8, 8)": {"max_iter": 0},
    }
    figure, axes = panels(list(cases), width=6.6)
    for ax, parameters in zip(axes, cases.values(), strict=True):
        ax.imshow(
            sheet(fitted(**parameters).labels_), cmap="gray", vmin=0, vmax=16
        )
        ax.set_xticks([])
        ax.set_yticks([9 * k + 3.5 for k in range(10)], range(10))
        ax.set_ylabel("cluster")
    save(figure, IMAGES / "parameter_image_shape.png")


def sheet(labels):
    """Put eight random digits of each cluster side by side, with white between."""
    rng = np.random.default_rng(0)
    whole = np.full((10 * 9 - 1, 8 * 9 - 1), 16.0)
    for cluster in range(10):
        members = rng.permutation(np.flatnonzero(labels == cluster))[:8]
        for column, row in enumerate(members):
            top, left = 9 * cluster, 9 * column
            whole[top : top + 8, left : left + 8] = X[row].reshape(8, 8)
    return whole


def mi_weight():
    cases = {
        "Too small: mi_weight=0.1": {"mi_weight": 0.1},
        "Good: mi_weight=1": {"mi_weight": 1},
        "Large: mi_weight=10": {"mi_weight": 10},
    }
    grids("mi_weight", cases, samples=True)


def n_continuous():
    figure, axes = panels(
        [
            "One code: code 0",
            "Two codes: code 1",
            "Eight codes: code 7",
        ]
    )
    for ax, n in zip(axes, (1, 2, 8), strict=True):
        title = ax.get_title()
        TraversalDisplay.from_estimator(
            fitted(n_continuous=n),
            code=n - 1,
            values=[-1, -0.5, 0, 0.5, 1],
            ax=ax,
        )
        ax.set_title(title)
        for inset in ax.child_axes:  # too small for numbers
            inset.set_xticks([])
    save(figure, IMAGES / "parameter_n_continuous.png")


def augmentation():
    wild = AffineMove(rotation=3.1, scale=0.5, shear=0.8, shift=0.4)
    cases = {
        "Too small: None": {"augmentation": None, "max_iter": 0},
        'Good: "auto"': {"max_iter": 0},
        "Too large: any turn": {"augmentation": wild, "max_iter": 0},
    }
    grids("augmentation", cases, samples=False, order="random", random_state=0)


def max_iter():
    cases = {
        "Too few: max_iter=30": {"max_iter": 30},
        'Good: "auto"': {},
        "More: max_iter=1500": {"max_iter": 1500},
    }
    grids("max_iter", cases, samples=True)


def good_and_bad():
    """Sizes and certainty of clusters, of a good fit and of one whose moves were too large."""
    wild = AffineMove(rotation=3.1, scale=0.5, shear=0.8, shift=0.4)
    cases = {
        "A good fit": {"max_iter": 0},
        "A bad fit: the moves are too large": {
            "augmentation": wild,
            "max_iter": 0,
        },
    }
    figure, axes = panels(list(cases), width=11.0, height=3.8)
    for ax, (title, parameters) in zip(axes, cases.items(), strict=True):
        gan = fitted(**parameters)
        print(title, gan.diagnostics_["findings"])
        CodeUsageDisplay.from_estimator(gan, X, ax=ax)
        ax.set_title(title, pad=22)
    save(figure, IMAGES / "good_and_bad.png")


def displays():
    """One picture of every display, of one model."""
    gan = fitted(include_noise=True)
    drawn = {
        "CodeGridDisplay": lambda ax: CodeGridDisplay.from_estimator(
            gan, X, ax=ax
        ),
        "TraversalDisplay": lambda ax: TraversalDisplay.from_estimator(
            gan, code=0, ax=ax
        ),
        "ExtremesDisplay": lambda ax: ExtremesDisplay.from_estimator(
            gan, X, code=0, ax=ax
        ),
        "ReconstructionDisplay": lambda ax: (
            ReconstructionDisplay.from_estimator(
                gan, X, n_rows=30, n_columns=10, random_state=0, ax=ax
            )
        ),
        "NearestRowsDisplay": lambda ax: NearestRowsDisplay.from_estimator(
            gan, X, n_rows=30, n_columns=10, random_state=0, ax=ax
        ),
        "CodeUsageDisplay": lambda ax: CodeUsageDisplay.from_estimator(
            gan, X, ax=ax
        ),
    }
    for name, draw in drawn.items():
        figure, ax = plt.subplots(figsize=(6.4, 4.6), layout="constrained")
        draw(ax)
        save(figure, IMAGES / f"display_{name}.png")
    display = TrainingCurveDisplay.from_estimator(gan)
    save(display.figure_, IMAGES / "display_TrainingCurveDisplay.png")
    wines = load_wine(as_frame=True).data
    table = BInfoGANTransformer(n_clusters=3, random_state=0).fit(wines)
    display = PairPlotDisplay.from_estimator(table, wines, random_state=0)
    save(display.figure_, IMAGES / "display_PairPlotDisplay.png")


DRAWN = {
    f.__name__: f
    for f in (
        n_clusters,
        image_shape,
        mi_weight,
        n_continuous,
        augmentation,
        max_iter,
        good_and_bad,
        displays,
    )
}


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument(
        "names", nargs="*", help=f"of {', '.join(DRAWN)}; default: all"
    )
    for name in options.parse_args().names or DRAWN:
        plt.close("all")
        DRAWN[name]()


if __name__ == "__main__":
    plt.switch_backend("Agg")
    main()
