"""Rows of X <-> network input: scaled table rows, or images of shape (C, H, W) in [0, 1]."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from ._arrays import row_blocks
from ._codes import is_count
from ._far_values import NearValues

LARGE_SIDE = 16  # pixels
LARGEST = 1e37  # of X: generated rows are float32, and may go beyond the range of X
FARTHEST = 1e6  # of network input: no z-score is beyond the root of the number of rows
# Root mean square of network input; in the rows that gave the scale it is 1, and below for images.
OUTSIDE, OUTSIDE_IMAGE = 10.0, 2.0
ROUNDING = 1e-8  # of the mean of a constant column: far above float64's, far below a sample's


@dataclass(frozen=True, eq=False)
class Layout:
    """Affine scaling of rows, learned in `fit`, and the shape that the networks see.

    Parameters
    ----------
    shape : tuple of int
        (n_features,) for tables, (C, H, W) for images.
    center, scale : ndarray of float64, shape (n_features,) for tables, () for images
        Network input is (x - center) / scale.
    limits, stand_in : ndarray of float64, shape (2, n_features), or None
        Least and largest network input of each column, and what the networks see in place of what
        lies below and above; None: as it is. Only `table` gives them, and only where a column
        has values far from all others.
    row_dtype : str
        Of the rows that the model gives: "float64" where `fit` got float64, else "float32".
    """

    shape: tuple[int, ...]
    center: np.ndarray
    scale: np.ndarray
    limits: np.ndarray | None = None
    stand_in: np.ndarray | None = None
    row_dtype: str = "float32"

    @classmethod
    def table(cls, X: Any) -> Layout:
        """Standardise columns; a constant column is centred only.

        A -999 that stands for "missing", or any value as far from all others, would leave the
        others no room. Where there are such values the scale is that of the others.

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
        scale = np.maximum(scaler.scale_, least)
        layout = cls((X.shape[1],), scaler.mean_, scale, row_dtype=_row_dtype(X))
        return layout._fitted_to(NearValues.of(X, layout.scale))

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
        shape = (channels, height, width)
        return cls(shape, np.asarray(low), np.asarray(span), row_dtype=_row_dtype(X))

    def _fitted_to(self, near: NearValues) -> Layout:
        """Scale some columns anew, by their near values."""
        columns = near.columns
        if len(columns) == 0:
            return self
        center, scale = self.center.copy(), self.scale.copy()
        center[columns], scale[columns] = near.mean, near.deviation
        limits = np.tile([[-FARTHEST], [FARTHEST]], len(center))
        stand_in = limits.copy()
        limits[:, columns] = (near.limits - near.mean) / near.deviation
        stand_in[:, columns] = (near.stand_in - near.mean) / near.deviation
        limits, stand_in = (np.clip(part, -FARTHEST, FARTHEST) for part in (limits, stand_in))
        return replace(self, center=center, scale=scale, limits=limits, stand_in=stand_in)

    @property
    def cut_columns(self) -> np.ndarray:
        """Numbers of the columns in which far values are replaced."""
        if self.limits is None:
            return np.empty(0, np.int64)
        return np.flatnonzero((self.limits[0] > -FARTHEST) | (self.limits[1] < FARTHEST))

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
        if self.limits is not None and self.stand_in is not None:
            is_far = scaled < self.limits[0], scaled > self.limits[1]
            np.copyto(scaled, self.stand_in[0], where=is_far[0])
            np.copyto(scaled, self.stand_in[1], where=is_far[1])
        return np.clip(scaled, -FARTHEST, FARTHEST, out=scaled).astype(dtype, copy=False)

    def to_network(self, rows: Tensor) -> Tensor:
        """Scaled rows (n, n_features) to network input: (n, n_features) or (n, C, H, W)."""
        if not self.is_image:
            return rows
        channels, height, width = self.shape
        return rows.reshape(-1, height, width, channels).permute(0, 3, 1, 2).contiguous()

    def to_rows(self, output: np.ndarray) -> np.ndarray:
        """Turn generator output into rows (n, n_features) in the units and the dtype of X.

        The addition runs in float64: a float32 one would lose columns with a large mean.
        """
        rows = self.flattened(output).astype(np.float64) * self.scale + self.center
        return rows.astype(self.row_dtype, copy=False)

    def flattened(self, output: np.ndarray) -> np.ndarray:
        """Turn generator output, or network input, into scaled rows (n, n_features)."""
        return output.transpose(0, 2, 3, 1).reshape(len(output), -1) if self.is_image else output


def _row_dtype(X: Any) -> str:
    return "float64" if X.dtype == np.float64 else "float32"


def outside(layout: Layout, X: Any) -> np.ndarray:
    """Columns of X that lie far outside the scale of a layout; all or none of an image.

    Parameters
    ----------
    layout : Layout
    X : array that can be sliced, shape (n_samples, n_features)

    Returns
    -------
    columns : ndarray of int64
        Those whose network input has too large a root mean square, the worst first.
    """
    blocks = (layout.scaled(block, np.float64) for block in row_blocks(X))
    mean_square = sum(np.square(block).sum(axis=0) for block in blocks) / X.shape[0]
    if layout.is_image:
        mean_square = np.full(layout.n_features, np.mean(mean_square))
    ranked = np.argsort(-mean_square, kind="stable")
    most = OUTSIDE_IMAGE if layout.is_image else OUTSIDE
    return ranked[mean_square[ranked] > most**2]


def check_magnitude(X: np.ndarray) -> None:
    """Raise ValueError if a value is beyond what samples can hold."""
    largest = max(float(X.max()), -float(X.min()))
    if largest > LARGEST:
        raise ValueError(
            f"X holds a value of magnitude {largest:.3g}; up to {LARGEST:g} is allowed, since "
            "samples may be float32. Divide X, or the column, by a constant."
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
    if len(sizes) == 3 and sizes[0] < 8 <= min(sizes[1:]):
        channels, height, width = sizes
        raise ValueError(
            f"image_shape must be (H, W, C), channels last; got {image_shape!r}. Pass "
            f"image_shape={(height, width, channels)!r} and order the rows so: `X.reshape(-1, "
            f"{channels}, {height}, {width}).transpose(0, 2, 3, 1).reshape(len(X), -1)`."
        )
    if min(sizes[:2]) < 8:
        raise ValueError(
            f"image_shape must be at least 8 x 8; got {image_shape!r}. "
            "Use image_shape=None to treat the pixels as table columns."
        )
    if math.prod(sizes) != n_features:
        raise ValueError(
            f"image_shape={image_shape!r} has {math.prod(sizes)} pixels, "
            f"but X has {n_features} features.{_remedy(sizes, n_features)}"
        )
    height, width, channels = (*sizes, 1)[:3]
    return int(height), int(width), int(channels)


def _remedy(sizes: tuple[int, ...], n_features: int) -> str:
    """Say what to pass where the channels were left out."""
    channels, rest = divmod(n_features, math.prod(sizes))
    if len(sizes) == 3 or rest or channels not in (2, 3, 4):
        return ""
    return f" For {channels} channels a pixel pass image_shape={(*sizes, channels)!r}."
