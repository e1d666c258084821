"""The real faces of the colour benchmark, and how well a single code tells a property of them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.utils import Bunch

IMAGE_SHAPE = (32, 32, 3)
CHILD = 13  # years: under that age
LUMINANCE = np.array([0.299, 0.587, 0.114])
SKIN = (slice(10, 24), slice(8, 24))  # cheeks, nose and forehead of an aligned face
CORNERS = [(slice(0, 6), slice(0, 4)), (slice(0, 6), slice(28, 32))]


def load_faces() -> Bunch:
    """Faces of `faces/faces32.npz` in the folder that SKLEARN_BINFOGAN_DATA names.

    Returns
    -------
    faces : Bunch
        X_train, X_test : ndarray of uint8, shape (n, 3072)
        male_train, male_test, child_train, child_test : ndarray of bool, shape (n,)
        skin_train, skin_test, background_train, background_test : ndarray of float, shape (n,)
            Mean brightness in [0, 1] of the middle of the face and of the two upper corners.
    """
    root = os.environ.get("SKLEARN_BINFOGAN_DATA")
    if not root:
        raise SystemExit("Set SKLEARN_BINFOGAN_DATA to the folder that holds faces/faces32.npz.")
    faces = Bunch()
    with np.load(Path(root, "faces", "faces32.npz")) as stored:
        for part in ("train", "test"):
            images = stored[f"X_{part}"]
            faces[f"X_{part}"] = images.reshape(len(images), -1)
            faces[f"male_{part}"] = stored[f"male_{part}"] == 1
            faces[f"child_{part}"] = stored[f"age_{part}"] < CHILD
            faces[f"skin_{part}"] = brightness(images, [SKIN])
            faces[f"background_{part}"] = brightness(images, CORNERS)
    return faces


def brightness(images: np.ndarray, regions: list[tuple[slice, slice]]) -> np.ndarray:
    """Mean luminance of some regions of images (n, height, width, 3) of bytes, in [0, 1]."""
    means = [images[:, rows, columns].mean(axis=(1, 2)) @ LUMINANCE for rows, columns in regions]
    return np.mean(means, axis=0) / 255


def as_numbers(
    codes: np.ndarray, n_categorical: int, target: np.ndarray, of_codes: np.ndarray
) -> np.ndarray:
    """Each code of `of_codes` as one number: a category as the mean target of its rows in `codes`.

    Parameters
    ----------
    codes, of_codes : ndarray of shape (n, n_codes) and (m, n_codes)
        Numbers of categories in the first `n_categorical` columns, then continuous codes.
    target : ndarray of shape (n,)
    """
    numbers = of_codes.astype(np.float64)
    for column in range(n_categorical):
        means = {k: target[codes[:, column] == k].mean() for k in np.unique(codes[:, column])}
        numbers[:, column] = [means.get(k, target.mean()) for k in of_codes[:, column]]
    return numbers


def auc(target: np.ndarray, number: np.ndarray) -> float:
    """Area under the ROC curve, whichever way round the number runs."""
    area = float(roc_auc_score(target, number))
    return max(area, 1 - area)


def correlation(target: np.ndarray, number: np.ndarray) -> float:
    """Absolute Pearson correlation; 0 for a number that never changes."""
    return float(abs(np.corrcoef(target, number)[0, 1])) if np.ptp(number) > 0 else 0.0
