"""Real and generated rows of a table, by pairs of columns."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from sklearn.feature_selection import f_classif
from sklearn.utils import check_random_state

from .._arrays import subsample
from .._checks import check_count, is_count
from ._display import Display
from ._drawing import as_text
from ._view import Estimator, View

N_FEATURES = 4  # drawn by default
N_BINS = 20  # of the histograms
KEPT = 11  # letters of each end of a long name: more would often reach into other panels
COLOURS = {"real": "tab:blue", "generated": "tab:orange"}


@dataclass(eq=False, repr=False)
class PairPlotDisplay(Display):
    """Real and generated rows of a table as points, one panel per pair of features.

    The diagonal has the histogram of each feature.

    Parameters
    ----------
    real : ndarray of shape (n_real, n_drawn_features)
        Rows of X, in their units.
    generated : ndarray of shape (n_generated, n_drawn_features)
        Generated rows, in the same units.
    feature_names : list of str, length n_drawn_features

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that the panels replace.
    axes_ : ndarray of matplotlib Axes, shape (n_drawn_features, n_drawn_features)
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn_binfogan import BInfoGANTransformer
    >>> from sklearn_binfogan.inspection import PairPlotDisplay
    >>> X, _ = make_blobs(60, centers=3, n_features=5, random_state=0)
    >>> gan = BInfoGANTransformer(n_clusters=3, random_state=0).fit(X)
    >>> display = PairPlotDisplay.from_estimator(gan, X, features=[0, 3], random_state=0)
    >>> display.feature_names
    ['x0', 'x3']
    """

    real: Any
    generated: Any
    feature_names: list[str]
    axes_: Any = field(init=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        X: Any,
        *,
        features: Any = None,
        n_rows: int = 300,
        random_state: Any = None,
        ax: Any = None,
    ) -> Self:
        """Generate rows and draw them over rows of X.

        Parameters
        ----------
        estimator : BInfoGANTransformer or BInfoGANClassifier
            Fitted on a table.
        X : array-like of shape (n_samples, n_features)
        features : list of int or str, or None, default=None
            Numbers or names of the features to draw. None: the four that differ most between the
            categories of X, by their F statistic.
        n_rows : int, default=300
            Rows to generate, at least 1, and largest number of rows of X to draw.
        random_state : int, RandomState instance or None, default=None
            For the generated rows.
        ax : matplotlib Axes or None, default=None
            Axes that the panels replace; None opens a figure.

        Returns
        -------
        display : PairPlotDisplay

        Raises
        ------
        ValueError
            If the model was fitted on images, or an argument is not as documented.
        """
        check_count("n_rows", n_rows)
        view = View(estimator)
        row_format = view.row_format
        if row_format.image_shape is not None:
            raise ValueError(
                f"PairPlotDisplay draws tables, but this model has image_shape="
                f"{row_format.image_shape}: use CodeGridDisplay.from_samples."
            )
        names = list(row_format.feature_names)
        real = np.asarray(subsample(view.rows(X), n_rows))
        columns = _telling_features(view, real) if features is None else _columns(features, names)
        generated, _ = view.sample(n_rows, check_random_state(random_state))
        display = cls(real[:, columns], generated[:, columns], [names[i] for i in columns])
        return display.plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw the panels.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes that the panels replace; None opens a figure.

        Returns
        -------
        self : PairPlotDisplay

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        n = len(self.feature_names)
        ax = self._open(ax, (1 + 1.7 * n, 1 + 1.7 * n))
        ax.set_axis_off()
        self.axes_ = _panels(ax, n).subplots(sharex="col", squeeze=False)
        for i, j in np.ndindex(n, n):
            self._draw_panel(self.axes_[i, j], i, j)
        self.axes_[0, -1].legend(
            *self.axes_[0, 0].get_legend_handles_labels(),
            **{"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": 2, "fontsize": 8},
        )
        return self

    def _draw_panel(self, panel: Any, i: int, j: int) -> None:
        """Draw feature i against feature j, or the histogram of one."""
        kinds = {"real": self.real, "generated": self.generated}
        if i == j:
            bins = _bin_edges(np.concatenate([rows[:, i] for rows in kinds.values()]))
        for kind, rows in kinds.items():
            style = {"color": COLOURS[kind], "alpha": 0.5, "label": kind}
            if i == j:
                panel.hist(rows[:, i], bins, density=True, **style)
            else:
                panel.scatter(rows[:, j], rows[:, i], s=5, linewidths=0, **style)
        panel.tick_params(labelsize=7)
        if i == j:
            panel.set_yticks([])
        if j == 0:
            panel.set_ylabel(_shortened(self.feature_names[i]), fontsize=8)
        if i == len(self.feature_names) - 1:
            panel.set_xlabel(_shortened(self.feature_names[j]), fontsize=8)


def _shortened(name: str) -> str:
    """Leave out the middle of a long name: similar names often differ at an end."""
    return as_text(name if len(name) <= 2 * KEPT + 1 else f"{name[:KEPT]}…{name[-KEPT:]}")


def _panels(ax: Any, n: int) -> Any:
    """Divide the place of axes into n x n panels; axes that no grid holds have none but a box."""
    from matplotlib.gridspec import GridSpec

    place = ax.get_subplotspec()
    if place is not None:
        return place.subgridspec(n, n)
    if (locate := ax.get_axes_locator()) is not None:  # inset axes get their box when drawn
        ax.apply_aspect(locate(ax, None))
    left, bottom, right, top = ax.get_position().extents
    return GridSpec(n, n, ax.figure, left=left, bottom=bottom, right=right, top=top)


def _bin_edges(values: np.ndarray) -> np.ndarray:
    """Edges of a histogram's bins; one bin if no numbers lie between so narrow ones."""
    values = values.astype(np.float64)
    low, high = values.min(), values.max()
    least = 2 * N_BINS * np.spacing(max(abs(low), abs(high)))
    if high - low < least:
        return np.array([low - max(least, 0.5), high + max(least, 0.5)])
    return np.histogram_bin_edges(values, N_BINS)


def _columns(features: Any, names: list[str]) -> list[int]:
    """Turn numbers or names of features into columns."""
    given = list(features) if np.iterable(features) and not isinstance(features, str) else []
    if not given:
        raise ValueError(f"features must be a list of numbers or names; got {features!r}.")
    columns = []
    for feature in given:
        if feature not in names and not is_count(feature, 0, len(names) - 1):
            raise ValueError(
                f"There is no feature {feature!r}: give numbers from 0 to {len(names) - 1}, or "
                f"names such as {names[0]!r}."
            )
        columns.append(names.index(feature) if feature in names else int(feature))
    return columns


def _telling_features(view: View, rows: np.ndarray) -> list[int]:
    """Columns that differ most between the categories, in the order of the table."""
    labels = view.model.predict(rows)[:, 0]
    statistic = np.zeros(rows.shape[1])
    varying = rows.std(axis=0) > 0
    if 1 < len(np.unique(labels)) < len(rows) and varying.any():
        with np.errstate(divide="ignore"):  # infinite where a column tells all categories apart
            statistic[varying], _ = f_classif(rows[:, varying].astype(np.float64), labels)
    order = np.argsort(-statistic, kind="stable")
    return sorted(order[:N_FEATURES].tolist())
