"""Rows at the ends of one code."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from .._checks import check_count
from ._choice import continuous_column, filled, members, sorted_by, taken
from ._display import MOST_LISTED, ChangeDisplay
from ._drawing import colours
from ._view import Estimator, RowFormat, View


@dataclass(eq=False, repr=False)
class ExtremesDisplay(ChangeDisplay):
    """Rows of X with the lowest and highest values of a continuous code, by category.

    Images are drawn as a grid, next to the mean difference between the high and the low half. For
    tables, the features that differ most are drawn as bars, in standard deviations, with a dot per
    category.

    Parameters
    ----------
    rows : ndarray of shape (n_categories, 2 * n_ends, n_features)
        In ascending order of the code; NaN where a category has too few.
    indices : ndarray of int, shape (n_categories, 2 * n_ends)
        Their numbers in X, -1 where a category has too few.
    values : ndarray of shape (n_categories, 2 * n_ends)
        Their values of the code, NaN where a category has too few.
    row_format : RowFormat
        Format of the rows.
    code_name : str
        Name of the code, as in `get_feature_names_out`.

    Attributes
    ----------
    differences : ndarray of shape (n_categories, n_features)
        Mean of the highest rows minus mean of the lowest; NaN for a category of 0 or 1 rows.
    difference : ndarray of shape (n_features,)
        Mean of `differences` over the categories that have one; 0 if none has.
    feature_changes : list of FeatureChange
        The entries of `difference` with names; the largest, in scaled units, come first.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    TraversalDisplay : The same for generated rows.

    References
    ----------
    Figure 2(b) of Hinz & Wermter, ESANN 2018.

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn_binfogan import BInfoGANTransformer
    >>> from sklearn_binfogan.inspection import ExtremesDisplay
    >>> X, _ = make_blobs(60, centers=3, random_state=0)
    >>> gan = BInfoGANTransformer(n_clusters=3, random_state=0).fit(X)
    >>> display = ExtremesDisplay.from_estimator(gan, X, code=0, n_ends=3)
    >>> display.indices.shape
    (3, 6)
    """

    rows: Any
    indices: Any
    values: Any
    row_format: RowFormat
    code_name: str

    _title = "{rows} of lowest and highest {code}"
    _difference_name = "highest\nminus lowest"

    def __post_init__(self) -> None:
        """Measure the change."""
        low, high = np.split(np.ma.masked_invalid(self.rows), 2, axis=1)
        differences = high.mean(axis=1) - low.mean(axis=1)
        self.differences = differences.filled(np.nan)
        self.difference = differences.mean(axis=0).filled(0)
        self.feature_changes = self.row_format.changes(self.difference)

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        X: Any,
        *,
        code: int | str = 0,
        categorical_code: int = 0,
        n_ends: int = 5,
        n_features: int = 5,
        ax: Any = None,
    ) -> Self:
        """Draw the rows of X with the lowest and highest values of a code.

        Parameters
        ----------
        estimator : BInfoGANTransformer or BInfoGANClassifier
            Fitted.
        X : array-like of shape (n_samples, n_features)
        code : int or str, default=0
            Number of a continuous code, or a name such as "continuous0" or "noise3".
        categorical_code : int, default=0
            Which of several categorical codes gives the categories, one line for each.
        n_ends : int, default=5
            Rows at each end, at least 1. No row is shown at both ends.
        n_features : int, default=5
            Features to draw for a table, at least 1.
        ax : matplotlib Axes or None, default=None
            Where to draw; None opens a figure.

        Returns
        -------
        display : ExtremesDisplay

        Raises
        ------
        ValueError
            If an argument is not as documented, or the model has no such code.
        """
        check_count("n_ends", n_ends)
        view = View(estimator)
        column, name = continuous_column(view.model.spec, code)
        rows, codes, _, groups = members(view, X, categorical_code)
        value = codes[:, column]
        indices = np.stack([_ends(sorted_by(value, group), n_ends) for group in groups])
        values = np.where(indices >= 0, value[indices], np.nan)
        display = cls(taken(rows, indices), indices, values, view.row_format, name)
        return display.plot(ax=ax, n_features=n_features)

    def _image_grid(self) -> tuple[np.ndarray, list[str]]:
        n_ends = self.rows.shape[1] // 2
        names = [""] * (2 * n_ends + 1)
        names[n_ends // 2], names[n_ends + 1 + n_ends // 2] = "lowest", "highest"
        return np.insert(self.rows, n_ends, np.nan, axis=1), names  # an empty column between them

    def _draw_features(self, ax: Any, columns: list[int], labels: list[str]) -> None:
        places = np.arange(len(columns))
        n_listed = min(len(self._categories), MOST_LISTED)
        ax = self._open(ax, (7, max(1.4 + 0.4 * len(columns), 0.5 + 0.18 * n_listed)))
        ax.barh(places, (self.difference / self.row_format.scale)[columns], color="0.8")
        scaled = self.differences / self.row_format.scale
        shades = colours(len(self._categories))
        for k, category in enumerate(self._categories):
            ax.plot(scaled[k, columns], places, "o", color=shades[k], markersize=4, label=category)
        ax.set_yticks(places, labels)
        ax.invert_yaxis()
        ax.set(xlabel="highest minus lowest rows, standard deviations")
        self._legend()


def _ends(ordered: np.ndarray, n_ends: int) -> np.ndarray:
    """First and last of ordered row numbers; -1 between them where they are too few."""
    half = len(ordered) // 2
    low, high = ordered[:half][:n_ends], ordered[half:][-n_ends:]
    return np.concatenate([filled(low, n_ends), filled(high[::-1], n_ends)[::-1]])
