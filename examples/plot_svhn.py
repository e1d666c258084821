"""
=====================================
The paper's pictures of house numbers
=====================================

A bidirectional InfoGAN with the paper's four codes of ten categories and four continuous codes is
fitted to colour images of digits without labels. Test images sorted by their codes give the paper's
figure 3(b).

``--data-dir`` names the folder with SVHN's ``train_32x32.mat`` and ``test_32x32.mat``. Without it,
20 000 of MNIST's digits on photographs stand in, which needs MNIST. Without a GPU the fit takes a
while: ``--quick`` tries the example out, and ``--model`` keeps the fitted model for the next time.
These pages don't run it. The drawing itself is in ``_colour_figures.py`` beside it.
"""

import sys
from pathlib import Path

try:
    HERE = Path(__file__).parent
except NameError:  # sphinx-gallery runs the code without a file
    HERE = Path.cwd()
sys.path.insert(0, str(HERE))

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
from sklearn_binfogan.datasets import load_svhn, make_mnist_on_photos
from sklearn_binfogan.metrics import cluster_accuracy

options = parse_arguments("Draw the paper's figures of house numbers.", HERE)
N_STAND_IN = 20_000

# %%
# Data
# ----


def load_digits():
    """Return images and digits for training, then for testing."""
    if options.data_dir is not None:
        svhn = load_svhn(options.data_dir)
        return svhn.X_train, svhn.X_test, svhn.y_test
    train = make_mnist_on_photos(N_STAND_IN, subset="train", random_state=0)
    test = make_mnist_on_photos(N_STAND_IN // 4, subset="test", random_state=1)
    return train.X, test.X, test.y


X_train, X_test, y_test = load_digits()
if options.quick:
    X_train, X_test, y_test = X_train[:N_QUICK], X_test[:N_QUICK], y_test[:N_QUICK]

# %%
# Fit, and draw
# -------------
# The form of a digit alone tells it: categories are read from the contrast of colours, and T adds
# shares of other images, moved by half an image. Then test images by the value of each categorical
# code; those of lowest and highest value of each continuous code, by the first categorical one;
# samples, and reconstructions.

gan = fit_or_load(
    X_train,
    (32, 32, 3),
    options,
    architecture="conv-contrast",
    augmentation=ColourMove(AffineMove(warp=0.12, reflect=True), clutter=1.0),
    warmup_iter=1400,
    max_iter=1050,
)
draw_categories(gan, X_test, options.output / "svhn_categories.png")
draw_ends(gan, X_test, options.output / "svhn_continuous.png")
draw_samples(gan, X_test, options.output / "svhn_samples.png")

# %%
# Do the codes tell different things, and does one tell the digit? Only here labels are used.

print(np.round(gan.diagnostics_["code_information"], 2))
for code, labels in enumerate(gan.predict(X_test).T):
    print(f"code {code}: one-to-one digit accuracy {cluster_accuracy(y_test, labels):.1%}")
