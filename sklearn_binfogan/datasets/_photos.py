"""Digits on photographs, in the manner of MNIST-M."""

import os
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.datasets import load_sample_images
from sklearn.utils import Bunch, check_random_state, check_scalar, gen_batches

from .._checks import check_count
from ._files import pillow
from ._mnist import load_mnist

_SIDE = 32  # pixels, of a patch
_FACTORS = ("digit", "photo", "top", "left", "contrast", "colour")
# What full ink subtracts from red, green and blue, as shares of 255.
_COLOURS = {
    "white": (1, 1, 1),
    "red": (1, 1 / 3, 1 / 3),
    "green": (1 / 3, 1, 1 / 3),
    "blue": (1 / 3, 1 / 3, 1),
    "yellow": (1, 1, 1 / 3),
    "cyan": (1 / 3, 1, 1),
    "magenta": (1, 1 / 3, 1),
}

_DESCR = """\
MNIST on photographs: colour images of 32 x 32 pixels, each a patch of one of the two photographs
that come with scikit-learn, from which a digit of MNIST is subtracted, as |patch - contrast *
colour * ink|. All factors but the digit are drawn uniformly and independently of each other:

digit     0 to 9
photo     0 or 1: which photograph
top       row of the patch's upper edge in the photograph
left      column of the patch's left edge
contrast  how much of the digit is subtracted
colour    0 white, 1 red, 2 green, 3 blue, 4 yellow, 5 cyan, 6 magenta

Made after MNIST-M: Y. Ganin and V. Lempitsky, "Unsupervised Domain Adaptation by Backpropagation",
ICML 2015. MNIST is CC BY-SA 3.0; the photographs are CC BY 2.0, and scikit-learn's
datasets/images/README.txt names their authors.
"""


def make_mnist_on_photos(
    n_samples: int | None = None,
    *,
    subset: str = "train",
    contrast: tuple[float, float] = (0.6, 1.0),
    data_dir: str | os.PathLike[str] | None = None,
    random_state: Any = None,
) -> Bunch:
    """Subtract MNIST's digits from patches of photographs, with known factors.

    The construction of MNIST-M [1]_, with the photographs of
    :func:`sklearn.datasets.load_sample_images`, which need Pillow
    (``pip install sklearn-binfogan[images]``), and with digits of seven colours.

    Parameters
    ----------
    n_samples : int or None, default=None
        Number of images, at least 1, each from a different MNIST image. None: the whole subset.
    subset : {"train", "test"}, default="train"
        Which digit images to take, 60 000 or 10 000.
    contrast : tuple of two floats, default=(0.6, 1.0)
        Lowest and highest contrast, in [0, 1].
    data_dir : str or Path, default=None
        Folder of MNIST, as in :func:`load_mnist`.
    random_state : int, RandomState or None, default=None
        Draws the digits and the factors.

    Returns
    -------
    photos : Bunch
        X : ndarray of uint8, shape (n_samples, 3072)
            Flattened channels-last images as rows.
        y : ndarray of int64, shape (n_samples,)
            The digits.
        factors : ndarray of float64, shape (n_samples, 6)
            In this order: digit, photo (0 or 1), top and left of the patch in pixels, contrast,
            colour (0 white, 1 red, 2 green, 3 blue, 4 yellow, 5 cyan, 6 magenta).
        factor_names : list of str
            In the order of the columns of `factors`.
        image_shape : tuple
            ``(32, 32, 3)``
        DESCR : str
            Description and source.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    ImportError
        If Pillow is missing.
    FileNotFoundError, ValueError, OSError
        As :func:`load_mnist`.

    References
    ----------
    .. [1] Y. Ganin, V. Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", ICML 2015.

    Examples
    --------
    >>> from sklearn_binfogan.datasets import make_mnist_on_photos
    >>> photos = make_mnist_on_photos(100, random_state=0)  # doctest: +SKIP
    >>> photos.X.shape, photos.factors.shape  # doctest: +SKIP
    ((100, 3072), (100, 6))
    """
    _check(n_samples, subset, contrast)
    pillow()  # its error says what to install; scikit-learn's does not
    rng = check_random_state(random_state)
    mnist, images = load_mnist(data_dir), load_sample_images().images
    ink, digits = mnist[f"X_{subset}"], mnist[f"y_{subset}"]
    if n_samples is not None:
        check_scalar(n_samples, "n_samples", Integral, max_val=len(ink))
        chosen = rng.permutation(len(ink))[:n_samples]
        ink, digits = ink[chosen], digits[chosen]
    factors = _draw_factors(digits, images, contrast, rng)
    return Bunch(
        X=_subtract_digits(ink.reshape(-1, *mnist.image_shape), images, factors),
        y=digits,
        factors=factors,
        factor_names=list(_FACTORS),
        image_shape=(_SIDE, _SIDE, 3),
        DESCR=_DESCR,
    )


def _check(n_samples: Any, subset: Any, contrast: Any) -> None:
    """Check parameters before anything is loaded."""
    if n_samples is not None:
        check_count("n_samples", n_samples)
    if subset not in ("train", "test"):
        raise ValueError(f"subset must be 'train' or 'test'; got {subset!r}.")
    numbers = isinstance(contrast, tuple | list) and all(isinstance(c, Real) for c in contrast)
    if not numbers or len(contrast) != 2 or not 0 <= contrast[0] <= contrast[1] <= 1:
        raise ValueError(
            f"contrast must be two numbers in [0, 1], the lower one first; got {contrast!r}."
        )


def _draw_factors(
    digits: np.ndarray,
    photos: Sequence[np.ndarray],
    contrast: tuple[float, float],
    rng: np.random.RandomState,
) -> np.ndarray:
    """Draw all factors but the digits, uniformly and independently: float64 (n, 6)."""
    n = len(digits)
    photo = rng.randint(len(photos), size=n)
    room = np.array([photo.shape[:2] for photo in photos])[photo] - _SIDE + 1
    top, left = np.floor(rng.uniform(size=(n, 2)) * room).T
    strength = rng.uniform(*contrast, size=n)
    colour = rng.randint(len(_COLOURS), size=n)
    return np.column_stack([digits, photo, top, left, strength, colour])


def _subtract_digits(
    ink: np.ndarray, photos: Sequence[np.ndarray], factors: np.ndarray
) -> np.ndarray:
    """Put digits onto patches of photos: |patch - contrast * colour * ink|.

    Parameters
    ----------
    ink : ndarray of uint8, shape (n, height, width)
        At most 32 x 32; it goes to the middle of the patch.
    photos : sequence of ndarray of uint8, shape (height, width, 3)
    factors : ndarray of shape (n, 6)

    Returns
    -------
    X : ndarray of uint8, shape (n, 32 * 32 * 3)
    """
    space = [_SIDE - side for side in ink.shape[1:]]
    X = np.empty((len(ink), _SIDE * _SIDE * 3), np.uint8)
    colours = np.array(list(_COLOURS.values()))[factors[:, -1].astype(int)]
    tints = (factors[:, -2, None] * colours).astype(np.float32)
    for rows in gen_batches(len(ink), 1024):
        corners = factors[rows, 1:4].astype(int)
        patches = np.stack([photos[i][y : y + _SIDE, x : x + _SIDE] for i, y, x in corners])
        padded = np.pad(ink[rows], [(0, 0), *((s // 2, s - s // 2) for s in space)])
        marks = padded[..., None] * tints[rows, None, None]
        X[rows] = np.rint(np.abs(patches - marks)).reshape(len(patches), -1)
    return X
