"""
=============================
The paper's pictures of faces
=============================

A bidirectional InfoGAN with the paper's four codes of ten categories and four continuous codes is
fitted to faces of 32 x 32 pixels without labels. Test images sorted by their codes give the paper's
figure 3(a).

``--data-dir`` names the folder of CelebA as it was published. Without it, faces of your own are
read from ``faces/faces32.npz`` in the folder that the variable ``SKLEARN_BINFOGAN_DATA``
names: a NumPy file with bytes ``X_train`` and ``X_test`` of shape (n, 32, 32, 3). Without a GPU the
fit takes a while: ``--quick`` tries the example out, and ``--model`` keeps the fitted model for the
next time. The pictures are of people: mind the terms of the data set before you show them. These
pages show none. The drawing itself is in ``_colour_figures.py`` beside this file.
"""

import sys
from pathlib import Path

try:
    HERE = Path(__file__).parent
except NameError:  # sphinx-gallery runs the code without a file
    HERE = Path.cwd()
sys.path.insert(0, str(HERE))

import os

import numpy as np
from _colour_figures import (
    N_QUICK,
    draw_categories,
    draw_ends,
    draw_samples,
    fit_or_load,
    parse_arguments,
)

from sklearn_binfogan import AffineMove, ColourMove
from sklearn_binfogan.datasets import load_celeba

options = parse_arguments("Draw the paper's figures of faces.", HERE)

# %%
# Data
# ----


def load_faces():
    """Return training and test images as rows of bytes."""
    root = os.environ.get("SKLEARN_BINFOGAN_DATA")
    npz = Path(root, "faces", "faces32.npz") if root else None
    if options.data_dir is None and npz is not None and npz.exists():
        with np.load(npz) as stored:
            return [stored[name].reshape(-1, 32 * 32 * 3) for name in ("X_train", "X_test")]
    celeba = load_celeba(options.data_dir)
    return celeba.X_train, celeba.X_test


X_train, X_test = load_faces()
if options.quick:
    X_train, X_test = X_train[:N_QUICK], X_test[:N_QUICK]

# %%
# Fit, and draw
# -------------
# Aligned faces need gentle moves: where hair ends and what colours a face has tells a lot.

aligned = AffineMove(rotation=0.1, scale=0.08, shear=0.08, shift=0.06, warp=0.03, reflect=True)
gan = fit_or_load(
    X_train,
    (32, 32, 3),
    options,
    augmentation=ColourMove(aligned, contrast=0.15, brightness=0.1, cast=0.03, mirror=True),
    warmup_iter=2500,
    max_iter=1000,
)
draw_categories(gan, X_test, options.output / "faces_categories.png")
draw_ends(gan, X_test, options.output / "faces_continuous.png")
draw_samples(gan, X_test, options.output / "faces_samples.png")

# %%
# Do the codes tell different things? Mutual information of each pair, relative to the entropy.

print(np.round(gan.diagnostics_["code_information"], 2))
