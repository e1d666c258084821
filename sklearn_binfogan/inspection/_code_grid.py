"""Rows by category."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.utils import check_random_state

from .._checks import check_count
from ._choice import category_slice, filled, members, sorted_by, taken
from ._display import RowsDisplay
from ._view import Estimator, RowFormat, View


@dataclass(eq=False, repr=False)
class CodeGridDisplay(RowsDisplay):
    """Rows of each category, those that the model is most certain of first.

    Use `from_estimator` for rows that you have, `from_samples` for generated ones. Images are
    drawn as a grid with a line per category. Rows of a table are drawn as a heat map, in
    standard deviations, with a block per category.

    Parameters
    ----------
    rows : ndarray of shape (n_categories, n_columns, n_features)
        Rows to draw, in the units of X; NaN where a category has too few.
    row_format : RowFormat
        Format of the rows.
    indices : ndarray of int, shape (n_categories, n_columns), or None, default=None
        Their numbers in X; -1 where a category has too few, None for generated rows.
    posteriors : ndarray of shape (n_categories, n_columns), or None, default=None
        The category's posterior for each row, NaN where there is none.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    ExtremesDisplay : Rows with the lowest and highest values of a continuous code.
    CodeUsageDisplay : How many rows each category holds.

    References
    ----------
    Figure 2(a) of Hinz & Wermter, ESANN 2018.

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn_binfogan import BInfoGANTransformer
    >>> from sklearn_binfogan.inspection import CodeGridDisplay
    >>> X, _ = make_blobs(60, centers=3, random_state=0)
    >>> gan = BInfoGANTransformer(n_clusters=3, random_state=0).fit(X)
    >>> display = CodeGridDisplay.from_estimator(gan, X, n_columns=4)
    >>> display.indices.shape
    (3, 4)
    """

    rows: Any
    row_format: RowFormat
    indices: Any = None
    posteriors: Any = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        X: Any,
        *,
        categorical_code: int = 0,
        n_columns: int = 10,
        order: str = "posterior",
        random_state: Any = None,
        ax: Any = None,
    ) -> Self:
        """Draw rows of X by the category that the model gives them.

        Parameters
        ----------
        estimator : BInfoGANTransformer or BInfoGANClassifier
            Fitted.
        X : array-like of shape (n_samples, n_features)
        categorical_code : int, default=0
            Which of several categorical codes.
        n_columns : int, default=10
            Rows to draw per category, at least 1.
        order : {"posterior", "random"}, default="posterior"
            "posterior" draws the rows with the highest posterior, the highest first. "random"
            draws rows at random.
        random_state : int, RandomState instance or None, default=None
            For ``order="random"``.
        ax : matplotlib Axes or None, default=None
            Where to draw; None opens a figure.

        Returns
        -------
        display : CodeGridDisplay

        Raises
        ------
        ValueError
            If an argument is not as documented.
        """
        check_count("n_columns", n_columns)
        if order not in ("posterior", "random"):
            raise ValueError(f"order must be 'posterior' or 'random'; got {order!r}.")
        view = View(estimator)
        rows, _, posterior, groups = members(view, X, categorical_code)
        rng = check_random_state(random_state)
        ordered = [
            rng.permutation(group) if order == "random" else sorted_by(-posterior[:, k], group)
            for k, group in enumerate(groups)
        ]
        indices = np.stack([filled(group[:n_columns], n_columns) for group in ordered])
        shown = posterior[indices, np.arange(len(groups))[:, None]]
        posteriors = np.where(indices >= 0, shown, np.nan)
        return cls(taken(rows, indices), view.row_format, indices, posteriors).plot(ax=ax)

    @classmethod
    def from_samples(
        cls,
        estimator: Estimator,
        *,
        categorical_code: int = 0,
        n_columns: int = 10,
        random_state: Any = None,
        ax: Any = None,
    ) -> Self:
        """Draw generated rows, a line per category. All other codes are drawn as in `sample`.

        Parameters
        ----------
        estimator : BInfoGANTransformer or BInfoGANClassifier
            Fitted.
        categorical_code : int, default=0
            Which of several categorical codes.
        n_columns : int, default=10
            Rows to generate per category, at least 1.
        random_state : int, RandomState instance or None, default=None
            For `sample`.
        ax : matplotlib Axes or None, default=None
            Where to draw; None opens a figure.

        Returns
        -------
        display : CodeGridDisplay

        Raises
        ------
        ValueError
            If an argument is not as documented.
        """
        view = View(estimator)
        check_count("n_columns", n_columns)
        part = category_slice(view.model.spec, categorical_code)
        rng = check_random_state(random_state)
        rows = [
            view.sample(n_columns, rng, {categorical_code: category})[0]
            for category in range(part.stop - part.start)
        ]
        return cls(np.stack(rows), view.row_format).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw the rows.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None opens a figure.

        Returns
        -------
        self : CodeGridDisplay

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        self._draw_grid(ax, self.rows, self._categories)
        generated = "generated " if self.indices is None else ""
        self._set_title(f"{generated}{self._rows_word} by category")
        return self
