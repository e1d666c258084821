"""Sizes of categories."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ._choice import members
from ._display import Display
from ._view import Estimator, View


@dataclass(eq=False, repr=False)
class CodeUsageDisplay(Display):
    """How many rows each category holds, and how certain the model is of them.

    The height of a category's bar is its number of rows. The colour of the bar and the number
    above the axes are the mean posterior of these rows. A black line marks the number of rows
    expected from `cluster_prior_`.

    Parameters
    ----------
    sizes : ndarray of int, shape (n_categories,)
        Rows of X in each category.
    confidences : ndarray of shape (n_categories,)
        Mean posterior of the category over its rows; NaN for an empty category.
    expected_sizes : ndarray of shape (n_categories,)
        `cluster_prior_` times the number of rows.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn_binfogan import BInfoGANTransformer
    >>> from sklearn_binfogan.inspection import CodeUsageDisplay
    >>> X, _ = make_blobs(60, centers=3, random_state=0)
    >>> gan = BInfoGANTransformer(n_clusters=3, random_state=0).fit(X)
    >>> display = CodeUsageDisplay.from_estimator(gan, X)
    >>> int(display.sizes.sum())
    60
    """

    sizes: Any
    confidences: Any
    expected_sizes: Any

    @classmethod
    def from_estimator(
        cls, estimator: Estimator, X: Any, *, categorical_code: int = 0, ax: Any = None
    ) -> Self:
        """Count and draw the categories of the rows of X.

        Parameters
        ----------
        estimator : BInfoGANTransformer or BInfoGANClassifier
            Fitted.
        X : array-like of shape (n_samples, n_features)
        categorical_code : int, default=0
            Which of several categorical codes.
        ax : matplotlib Axes or None, default=None
            Where to draw; None opens a figure.

        Returns
        -------
        display : CodeUsageDisplay

        Raises
        ------
        ValueError
            If the model has no such code.
        """
        view = View(estimator)
        rows, _, posterior, groups = members(view, X, categorical_code)
        sizes = np.array([len(group) for group in groups])
        means = [posterior[g, k].mean() if len(g) else np.nan for k, g in enumerate(groups)]
        expected = view.model.priors[categorical_code] * len(rows)
        return cls(sizes, np.array(means), expected).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw the bars.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None opens a figure.

        Returns
        -------
        self : CodeUsageDisplay

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        n = len(self.sizes)
        ax = self._open(ax, (max(4, 1.5 + 0.5 * n), 3.5))
        import matplotlib.pyplot as plt

        sure = plt.cm.ScalarMappable(plt.Normalize(1 / n if n > 1 else 0, 1), "viridis")
        places = np.arange(n)
        ax.bar(places, self.sizes, color=sure.to_rgba(np.nan_to_num(self.confidences)))
        # Above the axes no bar and no line runs through the numbers.
        above = {"transform": ax.get_xaxis_transform(), "ha": "center", "fontsize": 8}
        for place, confidence in zip(places, self.confidences, strict=True):
            text = "" if np.isnan(confidence) else f"{confidence:.2f}"
            ax.text(place, 1.02, text, **above)
        ax.hlines(self.expected_sizes, places - 0.4, places + 0.4, color="k", linewidth=1)
        ax.set_title("Rows of each category, with their mean posterior", fontsize=10, pad=18)
        ax.set_xticks(places)
        ax.set(xlabel="category", ylabel="rows (line: expected)")
        ax.figure.colorbar(sure, ax=ax, label="mean posterior")
        return self
