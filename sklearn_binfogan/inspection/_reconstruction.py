"""Rows and their reconstructions."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from sklearn.metrics import r2_score
from sklearn.utils import check_random_state

from .._arrays import subsample
from .._checks import check_count, check_flag
from .._scoring import r2
from ._display import RowsDisplay
from ._view import Estimator, RowFormat, View

MAX_MEASURED = 10_000  # rows


@dataclass(eq=False, repr=False)
class ReconstructionDisplay(RowsDisplay):
    """Rows x above their reconstructions G(E(x)).

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        Rows of X.
    reconstructions : ndarray of shape (n_rows, n_features)
        What the generator makes of their codes.
    row_format : RowFormat
        Format of the rows.
    indices : ndarray of int, shape (n_rows,)
        Their numbers in X.
    r2 : float
        R2 of the reconstructions of all rows of X, over all features, in scaled units. 1 is
        perfect; predicting the mean row for every row gives 0.
    feature_r2 : ndarray of shape (n_features,)
        R2 of each feature.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn_binfogan import BInfoGANTransformer
    >>> from sklearn_binfogan.inspection import ReconstructionDisplay
    >>> X, _ = make_blobs(60, centers=3, random_state=0)
    >>> gan = BInfoGANTransformer(n_clusters=3, random_state=0).fit(X)
    >>> display = ReconstructionDisplay.from_estimator(gan, X, n_rows=8, random_state=0)
    >>> display.reconstructions.shape
    (8, 2)
    """

    rows: Any
    reconstructions: Any
    row_format: RowFormat
    indices: Any
    r2: float
    feature_r2: Any

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        X: Any,
        *,
        n_rows: int = 20,
        indices: Any = None,
        use_noise: bool = True,
        n_columns: int = 10,
        random_state: Any = None,
        ax: Any = None,
    ) -> Self:
        """Encode, decode and draw rows of X.

        Parameters
        ----------
        estimator : BInfoGANTransformer or BInfoGANClassifier
            Fitted.
        X : array-like of shape (n_samples, n_features)
            Of more than 10 000 rows, `r2` uses an evenly spaced part.
        n_rows : int, default=20
            Rows to draw, at least 1. They are chosen at random and sorted by category.
        indices : array-like of int or None, default=None
            Numbers of the rows to draw instead, in this order.
        use_noise : bool, default=True
            Whether the generator gets the noise z that the encoder found; otherwise it gets 0.
        n_columns : int, default=10
            Pairs side by side, for images; at least 1.
        random_state : int, RandomState instance or None, default=None
            For the choice of rows.
        ax : matplotlib Axes or None, default=None
            Where to draw; None opens a figure.

        Returns
        -------
        display : ReconstructionDisplay

        Raises
        ------
        ValueError
            If an argument is not as documented.
        """
        check_count("n_rows", n_rows)
        check_flag("use_noise", use_noise)
        view = View(estimator)
        rows, row_format = view.rows(X), view.row_format
        if indices is not None:
            chosen = _checked_indices(indices, len(rows))
        else:
            rng = check_random_state(random_state)
            drawn = np.sort(rng.permutation(len(rows))[:n_rows])
            by_category = np.argsort(view.model.predict(rows[drawn])[:, 0], kind="stable")
            chosen = drawn[by_category]
        measured = subsample(rows, MAX_MEASURED)
        rebuilt = _rebuilt(view, measured, use_noise)
        measured, rebuilt = row_format.scaled(measured), row_format.scaled(rebuilt)
        varies = np.ptp(measured, axis=0).any()
        display = cls(
            rows[chosen],
            _rebuilt(view, rows[chosen], use_noise),
            row_format,
            chosen,
            # scikit-learn's leaves out constant features, which may be rebuilt wrongly.
            r2(torch.from_numpy(rebuilt), torch.from_numpy(measured)) if varies else np.nan,
            r2_score(measured, rebuilt, multioutput="raw_values"),
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
        self : ReconstructionDisplay

        Raises
        ------
        ImportError
            If matplotlib is missing.
        ValueError
            If `n_columns` is not an int >= 1.
        """
        pairs = np.stack([self.rows, self.reconstructions], axis=1)
        names = [(f"row {i}", "rebuilt") for i in self.indices]
        self._draw_pairs(ax, pairs, n_columns, names, ("image", "rebuilt"))
        self._set_title(f"{self._rows_word} above their reconstructions, $R^2$ = {self.r2:.2f}")
        return self


def _rebuilt(view: View, rows: Any, use_noise: bool) -> np.ndarray:
    codes = view.model.encode(rows)
    kept = codes if use_noise else codes[:, : view.model.spec.noise.start]
    return view.estimator.inverse_transform(kept)


def _checked_indices(indices: Any, n_rows: int) -> np.ndarray:
    chosen = np.asarray(indices)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or len(chosen) == 0:
        raise ValueError(f"indices must be a list of row numbers; got {indices!r}.")
    if chosen.min() < 0 or chosen.max() >= n_rows:
        raise ValueError(f"indices must be from 0 to {n_rows - 1}; got {indices!r}.")
    return chosen
