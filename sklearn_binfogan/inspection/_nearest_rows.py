"""Generated rows and the nearest real ones, to show that they are not copies."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_random_state

from .._arrays import subsample
from .._checks import check_count
from ._display import RowsDisplay
from ._view import Estimator, RowFormat, View

MAX_SEARCHED = 10_000  # rows
LEAST_DISTANCE = 1e-12  # between equal rows, so that a ratio exists


@dataclass(eq=False, repr=False)
class NearestRowsDisplay(RowsDisplay):
    """Generated rows above the nearest real ones.

    Samples that are copies of training rows have distances near 0. Those of a good generator are as
    far from the nearest real row as real rows are from each other.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        Generated rows.
    neighbors : ndarray of shape (n_rows, n_features)
        The row of X nearest to each.
    row_format : RowFormat
        Format of the rows.
    indices : ndarray of int, shape (n_rows,)
        Numbers of the neighbours in X.
    distances : ndarray of shape (n_rows,)
        Euclidean distance of each pair, in scaled units.
    real_distance : float
        Median distance from a real row to the nearest other one, in scaled units.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn_binfogan import BInfoGANTransformer
    >>> from sklearn_binfogan.inspection import NearestRowsDisplay
    >>> X, _ = make_blobs(60, centers=3, random_state=0)
    >>> gan = BInfoGANTransformer(n_clusters=3, random_state=0).fit(X)
    >>> display = NearestRowsDisplay.from_estimator(gan, X, n_rows=8, random_state=0)
    >>> display.distances.shape
    (8,)
    """

    rows: Any
    neighbors: Any
    row_format: RowFormat
    indices: Any
    distances: Any
    real_distance: float

    @property
    def relative_distance(self) -> float:
        """Median of `distances`, relative to `real_distance`; near 0 for copies."""
        return float(np.median(self.distances) / max(self.real_distance, LEAST_DISTANCE))

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        X: Any,
        *,
        n_rows: int = 20,
        n_columns: int = 10,
        random_state: Any = None,
        ax: Any = None,
    ) -> Self:
        """Generate rows and find the nearest rows of X.

        Parameters
        ----------
        estimator : BInfoGANTransformer or BInfoGANClassifier
            Fitted.
        X : array-like of shape (n_samples, n_features)
            The training rows, at least two. Of more than 10 000 rows, an evenly spaced part is
            searched.
        n_rows : int, default=20
            Rows to generate, at least 1; they are sorted by category.
        n_columns : int, default=10
            Pairs side by side, for images; at least 1.
        random_state : int, RandomState instance or None, default=None
            For the generated rows.
        ax : matplotlib Axes or None, default=None
            Where to draw; None opens a figure.

        Returns
        -------
        display : NearestRowsDisplay

        Raises
        ------
        ValueError
            If an argument is not as documented.
        """
        check_count("n_rows", n_rows)
        view = View(estimator)
        all_rows, row_format = view.rows(X), view.row_format
        if len(all_rows) < 2:
            raise ValueError(f"X must have at least 2 rows to compare with; got {len(all_rows)}.")
        rows, labels = view.sample(n_rows, check_random_state(random_state))
        rows = rows[np.argsort(labels[:, 0], kind="stable")]
        real = np.asarray(subsample(all_rows, MAX_SEARCHED))
        search = NearestNeighbors(n_neighbors=1).fit(row_format.scaled(real))
        distances, found = search.kneighbors(row_format.scaled(rows))
        between_real, _ = search.kneighbors()  # of each row, without itself
        display = cls(
            rows,
            real[found[:, 0]],
            row_format,
            subsample(np.arange(len(all_rows)), MAX_SEARCHED)[found[:, 0]],
            distances[:, 0],
            float(np.median(between_real)),
        )
        return display.plot(ax=ax, n_columns=n_columns)

    def plot(self, *, ax: Any = None, n_columns: int = 10) -> Self:
        """Draw the pairs; table rows as a heat map with a block per pair.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None opens a figure.
        n_columns : int, default=10
            Pairs side by side, for images; at least 1.

        Returns
        -------
        self : NearestRowsDisplay

        Raises
        ------
        ImportError
            If matplotlib is missing.
        ValueError
            If `n_columns` is not an int >= 1.
        """
        pairs = np.stack([self.rows, self.neighbors], axis=1)
        names = [("generated", f"row {i}") for i in self.indices]
        self._draw_pairs(ax, pairs, n_columns, names, ("generated", "nearest"))
        self._set_title(
            f"generated {self._rows_word} above the nearest real ones,\n"
            f"{self.relative_distance:.2g} times as far as real ones from each other"
        )
        return self
