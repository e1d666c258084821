"""Rows of X <-> network input: scaled table rows, or images of shape (C, H, W) in [0, 1]."""

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from ._arrays import extremes, row_blocks, subsample
from ._checks import is_count
from ._columns import ColumnKinds, are_piles
from ._far_values import NearValues

SMALLEST_SIDE, LARGE_SIDE = 8, 16  # pixels of an image
LARGEST = 1e37  # of X: generated rows are float32, and may go beyond the range of X
FARTHEST = 1e6  # of network input; z-scores in `fit` never exceed the root of the number of rows
# Largest root mean square of network input. That of a table in `fit` is 1, of images at most 1.
OUTSIDE, OUTSIDE_IMAGE = 10.0, 2.0
FLAT = 0.1  # network input with a smaller range is hardly seen
ENOUGH_IMAGES = 10  # fewer may all be dark by chance
MOST_FRAMED = 1000  # images that tell how bright the background is
ROUNDING = 1e-8  # relative to the mean of a constant column; far above float64's rounding


@dataclass(frozen=True, eq=False)
class Layout:
    """Affine scaling of rows, learned in `fit`, and the shape that the networks see.

    Parameters
    ----------
    shape : tuple of int
        (n_features,) for tables, (C, H, W) for images.
    center, scale : ndarray of float64, shape (n_features,) for tables, () for images
        Network input is (x - center) / scale. The scale of images on a bright background is
        negative: the networks see their negatives.
    limits, stand_in : ndarray of float64, shape (2, n_features), or None
        Range of each column's network input, and what replaces inputs below and above it. None:
        nothing is replaced. Only `table` sets them, if a column has values far from all others.
    row_dtype : str
        Dtype of the rows that the model returns: "float32" if `fit` got float32 or uint8 rows, else
        "float64".
    kinds : ColumnKinds or None
        Which values the columns of a table may take. None: any.
    """

    shape: tuple[int, ...]
    center: np.ndarray
    scale: np.ndarray
    limits: np.ndarray | None = None
    stand_in: np.ndarray | None = None
    row_dtype: str = "float32"
    kinds: ColumnKinds | None = None

    @classmethod
    def table(cls, X: Any) -> Self:
        """Standardise columns; a constant column is centred only.

        A value far from all others, such as -999 for "missing", would shrink the others to almost
        nothing. If a column has such values, the others alone set its scale.

        Raises
        ------
        ValueError
            If a value is beyond `LARGEST`.
        """
        scaler = StandardScaler()
        for block in row_blocks(X):
            check_magnitude(block)
            # The last bit of a sum depends on the order in memory.
            scaler.partial_fit(np.ascontiguousarray(block))
        constant = (scaler.scale_ == 1) & (scaler.var_ != 1)
        # Rounding errors of a large constant must not be scaled up.
        least = np.where(constant, ROUNDING * np.abs(scaler.mean_), 0)
        scale = np.maximum(scaler.scale_, least)
        layout = cls((X.shape[1],), scaler.mean_, scale, row_dtype=row_dtype(X))
        layout = layout._fitted_to(NearValues.of(X, layout.scale))
        return replace(layout, kinds=ColumnKinds.of(X, layout.cut_columns, constant))

    @classmethod
    def image(cls, X: Any, image_shape: Any) -> Self:
        """Map the data's range to [0, 1]; rows are flattened channels-last images.

        Convolutions and T fill what lies outside an image with 0. So grey images on a bright
        background are inverted: their background becomes 0, too.

        Raises
        ------
        ValueError
            If `image_shape` does not fit X, or a value is beyond `LARGEST`.
        """
        height, width, channels = parse_image_shape(image_shape, X.shape[1])
        lows, highs = extremes(X)
        low, high = float(lows.min()), float(highs.max())
        check_magnitude(np.array([low, high]))
        center, span = low, high - low if high > low else 1.0
        if channels == 1 and _frame(X, height, width) > low + span / 2:
            center, span = high, -span
        shape = (channels, height, width)
        return cls(shape, np.asarray(center), np.asarray(span), row_dtype=row_dtype(X))

    def _fitted_to(self, near: NearValues) -> Self:
        """Rescale some columns by their near values."""
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
    def was_constant(self) -> np.ndarray:
        """Whether each column of a table was constant in `fit`, and its scale is a guess."""
        if self.kinds is not None:
            return self.kinds.n_values == 1
        return (self.scale == 1) | (self.scale == ROUNDING * np.abs(self.center))

    @property
    def is_image(self) -> bool:
        """Whether rows are images."""
        return len(self.shape) == 3

    @property
    def pixel_range(self) -> tuple[float, float]:
        """The values of the darkest and of the brightest pixel of the images in `fit`."""
        low, high = sorted([self.center, self.center + self.scale])
        return float(low), float(high)

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return math.prod(self.shape)

    def scaled(self, X: np.ndarray, dtype: Any) -> np.ndarray:
        """Scale rows into a new array.

        The subtraction runs in float64: float32 would lose the digits of columns with a large mean.
        Values extremely far from those of `fit` are clipped, because they would overflow.
        """
        with np.errstate(over="ignore"):  # infinity is clipped
            scaled = np.subtract(X, self.center, order="C") / self.scale
        if self.limits is not None and self.stand_in is not None:
            is_far = [scaled < self.limits[0], scaled > self.limits[1]]
            scaled = np.select(is_far, list(self.stand_in), scaled)
        return np.clip(scaled, -FARTHEST, FARTHEST, out=scaled).astype(dtype, copy=False)

    def to_network(self, rows: Tensor) -> Tensor:
        """Reshape scaled rows (n, n_features) to network input: as they are, or (n, C, H, W)."""
        if not self.is_image:
            return rows
        channels, height, width = self.shape
        return rows.reshape(-1, height, width, channels).permute(0, 3, 1, 2).contiguous()

    def to_rows(self, output: np.ndarray) -> np.ndarray:
        """Turn generator output into rows (n, n_features) in the units and the dtype of X."""
        return self.kept(self.unscaled(output))

    def unscaled(self, output: np.ndarray) -> np.ndarray:
        """Turn generator output into rows (n, n_features) of float64 in the units of X.

        float32 would lose the digits of columns with a large mean. Pixels stay in the range of the
        images in `fit`.
        """
        scaled = self.flattened(output).astype(np.float64)
        if self.is_image:
            scaled = scaled.clip(0, 1)
        return scaled * self.scale + self.center

    def kept(self, rows: np.ndarray) -> np.ndarray:
        """Give columns of rows only values that they may take, by `kinds`, and the dtype of X."""
        if self.kinds is not None:
            rows = self.kinds.kept(rows)
        return rows.astype(self.row_dtype, copy=False)

    def flattened(self, output: np.ndarray) -> np.ndarray:
        """Turn generator output, or network input, into scaled rows (n, n_features)."""
        return output.transpose(0, 2, 3, 1).reshape(len(output), -1) if self.is_image else output


