"""Drawing rows of X with matplotlib: grids of images, heat maps of table rows, differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._row_format import RowFormat

MAX_NAMED = 40  # more names of features than this overlap under an axis
DIVERGING = "RdBu_r"


def image_canvas(
    rows: np.ndarray, row_format: RowFormat, line_gaps: Sequence[int], column_gaps: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put images on one RGBA canvas, transparent where a row is NaN.

    Parameters
    ----------
    rows : ndarray of shape (n_lines, n_columns, n_features)
    row_format : RowFormat
    line_gaps, column_gaps : sequence of int
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
    tops = _positions(len(rows), height + space, line_gaps, height // 2)
    lefts = _positions(rows.shape[1], width + space, column_gaps, width // 2)
    canvas = np.zeros((tops[-1] + height, lefts[-1] + width, 4))
    images = row_format.scaled(rows).reshape(*rows.shape[:2], height, width, channels).clip(0, 1)
    for top, line in zip(tops, images, strict=True):
        for left, image in zip(lefts, line, strict=True):
            if not np.isnan(image).any():
                # Three channels are colours. Any other number is drawn as the grey of its mean.
                colours = image if channels == 3 else image.mean(axis=-1, keepdims=True)
                canvas[top : top + height, left : left + width, :3] = colours
                canvas[top : top + height, left : left + width, 3] = 1
    return canvas, tops, lefts


def _positions(n: int, pitch: int, gaps: Sequence[int], gap: int) -> np.ndarray:
    """Where each of n tiles begins; there is a gap before the tiles in `gaps`."""
    index = np.arange(n)
    return pitch * index + gap * np.searchsorted(np.sort(gaps), index, side="right")


def draw_images(
    ax: Any,
    rows: np.ndarray,
    row_format: RowFormat,
    line_names: Sequence[str] = (),
    column_names: Sequence[str] = (),
    line_gaps: Sequence[int] = (),
    column_gaps: Sequence[int] = (),
) -> None:
    """Draw images of shape (n_lines, n_columns, n_features) as a grid; NaN leaves a place empty."""
    assert row_format.image_shape is not None
    height, width, _ = row_format.image_shape
    canvas, tops, lefts = image_canvas(rows, row_format, line_gaps, column_gaps)
    ax.imshow(canvas, interpolation="nearest")
    ax.set_yticks(tops[: len(line_names)] + height / 2 - 0.5, line_names)
    ax.set_xticks(lefts[: len(column_names)] + width / 2 - 0.5, column_names)
    ax.tick_params(length=0, labelsize=8)
    ax.spines[:].set_visible(False)


def draw_difference_image(
    ax: Any, difference: np.ndarray, row_format: RowFormat, name: str
) -> None:
    """Draw a difference of images right of a grid: red where it rises, blue where it falls."""
    assert row_format.image_shape is not None
    height, width, _ = row_format.image_shape
    image = (difference / row_format.scale).reshape(row_format.image_shape).mean(axis=-1)
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    start, middle = right + width / 2, (bottom + top) / 2
    extent = (start, start + 2 * width, middle + height, middle - height)  # twice as large
    limit = max(float(np.abs(image).max()), 1e-12)
    drawn = ax.imshow(
        image, DIVERGING, vmin=-limit, vmax=limit, extent=extent, interpolation="nearest"
    )
    ax.set(xlim=(left, start + 2 * width), ylim=(bottom, top))
    # A colour bar of its own beneath it; the axes span y from bottom to top and are inverted.
    left_part = (start - left) / (start + 2 * width - left)
    beneath = (bottom - middle - 1.3 * height) / (bottom - top)
    bar_axes = ax.inset_axes((left_part, beneath, 1 - left_part, 0.2 * height / (bottom - top)))
    bar = ax.figure.colorbar(drawn, cax=bar_axes, orientation="horizontal", format="%.2g")
    bar.set_ticks([-limit, 0, limit])
    bar.ax.tick_params(labelsize=7)
    bar.set_label(name, fontsize=7)


def draw_table(ax: Any, rows: np.ndarray, row_format: RowFormat, line_names: Sequence[str]) -> None:
    """Draw table rows of shape (n_groups, n_lines, n_features) as a heat map in scaled units."""
    n_groups, n_lines, n_features = rows.shape
    gap = np.full((n_groups, 1, n_features), np.nan)
    lines = np.concatenate([row_format.scaled(rows), gap], axis=1).reshape(-1, n_features)[:-1]
    image = ax.imshow(lines, DIVERGING, vmin=-3, vmax=3, aspect="auto", interpolation="nearest")
    ax.set_yticks((n_lines + 1) * np.arange(n_groups) + (n_lines - 1) / 2, line_names)
    if n_features <= MAX_NAMED:
        ax.set_xticks(range(n_features), row_format.feature_names, rotation=90)
    ax.tick_params(length=0, labelsize=8)
    label = "standard deviations from the mean"
    ax.figure.colorbar(image, ax=ax, label=label, extend="both")
