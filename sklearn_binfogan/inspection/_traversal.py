"""Generated rows along one code."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ._choice import category_slice, continuous_column
from ._display import MOST_LISTED, ChangeDisplay
from ._drawing import colours
from ._view import Estimator, RowFormat, View


@dataclass(eq=False, repr=False)
class TraversalDisplay(ChangeDisplay):
    """Generated rows along one code, a line per category; all other codes are 0.

    Images are drawn as a grid, next to the mean difference between its right and its left end. For
    tables, the features that the code changes most are drawn as curves, in standard deviations:
    their mean over the categories, and each category as a faint line.

    Parameters
    ----------
    rows : ndarray of shape (n_categories, n_values, n_features)
        Generated rows, in the units of X.
    values : ndarray of shape (n_values,)
        Values of the code.
    row_format : RowFormat
        Format of the rows.
    code_name : str
        Name of the code, as in `get_feature_names_out`.

    Attributes
    ----------
    difference : ndarray of shape (n_features,)
        Row at the last value minus row at the first, averaged over the categories.
    feature_changes : list of FeatureChange
        The entries of `difference` with names; the largest, in scaled units, come first.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    ExtremesDisplay : The same for real rows.

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn_binfogan import BInfoGANTransformer
    >>> from sklearn_binfogan.inspection import TraversalDisplay
    >>> X, _ = make_blobs(60, centers=3, random_state=0)
    >>> gan = BInfoGANTransformer(n_clusters=3, random_state=0).fit(X)
    >>> display = TraversalDisplay.from_estimator(gan, code="continuous1")
    >>> display.rows.shape
    (3, 9, 2)
    >>> len(display.feature_changes)
    2
    """

    rows: Any
    values: Any
    row_format: RowFormat
    code_name: str

    _title = "Generated {rows} along {code}"
    _difference_name = "right\nminus left"

    def __post_init__(self) -> None:
        """Measure the change."""
        change = np.asarray(self.rows[:, -1] - self.rows[:, 0], dtype=np.float64)
        self.difference = change.mean(axis=0)
        self.feature_changes = self.row_format.changes(self.difference)

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        *,
        code: int | str = 0,
        categorical_code: int = 0,
        values: Any = None,
        n_features: int = 5,
        ax: Any = None,
    ) -> Self:
        """Generate and draw rows along one code.

        Parameters
        ----------
        estimator : BInfoGANTransformer or BInfoGANClassifier
            Fitted.
        code : int or str, default=0
            Number of a continuous code, or a name such as "continuous0" or "noise3".
        categorical_code : int, default=0
            Which of several categorical codes gives the categories, one line for each. In the
            other codes, each category has the same weight.
        values : array-like of shape (n_values,) or None, default=None
            Values of the code, at least 2; None means 9 values from -1 to 1, the range of training.
        n_features : int, default=5
            Features to draw for a table, at least 1.
        ax : matplotlib Axes or None, default=None
            Where to draw; None opens a figure.

        Returns
        -------
        display : TraversalDisplay

        Raises
        ------
        ValueError
            If an argument is not as documented, or the model has no such code.
        """
        view = View(estimator)
        spec = view.model.spec
        column, name = continuous_column(spec, code)
        grid = _checked_values(values)
        part = category_slice(spec, categorical_code)
        n_categories = part.stop - part.start
        codes = np.zeros((n_categories, len(grid), spec.width))
        for other in spec.category_slices:
            codes[:, :, other] = 1 / (other.stop - other.start)
        codes[:, :, part] = np.eye(n_categories)[:, None]
        codes[:, :, column] = grid
        rows = estimator.inverse_transform(codes.reshape(-1, spec.width))
        rows = rows.reshape(*codes.shape[:2], -1)
        return cls(rows, grid, view.row_format, name).plot(ax=ax, n_features=n_features)

    def _image_grid(self) -> tuple[np.ndarray, list[str]]:
        return self.rows, [f"{value:.2g}" for value in self.values]

    def _draw_features(self, ax: Any, columns: list[int], labels: list[str]) -> None:
        ax = self._open(ax, (7, max(4, 0.5 + 0.18 * min(len(columns), MOST_LISTED))))
        scaled, shades = self.row_format.scaled(self.rows), colours(len(columns))
        for i, (column, label) in enumerate(zip(columns, labels, strict=True)):
            feature = scaled[:, :, column]
            ax.plot(self.values, feature.mean(axis=0), color=shades[i], linewidth=2, label=label)
            ax.plot(self.values, feature.T, color=shades[i], linewidth=0.7, alpha=0.4)
        ax.set(xlabel=self._code, ylabel="standard deviations from the mean")
        self._legend("change from left to right")


def _checked_values(values: Any) -> np.ndarray:
    try:
        grid = np.linspace(-1, 1, 9) if values is None else np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):  # text, or lists of different lengths
        grid = np.empty(0)
    if grid.ndim != 1 or len(grid) < 2 or not np.isfinite(grid).all():
        raise ValueError(f"values must be at least 2 finite numbers; got {values!r}.")
    return grid