def _frame(X: Any, height: int, width: int) -> float:
    """Give the median of the pixels at the border of grey images."""
    inner = np.zeros((height, width), dtype=bool)
    inner[1:-1, 1:-1] = True
    return float(np.median(subsample(X, MOST_FRAMED)[:, ~inner.ravel()]))


def row_dtype(X: Any) -> str:
    """Dtype of what a model returns for rows: float64 for float64 rows, else float32."""
    return "float64" if X.dtype == np.float64 else "float32"


def misfits(layout: Layout, X: Any) -> np.ndarray:
    """Columns of X that don't fit the scale of a layout; for images all or none.

    Parameters
    ----------
    layout : Layout
    X : array that can be sliced, shape (n_samples, n_features)

    Returns
    -------
    columns : ndarray of int64
        First those whose network input has too large a root mean square, the largest first. Then
        those whose network input varies too little for the networks: images, and columns of a table
        that were constant in `fit`, so that their scale is a guess.
    """
    low, high = np.full((2, layout.n_features), [[np.inf], [-np.inf]])
    mean_square = np.zeros(layout.n_features)
    for block in row_blocks(X):
        scaled = layout.scaled(block, np.float64)
        low, high = np.fmin(low, scaled.min(axis=0)), np.fmax(high, scaled.max(axis=0))
        mean_square += np.square(scaled).sum(axis=0)
    mean_square /= X.shape[0]
    if layout.is_image:
        low[:], high[:], mean_square[:] = low.min(), high.max(), mean_square.mean()
        may_be_flat = np.full(layout.n_features, X.shape[0] >= ENOUGH_IMAGES)
    else:
        may_be_flat = layout.was_constant
    is_far = mean_square > (OUTSIDE_IMAGE if layout.is_image else OUTSIDE) ** 2
    is_flat = may_be_flat & (high > low) & (high - low < FLAT) & ~is_far
    ranked = np.argsort(-mean_square, kind="stable")
    return np.concatenate([ranked[is_far[ranked]], np.flatnonzero(is_flat)])


def other_kinds(layout: Layout, X: Any) -> np.ndarray:
    """Columns of a table where many rows of X have values that generated rows can't have."""
    if layout.kinds is None:
        return np.empty(0, np.int64)
    n_others = np.zeros(layout.n_features)
    for block in row_blocks(X):
        rows = np.asarray(block, np.float64)
        n_others += (layout.kinds.kept(rows) != rows).sum(axis=0)
    return np.flatnonzero(are_piles(n_others, len(X)))


def check_magnitude(X: np.ndarray) -> None:
    """Raise ValueError if a value is too large for samples in float32."""
    largest = max(float(X.max()), -float(X.min()))
    if not largest <= LARGEST:  # NaN, too, which scikit-learn's `assume_finite` lets pass
        raise ValueError(
            f"X holds a value of magnitude {largest:.3g}; at most {LARGEST:g} is allowed, since "
            "samples may be float32. Divide X, or the column, by a constant."
        )


def is_large_image(shape: tuple[int, ...]) -> bool:
    """Whether a shape is (C, H, W) with at least 16 pixels a side."""
    return len(shape) == 3 and min(shape[1:]) >= LARGE_SIDE


def has_channels_first(shape: tuple[int, ...]) -> bool:
    """Whether the shape of images looks like (C, H, W), in place of (H, W, C)."""
    return len(shape) == 3 and shape[0] < SMALLEST_SIDE <= min(shape[1:])


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
    if has_channels_first(sizes):
        channels, height, width = sizes
        raise ValueError(
            f"image_shape must be (H, W, C), channels last; got {image_shape!r}. Pass "
            f"image_shape={(height, width, channels)!r} and reorder the rows: `X.reshape(-1, "
            f"{channels}, {height}, {width}).transpose(0, 2, 3, 1).reshape(len(X), -1)`."
        )
    if min(sizes[:2]) < SMALLEST_SIDE:
        raise ValueError(
            f"image_shape must be at least {SMALLEST_SIDE} x {SMALLEST_SIDE}; got {image_shape!r}. "
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
    """Say what to pass if the channels were left out."""
    channels, rest = divmod(n_features, math.prod(sizes))
    if len(sizes) == 3 or rest or channels not in (2, 3, 4):
        return ""
    return f" If a pixel has {channels} channels, pass image_shape={(*sizes, channels)!r}."
