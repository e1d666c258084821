"""Rows of X <-> network input: scaled table rows, or images of shape (C, H, W) in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler
from sklearn.utils import gen_batches
from torch import Tensor

from ._codes import is_count

LARGE_SIDE = 16  # pixels
BLOCK = 1024  # rows
LARGEST = 1e37  # of X: generated rows are float32, and may go beyond the range of X
FARTHEST = 1e6  # of network input: no z-score is beyond the root of the number of rows
ROUNDING = 1e-8  # of the mean of a constant column: far above float64's, far below a sample's


def row_blocks(X: Any) -> Iterator[Any]:
    """Slices of at most `BLOCK` rows, one after the other, of any array that can be sliced."""
    return (X[rows] for rows in gen_batches(X.shape[0], BLOCK))


def subsample(X: Any, n: int) -> Any:
    """At most `n` of the rows: every second, third or so of any array that can be sliced."""
    return X[:: math.ceil(len(X) / n)]


@dataclass(frozen=True, eq=False)
class Layout:
    """Affine scaling of rows, learned in `fit`, and the shape that the networks see.

    Parameters
    ----------
    shape : tuple of int
        (n_features,) for tables, (C, H, W) for images.
    center, scale : ndarray of float64, shape (n_features,) for tables, () for images
        Network input is (x - center) / scale.
    """

    shape: tuple[int, ...]
    center: np.ndarray
    scale: np.ndarray

    @classmethod
    def table(cls, X: Any) -> Layout:
        """Standardise columns; a constant column is centred only.

        Raises
        ------
        ValueError
            If a value is beyond `LARGEST`.
        """
        scaler = StandardScaler()
        for block in row_blocks(X):
            check_magnitude(block)
            # Sums depend in their last bit on the order in memory.
            scaler.partial_fit(np.ascontiguousarray(block))
        constant = (scaler.scale_ == 1) & (scaler.var_ != 1)
        # What rounding leaves of a large constant is not to look like a value.
        least = np.where(constant, ROUNDING * np.abs(scaler.mean_), 0)
        return cls((X.shape[1],), scaler.mean_, np.maximum(scaler.scale_, least))

    @classmethod
    def image(cls, X: Any, image_shape: Any) -> Layout:
        """Map the data's range to [0, 1]; rows are flattened channels-last images.

        Raises
        ------
        ValueError
            If `image_shape` is not one of X, or a value is beyond `LARGEST`.
        """
        height, width, channels = parse_image_shape(image_shape, X.shape[1])
        ranges = np.array([(float(b.min()), float(b.max())) for b in row_blocks(X)])
        low, high = ranges[:, 0].min(), ranges[:, 1].max()
        check_magnitude(np.array([low, high]))
        span = high - low if high > low else 1.0
        return cls((channels, height, width), np.asarray(low), np.asarray(span))

    @property
    def is_image(self) -> bool:
        """Whether rows are images."""
        return len(self.shape) == 3

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return math.prod(self.shape)

    def scaled(self, X: np.ndarray, dtype: Any) -> np.ndarray:
        """Scale rows; always a new array, so that read-only input stays untouched.

        The subtraction runs in float64: a float32 one would lose columns with a large mean.
        Rows that lie absurdly far from those of `fit` are moved closer: they would overflow.
        """
        with np.errstate(over="ignore"):  # infinity is moved closer too
            scaled = np.subtract(X, self.center, order="C") / self.scale
        return np.clip(scaled, -FARTHEST, FARTHEST, out=scaled).astype(dtype, copy=False)

    def to_network(self, rows: Tensor) -> Tensor:
        """Scaled rows (n, n_features) to network input: (n, n_features) or (n, C, H, W)."""
        if not self.is_image:
            return rows
        channels, height, width = self.shape
        return rows.reshape(-1, height, width, channels).permute(0, 3, 1, 2).contiguous()

    def to_rows(self, output: np.ndarray) -> np.ndarray:
        """Turn generator output into rows (n, n_features) in the units of X; dtype kept."""
        if self.is_image:
            output = output.transpose(0, 2, 3, 1).reshape(len(output), -1)
        return (output * self.scale + self.center).astype(output.dtype, copy=False)


def check_magnitude(X: np.ndarray) -> None:
    """Raise ValueError if a value is beyond what samples can hold."""
    largest = max(float(X.max()), -float(X.min()))
    if largest > LARGEST:
        raise ValueError(
            f"X holds a value of magnitude {largest:.3g}; up to {LARGEST:g} is allowed, since "
            "samples are float32. Divide X, or the column, by a constant."
        )


def is_large_image(shape: tuple[int, ...]) -> bool:
    """Whether an image (C, H, W) has parts that are larger than a pixel: 16 or more a side."""
    return len(shape) == 3 and min(shape[1:]) >= LARGE_SIDE


def is_colour_image(shape: tuple[int, ...]) -> bool:
    """Whether (C, H, W) has the three channels of a colour image."""
    return len(shape) == 3 and shape[0] == 3


def parse_image_shape(image_shape: Any, n_features: int) -> tuple[int, int, int]:
    """Read (H, W) or (H, W, C) and check it against the width of X.

    Raises
    ------
    ValueError
        If the shape is malformed, smaller than 8 x 8, or its product is not `n_features`.
    """
    sizes: tuple[Any, ...] = tuple(image_shape)
    if len(sizes) not in (2, 3) or not all(is_count(s, 1) for s in sizes):
        raise ValueError(
            f"image_shape must be (H, W) or (H, W, C) in positive ints; got {image_shape!r}."
        )
    if min(sizes[:2]) < 8:
        raise ValueError(
            f"image_shape must be at least 8 x 8; got {image_shape!r}. "
            "Use image_shape=None to treat the pixels as table columns."
        )
    if math.prod(sizes) != n_features:
        raise ValueError(
            f"image_shape={image_shape!r} has {math.prod(sizes)} pixels, "
            f"but X has {n_features} features."
        )
    height, width, channels = (*sizes, 1)[:3]
    return int(height), int(width), int(channels)
