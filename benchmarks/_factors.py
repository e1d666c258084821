"""Slant and stroke width of digit images, and how far two continuous codes stand for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

FACTORS = ("slant", "stroke")
FOUND = 0.6  # the correlation from which on a code is said to stand for a factor
UPSAMPLING = 4


def slant(images: np.ndarray) -> np.ndarray:
    """Columns that a digit moves to the side per row: the shear that deskewing takes back.

    It is mu11 / mu02 of the image moments, the slope of the least-squares line of column on row.

    Parameters
    ----------
    images : ndarray of shape (n, height, width)
        Ink is positive, the background 0.
    """
    height, width = images.shape[1:]
    rows, columns = np.arange(height), np.arange(width)
    weights = images / images.sum(axis=(1, 2), keepdims=True)
    from_middle_row = rows - (weights.sum(axis=2) @ rows)[:, None]
    from_middle_column = columns - (weights.sum(axis=1) @ columns)[:, None]
    mu11 = np.einsum("nij,ni,nj->n", weights, from_middle_row, from_middle_column)
    mu02 = np.einsum("nij,ni->n", weights, from_middle_row**2)
    return mu11 / mu02


def stroke_width(images: np.ndarray) -> np.ndarray:
    """Mean width of the strokes in pixels, of images (n, height, width) in [0, 1]."""
    return np.array([_stroke_width(image) for image in images])


def _stroke_width(image: np.ndarray) -> float:
    """Twice the mean distance from the middle of the stroke to its edge.

    Ink area over skeleton length would say the same but needs a skeleton, which scipy does not
    have. The local maxima of the distance to the background are the middle of the stroke. A
    stroke is two to four pixels wide and its grey edge says where in a pixel it ends: without
    enlarging first, the threshold would round the width to whole pixels.
    """
    large = ndimage.zoom(image, UPSAMPLING, order=1, mode="grid-constant", grid_mode=True)
    distance = ndimage.distance_transform_edt(large > 0.5)
    middle = (distance > 0) & (distance == ndimage.maximum_filter(distance, size=3))
    return 2 * float(distance[middle].mean()) / UPSAMPLING if middle.any() else 0.0


def correlations_within(labels: np.ndarray, codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Absolute Pearson correlation of codes (n, a) and factors (n, b) within categories, (a, b).

    Each category's mean is taken off first: a category that is both wide and slanted on average
    says nothing about what a code does inside it.
    """
    codes, factors = _centred(labels, codes), _centred(labels, factors)
    scale = np.outer(np.linalg.norm(codes, axis=0), np.linalg.norm(factors, axis=0))
    # A code or factor that never changes correlates with nothing.
    products = np.abs(codes.T @ factors)
    return np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)


def _centred(labels: np.ndarray, values: np.ndarray) -> np.ndarray:
    centred = values.astype(np.float64)
    for label in np.unique(labels):
        centred[labels == label] -= centred[labels == label].mean(axis=0)
    return centred


def factor_measures(labels: np.ndarray, codes: np.ndarray, images: np.ndarray) -> dict[str, Any]:
    """Correlations of two continuous codes with slant and stroke width; one code for each.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        Predicted categories.
    codes : ndarray of shape (n, 2)
    images : ndarray of shape (n, height, width)
        In [0, 1].
    """
    factors = np.stack([slant(images), stroke_width(images)], axis=1)
    matrix = correlations_within(labels, codes, factors)
    # One code with slant and the other with stroke width: the better of the two ways round.
    pair = max((matrix[0, 0], matrix[1, 1]), (matrix[1, 0], matrix[0, 1]), key=min)
    return {
        **{f"{name}_correlation": float(r) for name, r in zip(FACTORS, pair, strict=True)},
        "factors_found": bool(min(pair) >= FOUND),
        "factor_correlations": matrix.tolist(),  # a row per code, a column per factor
    }
