"""Drawing rows of X with matplotlib: grids of images, heat maps of table rows, differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ._layout import Layout

MAX_NAMED = 40  # more feature names than this can't be read under an axis
DIVERGING = "RdBu_r"


class FeatureChange(NamedTuple):
    """How far a code moves one feature: in the units of X, and in the model's scaled units.

    A named tuple of `name`, `change` and `scaled_change`.

    Examples
    --------
    >>> from sklearn_binfogan.inspection import FeatureChange
    >>> FeatureChange("alcohol", change=1.2, scaled_change=1.5).name
    'alcohol'
    """

    name: str
    change: float
    scaled_change: float


@dataclass(frozen=True, eq=False)
class RowFormat:
    """What a row of X is, for drawing it.

    Parameters
    ----------
    image_shape : tuple of int (H, W, C), or None
        None for rows of a table.
    center, scale : ndarray of shape (n_features,) or ()
        Scaled units are (x - center) / scale: standard deviations for tables, [0, 1] for images.
    feature_names : sequence of str, length n_features

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_binfogan.inspection import RowFormat
    >>> metres = RowFormat(None, np.array([10.0]), np.array([2.0]), ["height"])
    >>> metres.changes(np.array([4.0]))
    [FeatureChange(name='height', change=4.0, scaled_change=2.0)]
    """

    image_shape: tuple[int, int, int] | None
    center: np.ndarray
    scale: np.ndarray
    feature_names: Sequence[str]

    @classmethod
    def of(cls, layout: Layout, feature_names: Sequence[str] | None) -> RowFormat:
        """Take the format of the rows that a layout has learned.

        Parameters
        ----------
        layout : Layout
            Of a fitted model.
        feature_names : sequence of str or None
            None: x0, x1, and so on.

        Returns
        -------
        row_format : RowFormat
        """
        image_shape = None
        if layout.is_image:
            channels, height, width = layout.shape
            image_shape = (height, width, channels)
        names = feature_names if feature_names is not None else _numbered(layout.n_features)
        return cls(image_shape, layout.center, layout.scale, list(names))

    def scaled(self, rows: Any) -> np.ndarray:
        """Scale rows; NaN is kept.

        Parameters
        ----------
        rows : array-like of shape (..., n_features)
            In the units of X.

        Returns
        -------
        scaled : ndarray of float64, shape (..., n_features)
        """
        return (np.asarray(rows, dtype=np.float64) - self.center) / self.scale

    def changes(self, difference: np.ndarray) -> list[FeatureChange]:
        """Order features by how much they differ, in scaled units.

        Parameters
        ----------
        difference : ndarray of shape (n_features,)
            In the units of X.

        Returns
        -------
        changes : list of FeatureChange
            The largest first.
        """
        scaled = difference / self.scale
        order = np.argsort(-np.abs(scaled), kind="stable")
        names = self.feature_names
        return [FeatureChange(names[i], float(difference[i]), float(scaled[i])) for i in order]


def _numbered(n_features: int) -> list[str]:
    return [f"x{i}" for i in range(n_features)]


def positions(n: int, pitch: int, gaps: Sequence[int], gap: int) -> np.ndarray:
    """Where each of n tiles begins, with a gap more before those whose index is in `gaps`."""
    index = np.arange(n)
    return pitch * index + gap * np.searchsorted(np.sort(gaps), index, side="right")


def image_canvas(
    rows: np.ndarray, row_format: RowFormat, row_gaps: Sequence[int], column_gaps: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay images out on one RGBA canvas, transparent where a row is NaN.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_columns, n_features)
    row_format : RowFormat
    row_gaps, column_gaps : sequence of int
        Lines and columns of the grid with a gap before them.

    Returns
    -------
    canvas : ndarray of shape (height, width, 4), in [0, 1]
    tops, lefts : ndarray of int
        Where the lines and columns of the grid begin, in pixels.
    """
    assert row_format.image_shape is not None
    height, width, channels = row_format.image_shape
    space = max(1, height // 12)
    tops = positions(len(rows), height + space, row_gaps, height // 2)
    lefts = positions(rows.shape[1], width + space, column_gaps, width // 2)
    canvas = np.zeros((tops[-1] + height, lefts[-1] + width, 4))
    images = row_format.scaled(rows).reshape(*rows.shape[:2], height, width, channels).clip(0, 1)
    for top, line in zip(tops, images, strict=True):
        for left, image in zip(lefts, line, strict=True):
            if not np.isnan(image).any():
                # One channel is spread over red, green and blue; two or more than three are
                # drawn as the grey of their mean.
                colours = image if channels == 3 else image.mean(axis=-1, keepdims=True)
                canvas[top : top + height, left : left + width, :3] = colours
                canvas[top : top + height, left : left + width, 3] = 1
    return canvas, tops, lefts


def draw_images(
    ax: Any,
    rows: np.ndarray,
    row_format: RowFormat,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    row_gaps: Sequence[int] = (),
    column_gaps: Sequence[int] = (),
) -> None:
    """Draw images of shape (n_rows, n_columns, n_features) as a grid; NaN leaves a place empty."""
    assert row_format.image_shape is not None
    height, width, _ = row_format.image_shape
    canvas, tops, lefts = image_canvas(rows, row_format, row_gaps, column_gaps)
    ax.imshow(canvas, interpolation="nearest")
    ax.set_yticks(tops[: len(row_labels)] + height / 2 - 0.5, row_labels)
    ax.set_xticks(lefts[: len(column_labels)] + width / 2 - 0.5, column_labels)
    ax.tick_params(length=0, labelsize=8)
    ax.spines[:].set_visible(False)


def draw_difference_image(
    ax: Any, difference: np.ndarray, row_format: RowFormat, label: str
) -> None:
    """Draw a difference of images right of a grid: red where it rises, blue where it falls."""
    assert row_format.image_shape is not None
    height, width, _ = row_format.image_shape
    image = (difference / row_format.scale).reshape(row_format.image_shape).mean(axis=-1)
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    start, middle = right + width / 2, (bottom + top) / 2
    extent = (start, start + 2 * width, middle + height, middle - height)  # twice as large
    limit = max(float(np.abs(image).max()), 1e-12)
    ax.imshow(image, DIVERGING, vmin=-limit, vmax=limit, extent=extent, interpolation="nearest")
    ax.set(xlim=(left, start + 2 * width), ylim=(bottom, top))
    ax.text(start + width, extent[2] + 1, label, ha="center", va="top", fontsize=7)


def draw_table(ax: Any, rows: np.ndarray, row_format: RowFormat, row_labels: Sequence[str]) -> None:
    """Draw table rows of shape (n_groups, n_lines, n_features) as a heat map in scaled units."""
    n_groups, n_lines, n_features = rows.shape
    scaled = row_format.scaled(rows)
    spaced = np.concatenate([scaled, np.full((n_groups, 1, n_features), np.nan)], axis=1)
    lines = spaced.reshape(-1, n_features)[:-1]
    image = ax.imshow(lines, DIVERGING, vmin=-3, vmax=3, aspect="auto", interpolation="nearest")
    ax.set_yticks((n_lines + 1) * np.arange(n_groups) + (n_lines - 1) / 2, row_labels)
    if n_features <= MAX_NAMED:
        ax.set_xticks(range(n_features), row_format.feature_names, rotation=90)
    ax.tick_params(length=0, labelsize=8)
    ax.figure.colorbar(image, ax=ax, label="standard deviations from the mean")
