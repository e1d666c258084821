"""What displays share: opening axes, grids of rows, and pictures of what one code changes."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from .._checks import check_count
from ._drawing import as_text, draw_difference_image, draw_images, draw_table, spaced
from ._view import FeatureChange, RowFormat

MOST_INCHES = 20  # of a grid of images
MOST_LISTED = 20  # entries of a column of a legend


class Display:
    """A display sets `ax_` and `figure_` when it draws."""

    ax_: Any
    figure_: Any

    def _open(self, ax: Any, size: tuple[float, float]) -> Any:
        """Take the given axes, or open a figure of that size in inches."""
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt
        from matplotlib.axes import Axes

        if ax is None:
            _, ax = plt.subplots(figsize=size, layout="constrained")
        if not isinstance(ax, Axes) or ax.name != "rectilinear":
            raise TypeError(
                f"ax must be None or matplotlib Axes that are rectangular; got {ax!r:.200}."
            )
        self.ax_, self.figure_ = ax, ax.figure
        return ax

    def _set_title(self, title: str) -> None:
        self.ax_.set_title(title[:1].upper() + title[1:], fontsize=10)


class RowsDisplay(Display):
    """A display of rows of X; most have shape (n_categories, n_columns, n_features)."""

    rows: np.ndarray
    row_format: RowFormat

    @property
    def _rows_word(self) -> str:
        return "rows" if self.row_format.image_shape is None else "images"

    @property
    def _categories(self) -> list[str]:
        return [f"category {k}" for k in range(len(self.rows))]

    def _draw_grid(
        self,
        ax: Any,
        grid: np.ndarray,
        line_names: Sequence[str],
        column_names: Sequence[str] = (),
    ) -> None:
        """Draw a grid (n_lines, n_columns, n_features): images, or blocks of a heat map."""
        n_lines, n_columns = grid.shape[:2]
        if self.row_format.image_shape is None:
            names = max(map(len, map(as_text, self.row_format.feature_names)), default=0)
            height = min(1 + 0.15 * n_lines * (n_columns + 1), 12)
            ax = self._open(ax, (6, height + 0.06 * names))
            draw_table(ax, grid, self.row_format, line_names)
        else:
            sides = np.array(self.row_format.image_shape[1::-1])  # width and height
            side = np.minimum(0.45 * sides / sides.min(), MOST_INCHES / np.array(grid.shape[1::-1]))
            ax = self._open(ax, tuple(side * [n_columns, n_lines] + [2, 0.6]))
            draw_images(ax, grid, self.row_format, line_names, column_names)

    def _draw_pairs(
        self,
        ax: Any,
        pairs: np.ndarray,
        n_columns: int,
        row_names: Sequence[tuple[str, str]],
        image_names: tuple[str, str],
    ) -> None:
        """Draw pairs (n, 2, n_features), the first above the second.

        Parameters
        ----------
        ax : matplotlib Axes or None
        pairs : ndarray of shape (n, 2, n_features)
        n_columns : int
            Pairs of images side by side. Rows of a table are blocks of a heat map instead.
        row_names : sequence of (str, str)
            Names of each pair of table rows.
        image_names : (str, str)
            Names of the lines of images.
        """
        check_count("n_columns", n_columns)
        if self.row_format.image_shape is None:
            self._draw_grid(ax, pairs, ["\n".join(names) for names in row_names])
        else:
            blocks = _pairs_side_by_side(pairs, n_columns)
            self._draw_grid(ax, spaced(blocks), ([*image_names, ""] * len(blocks))[:-1])


class ChangeDisplay(RowsDisplay, ABC):
    """A display of what changes in the rows from low to high values of one code."""

    code_name: str
    difference: np.ndarray
    feature_changes: list[FeatureChange]
    _difference_name: ClassVar[str]  # which rows minus which
    _title: ClassVar[str]  # with places for {rows} and {code}

    def plot(self, *, ax: Any = None, n_features: int = 5) -> Self:
        """Draw images and their mean difference, or for a table the features that change most.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None opens a figure.
        n_features : int, default=5
            Features to draw for a table, at least 1.

        Returns
        -------
        self : object
            This display.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        ValueError
            If `n_features` is not an int >= 1.
        """
        check_count("n_features", n_features)
        if self.row_format.image_shape is None:
            changes = self.feature_changes[:n_features]
            names = list(self.row_format.feature_names)
            columns = [names.index(change.name) for change in changes]
            labels = [as_text(f"{change.name}: {change.change:+.3g}") for change in changes]
            self._draw_features(ax, columns, labels)
        else:
            grid, names = self._image_grid()
            self._draw_grid(ax, grid, self._categories, names)
            draw_difference_image(self.ax_, self.difference, self.row_format, self._difference_name)
        self._set_title(self._title.format(rows=self._rows_word, code=self._code))
        return self

    @property
    def _code(self) -> str:
        """Name of the code in words, such as "continuous code 0"."""
        name = self.code_name.replace("continuous", "continuous code ")
        return name.replace("noise", "noise ")

    @abstractmethod
    def _image_grid(self) -> tuple[np.ndarray, list[str]]:
        """Images to draw, and the names of their columns."""

    @abstractmethod
    def _draw_features(self, ax: Any, columns: list[int], labels: list[str]) -> None:
        """Draw how the features in these columns change."""

    def _legend(self, title: str | None = None) -> None:
        """Put the legend right of the axes, where it hides nothing."""
        n_columns = -(-len(self.ax_.get_legend_handles_labels()[0]) // MOST_LISTED)
        place = {"loc": "upper left", "bbox_to_anchor": (1, 1), "ncols": n_columns}
        self.ax_.legend(title=title, fontsize=8, **place)


def _pairs_side_by_side(pairs: np.ndarray, n_columns: int) -> np.ndarray:
    """Put pairs (n, 2, n_features) into blocks of two lines, (n_blocks, 2, n_columns, n_features).

    NaN fills the last block.
    """
    n_pairs, _, n_features = pairs.shape
    n_columns = min(n_columns, n_pairs)
    missing = np.full((-n_pairs % n_columns, 2, n_features), np.nan)
    blocks = np.concatenate([pairs, missing]).reshape(-1, n_columns, 2, n_features)
    return blocks.swapaxes(1, 2)
