"""Drawing rows of X with matplotlib: grids of images, heat maps of table rows, differences."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._view import RowFormat

MAX_NAMED = 40  # more names of features than this overlap under an axis
DIVERGING = "RdBu_r"


def as_text(name: str) -> str:
    """Return a name that matplotlib draws as it is.

    A "$" would begin a formula, and a legend leaves out names that begin with "_".
    """
    escaped = name.replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped


def colours(n: int) -> list[Any]:
    """Return n colours that differ: those of matplotlib's cycle, or more if these are too few."""
    import matplotlib as mpl

    cycle = [f"C{i}" for i in range(n)]
    return cycle if n <= 10 else list(mpl.colormaps["turbo"](np.linspace(0, 1, n)))


def spaced(blocks: np.ndarray) -> np.ndarray:
    """Stack blocks of shape (n_blocks, n_lines, ...), with a line of NaN between two blocks."""
    gap = np.full_like(blocks[:, :1], np.nan)
    return np.concatenate([blocks, gap], axis=1).reshape(-1, *blocks.shape[2:])[:-1]


def draw_images(
    ax: Any,
    rows: np.ndarray,
    row_format: RowFormat,
    line_names: Sequence[str],
    column_names: Sequence[str] = (),
) -> None:
    """Draw images of shape (n_lines, n_columns, n_features) as a grid; NaN leaves a place empty."""
    assert row_format.image_shape is not None
    height, width, channels = row_format.image_shape
    n_lines, n_columns, _ = rows.shape
    images = row_format.scaled(rows).reshape(n_lines, n_columns, height, width, channels).clip(0, 1)
    space = max(1, max(height, width) // 12)
    # RGBA tiles, each with transparent space on its right and below it.
    tiles = np.zeros((n_lines, n_columns, height + space, width + space, 4))
    # Three channels are colours. Any other number is drawn as the grey of its mean.
    colours = images if channels == 3 else images.mean(axis=-1, keepdims=True)
    tiles[:, :, :height, :width, :3] = np.nan_to_num(colours)
    tiles[:, :, :height, :width, 3] = ~np.isnan(images).any(axis=-1)
    canvas = tiles.swapaxes(1, 2).reshape(n_lines * (height + space), -1, 4)
    ax.imshow(canvas[:-space, :-space], interpolation="nearest")
    lines, columns = range(len(line_names)), range(len(column_names))
    ax.set_yticks([(height + space) * i + height / 2 - 0.5 for i in lines], line_names)
    ax.set_xticks([(width + space) * i + width / 2 - 0.5 for i in columns], column_names)
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
    lines = spaced(row_format.scaled(rows))
    image = ax.imshow(lines, DIVERGING, vmin=-3, vmax=3, aspect="auto", interpolation="nearest")
    ax.set_yticks((n_lines + 1) * np.arange(n_groups) + (n_lines - 1) / 2, line_names)
    if n_features <= MAX_NAMED:
        names = [as_text(name) for name in row_format.feature_names]
        ax.set_xticks(range(n_features), names, rotation=90)
    ax.tick_params(length=0, labelsize=8)
    label = "standard deviations from the mean"
    ax.figure.colorbar(image, ax=ax, label=label, extend="both")
