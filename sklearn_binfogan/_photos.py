"""Digits on photographs, in the manner of MNIST-M."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils import gen_batches

SIDE = 32  # pixels, of a patch
FACTORS = ("digit", "photo", "top", "left", "contrast", "colour")
# What is subtracted where there is ink, as shares of the brightest red, green and blue.
COLOURS = {
    "white": (1, 1, 1),
    "red": (1, 1 / 3, 1 / 3),
    "green": (1 / 3, 1, 1 / 3),
    "blue": (1 / 3, 1 / 3, 1),
    "yellow": (1, 1, 1 / 3),
    "cyan": (1 / 3, 1, 1),
    "magenta": (1, 1 / 3, 1),
}


def draw_factors(
    digits: np.ndarray,
    photos: Sequence[np.ndarray],
    contrast: tuple[float, float],
    rng: np.random.RandomState,
) -> np.ndarray:
    """Draw all but the digits, uniformly and independently: float64 (n, 6), as `FACTORS`."""
    n = len(digits)
    photo = rng.randint(len(photos), size=n)
    room = np.array([photo.shape[:2] for photo in photos])[photo] - SIDE + 1
    top, left = np.floor(rng.uniform(size=(n, 2)) * room).T
    strength = rng.uniform(*contrast, size=n)
    colour = rng.randint(len(COLOURS), size=n)
    return np.column_stack([digits, photo, top, left, strength, colour])


def subtract_digits(
    ink: np.ndarray, photos: Sequence[np.ndarray], factors: np.ndarray
) -> np.ndarray:
    """Put digits onto patches of photos: |patch - contrast * colour * ink|.

    Parameters
    ----------
    ink : ndarray of uint8, shape (n, height, width)
        At most 32 x 32; put into the middle.
    photos : sequence of ndarray of uint8, shape (height, width, 3)
    factors : ndarray of shape (n, 6)

    Returns
    -------
    X : ndarray of uint8, shape (n, 32 * 32 * 3)
    """
    space = [SIDE - side for side in ink.shape[1:]]
    X = np.empty((len(ink), SIDE * SIDE * 3), np.uint8)
    colours = np.array(list(COLOURS.values()))[factors[:, -1].astype(int)]
    tints = (factors[:, -2, None] * colours).astype(np.float32)
    for rows in gen_batches(len(ink), 1024):
        patches = np.stack([_patch(photos, each) for each in factors[rows]])
        padded = np.pad(ink[rows], [(0, 0), *((s // 2, s - s // 2) for s in space)])
        marks = padded[..., None] * tints[rows, None, None]
        X[rows] = np.rint(np.abs(patches - marks)).reshape(len(patches), -1)
    return X


def _patch(photos: Sequence[np.ndarray], factors: np.ndarray) -> Any:
    photo, top, left = factors[1:4].astype(int)
    return photos[photo][top : top + SIDE, left : left + SIDE]
