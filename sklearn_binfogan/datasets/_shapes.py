"""A rendered data set with known factors, similar to dSprites."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_random_state, gen_batches

from .._checks import check_count

_SIDE = 32  # pixels
_RADIUS = 7.0  # pixels; every shape of scale 1 lies in a circle of this radius
_SUBPIXELS = 3  # per side of a pixel; their share inside the shape is the pixel's grey

# The values of each factor. Every combination is equally likely.
_VALUES = {
    "shape": np.arange(3.0),
    "scale": np.linspace(0.5, 1, 6),
    "rotation": np.arange(40) * (2 * np.pi / 40),
    "x": np.linspace(0, 1, 32),
    "y": np.linspace(0, 1, 32),
}

_DESCR = """\
Shapes: grey images of 32 x 32 pixels from 0 (background) to 255 (shape), each of one white shape,
rendered from five factors that are drawn independently of each other:

shape     0 square, 1 ellipse, 2 heart
scale     6 values from 0.5 to 1
rotation  40 values in [0, 2 pi), counter-clockwise
x         32 values from 0 (left) to 1 (right)
y         32 values from 0 (top) to 1 (bottom)

A square looks the same after a quarter turn and an ellipse after half a turn, so an image does not
fully determine the rotation.

Made after dSprites: L. Matthey, I. Higgins, D. Hassabis and A. Lerchner, "dSprites:
Disentanglement testing Sprites dataset", 2017,
https://github.com/google-deepmind/dsprites-dataset
"""


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(u), np.abs(v)) <= np.sqrt(0.5)


def _ellipse(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return u**2 + (2 * v) ** 2 <= 1


def _heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Whether points lie in the curve (u^2 + v^2 - 1)^3 = u^2 v^3, scaled to radius 1."""
    uu, v = (1.43 * u) ** 2, 1.43 * v
    vv = v * v
    rest = uu + vv - 1
    return rest * rest * rest <= uu * vv * v


# Each says which points lie inside. v points up, and the shape lies in the unit circle.
_SHAPES: tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], ...] = (_square, _ellipse, _heart)


def make_shapes(n_samples: int = 10_000, *, random_state: Any = None) -> Bunch:
    """Render grey images of a square, an ellipse or a heart with known factors.

    The set is similar to dSprites [1]_, but smaller, and grey instead of black and white. Five
    factors are drawn uniformly and independently of each other.

    Parameters
    ----------
    n_samples : int, default=10000
        Number of images, at least 1.
    random_state : int, RandomState or None, default=None
        Draws the factors.

    Returns
    -------
    shapes : Bunch
        X : ndarray of uint8, shape (n_samples, 1024)
            Images as rows, in C order; pixels from 0 (background) to 255 (shape).
        factors : ndarray of float64, shape (n_samples, 5)
            In this order: shape (0 square, 1 ellipse, 2 heart), scale (6 values, 0.5 to 1),
            rotation (40 values in [0, 2 pi), counter-clockwise), x (32 values, 0 left to 1 right)
            and y (32 values, 0 top to 1 bottom).
        factor_names : list of str
            ``["shape", "scale", "rotation", "x", "y"]``
        image_shape : tuple
            ``(32, 32)``: height and width.
        DESCR : str
            Description and source.

    Raises
    ------
    ValueError
        If `n_samples` isn't an int of at least 1.

    Notes
    -----
    A square looks the same after a quarter turn and an ellipse after half a turn, so no code can
    fully determine the rotation.

    References
    ----------
    .. [1] L. Matthey, I. Higgins, D. Hassabis, A. Lerchner, "dSprites: Disentanglement testing
       Sprites dataset", 2017, https://github.com/google-deepmind/dsprites-dataset

    Examples
    --------
    >>> from sklearn_binfogan.datasets import make_shapes
    >>> shapes = make_shapes(100, random_state=0)
    >>> shapes.X.shape, shapes.factors.shape
    ((100, 1024), (100, 5))
    """
    check_count("n_samples", n_samples)
    rng = check_random_state(random_state)
    factors = np.column_stack([rng.choice(values, n_samples) for values in _VALUES.values()])
    return Bunch(
        X=_render(factors),
        factors=factors,
        factor_names=list(_VALUES),
        image_shape=(_SIDE, _SIDE),
        DESCR=_DESCR,
    )


def _render(factors: np.ndarray) -> np.ndarray:
    """Return the images, uint8 (n, 1024), of factors (n, 5)."""
    X = np.empty((len(factors), _SIDE * _SIDE), np.uint8)
    for rows in gen_batches(len(factors), 64):  # fits into the cache of a CPU
        X[rows] = _render_batch(factors[rows])
    return X


def _render_batch(factors: np.ndarray) -> np.ndarray:
    """Return one batch of images, uint8 (n, 1024)."""
    shape, scale, rotation, x, y = factors.astype(np.float32).T
    points = ((np.arange(_SIDE * _SUBPIXELS) + 0.5) / _SUBPIXELS).astype(np.float32)
    margin = _RADIUS + 0.5
    dx = points - (margin + x * (_SIDE - 2 * margin))[:, None]
    dy = (margin + y * (_SIDE - 2 * margin))[:, None] - points
    # Coordinates along the axes of the turned and scaled shape, (n, points, points).
    cos, sin = (f(rotation)[:, None] / (_RADIUS * scale)[:, None] for f in (np.cos, np.sin))
    u = (cos * dx)[:, None, :] + (sin * dy)[:, :, None]
    v = (cos * dy)[:, :, None] - (sin * dx)[:, None, :]
    inside = np.empty(u.shape, np.uint8)
    for index, contains in enumerate(_SHAPES):
        rows = shape == index
        inside[rows] = contains(u[rows], v[rows])
    cells = inside.reshape(len(factors), _SIDE, _SUBPIXELS, _SIDE, _SUBPIXELS)
    counts = np.einsum("nhiwj->nhw", cells)
    return np.rint(counts * (255 / _SUBPIXELS**2)).reshape(len(factors), -1)
