"""Displays of a fitted model, in scikit-learn's manner: `from_estimator`, `plot`, `ax_`, `figure_`.

matplotlib is imported when something is drawn, not before.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from sklearn.metrics import r2_score
from sklearn.utils import check_random_state
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

from ._classifier import BInfoGANClassifier
from ._codes import CodeSpec, is_count
from ._drawing import (
    FeatureChange,
    RowFormat,
    draw_difference_image,
    draw_images,
    draw_table,
)
from ._layout import subsample
from ._transformer import BInfoGANTransformer

__all__ = [
    "CodeGridDisplay",
    "CodeUsageDisplay",
    "ExtremesDisplay",
    "FeatureChange",
    "ReconstructionDisplay",
    "RowFormat",
    "TrainingCurveDisplay",
    "TraversalDisplay",
]

Estimator = BInfoGANTransformer | BInfoGANClassifier
MAX_MEASURED = 10_000  # rows
CURVES = ("train_loss", "discriminator_loss", "adversarial_loss")


class _Display:
    """What the displays share: `ax_` and `figure_`, set by `plot`."""

    ax_: Any
    figure_: Any

    def _open(self, ax: Any, size: tuple[float, float]) -> Any:
        """Take the given axes, or open a figure of that size in inches."""
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(figsize=size, layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        return ax


class _RowsDisplay(_Display):
    """A display of rows of X on a grid of shape (n_categories, n_columns, n_features)."""

    rows: np.ndarray
    row_format: RowFormat

    def _open_grid(self, ax: Any) -> Any:
        n_rows, n_columns = self.rows.shape[:2]
        if self.row_format.image_shape is None:
            return self._open(ax, (6, min(1 + 0.15 * n_rows * (n_columns + 1), 12)))
        return self._open(ax, (2 + 0.45 * n_columns, 0.6 + 0.45 * n_rows))

    @property
    def _categories(self) -> list[str]:
        return [f"category {k}" for k in range(len(self.rows))]


class CodeGridDisplay(_RowsDisplay):
    """Rows by category, those the model is surest of first.

    Use `from_estimator` for rows that you have, `from_samples` for generated ones. Images are
    drawn as a grid with a line per category; rows of a table as a heat map, in standard
    deviations, with a block per category.

    Parameters
    ----------
    rows : ndarray of shape (n_categories, n_columns, n_features)
        Rows to draw, in the units of X; NaN where a category has no more.
    row_format : RowFormat
        What a row is.
    indices : ndarray of int, shape (n_categories, n_columns), or None, default=None
        Which rows of X they are; -1 where a category has no more, None for generated rows.
    posteriors : ndarray of shape (n_categories, n_columns), or None, default=None
        The category's posterior for each row, NaN where there is none.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    ExtremesDisplay : Rows of lowest and highest value of a continuous code.
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

    def __init__(
        self, rows: Any, row_format: RowFormat, indices: Any = None, posteriors: Any = None
    ) -> None:
        self.rows = rows
        self.row_format = row_format
        self.indices = indices
        self.posteriors = posteriors

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
    ) -> CodeGridDisplay:
        """Draw rows of X by the category that the model gives them.

        Parameters
        ----------
        estimator : BInfoGANTransformer or BInfoGANClassifier
            A fitted one.
        X : array-like of shape (n_samples, n_features)
        categorical_code : int, default=0
            Which of several categorical codes.
        n_columns : int, default=10
            Rows to draw per category, at least 1.
        order : {"posterior", "random"}, default="posterior"
            The rows of highest posterior, highest first; or rows drawn at random.
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
        _check_count("n_columns", n_columns, 1)
        if order not in ("posterior", "random"):
            raise ValueError(f"order must be 'posterior' or 'random'; got {order!r}.")
        rows, codes = _encoded(estimator, X)
        posterior = codes[:, _category_slice(estimator._spec, categorical_code)]
        rng = check_random_state(random_state)
        members = [
            rng.permutation(group) if order == "random" else _by(-posterior[:, k], group)
            for k, group in enumerate(_groups(posterior))
        ]
        indices = np.stack([_filled(group[:n_columns], n_columns) for group in members])
        shown = posterior[indices, np.arange(len(members))[:, None]]
        posteriors = np.where(indices >= 0, shown, np.nan)
        display = cls(_taken(rows, indices), _row_format(estimator), indices, posteriors)
        return display.plot(ax=ax)

    @classmethod
    def from_samples(
        cls,
        estimator: Estimator,
        *,
        categorical_code: int = 0,
        n_columns: int = 10,
        random_state: Any = None,
        ax: Any = None,
    ) -> CodeGridDisplay:
        """Draw generated rows, a line per category; the other codes as `sample` draws them.

        Parameters
        ----------
        estimator : BInfoGANTransformer or BInfoGANClassifier
            A fitted one.
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
        check_is_fitted(estimator)
        _check_count("n_columns", n_columns, 1)
        spec, rng = estimator._spec, check_random_state(random_state)
        part = _category_slice(spec, categorical_code)
        rows = []
        for category in range(part.stop - part.start):
            cluster: list[int | None] = [None] * len(spec.categories)
            cluster[categorical_code] = category
            # Not `sample`: a classifier's draws from classes, and free categories have none.
            prior = estimator._drawing_prior()
            rows.append(estimator._sampled(n_columns, cluster, rng, prior, from_prior=False)[0])
        return cls(np.stack(rows), _row_format(estimator)).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> CodeGridDisplay:
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
        ax = self._open_grid(ax)
        draw = draw_table if self.row_format.image_shape is None else draw_images
        draw(ax, self.rows, self.row_format, self._categories)
        ax.set_title("Generated rows" if self.indices is None else "Rows by category", fontsize=10)
        return self


class TraversalDisplay(_RowsDisplay):
    """Generated rows along one code, a line per category; all other codes are 0.

    Images are drawn as a grid, with the mean difference between its right and its left end
    beside it. For tables the features that the code moves most are drawn as curves, in standard
    deviations: their mean over the categories, and each category as a faint line.

    Parameters
    ----------
    rows : ndarray of shape (n_categories, n_values, n_features)
        Generated rows, in the units of X.
    values : ndarray of shape (n_values,)
        Values of the code.
    row_format : RowFormat
        What a row is.
    code_name : str
        Name of the code, as in `get_feature_names_out`.

    Attributes
    ----------
    difference : ndarray of shape (n_features,)
        Row at the last value minus row at the first, mean over the categories.
    feature_changes : list of FeatureChange
        The same with names, the feature moved most (in scaled units) first.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    ExtremesDisplay : The same question, asked of real rows.

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

    def __init__(self, rows: Any, values: Any, row_format: RowFormat, code_name: str) -> None:
        self.rows = rows
        self.values = values
        self.row_format = row_format
        self.code_name = code_name
        self.difference = np.asarray(rows[:, -1] - rows[:, 0], dtype=np.float64).mean(axis=0)
        self.feature_changes = row_format.changes(self.difference)

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
    ) -> TraversalDisplay:
        """Generate and draw rows along one code.

        Parameters
        ----------
        estimator : BInfoGANTransformer or BInfoGANClassifier
            A fitted one.
        code : int or str, default=0
            Number of a continuous code, or a name such as "continuous0" or "noise3".
        categorical_code : int, default=0
            Which of several categorical codes has a line per category. The others are undecided:
            each of their categories has the same weight.
        values : array-like of shape (n_values,) or None, default=None
            Values of the code, at least 2; None is 9 values from -1 to 1, the range of training.
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
        check_is_fitted(estimator)
        spec = estimator._spec
        column, name = _continuous_column(spec, code)
        grid = _checked_values(values)
        part = _category_slice(spec, categorical_code)
        n_categories = part.stop - part.start
        codes = np.zeros((n_categories, len(grid), spec.width))
        for other in spec.category_slices:
            codes[:, :, other] = 1 / (other.stop - other.start)
        codes[:, :, part] = np.eye(n_categories)[:, None]
        codes[:, :, column] = grid
        rows = estimator.inverse_transform(codes.reshape(-1, spec.width))
        rows = rows.reshape(n_categories, len(grid), -1)
        display = cls(rows, grid, _row_format(estimator), name)
        return display.plot(ax=ax, n_features=n_features)

    def plot(self, *, ax: Any = None, n_features: int = 5) -> TraversalDisplay:
        """Draw the traversal.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None opens a figure.
        n_features : int, default=5
            Features to draw for a table, at least 1.

        Returns
        -------
        self : TraversalDisplay

        Raises
        ------
        ImportError
            If matplotlib is missing.
        ValueError
            If `n_features` is no int >= 1.
        """
        _check_count("n_features", n_features, 1)
        if self.row_format.image_shape is None:
            self._plot_curves(self._open(ax, (6, 4)), n_features)
        else:
            ax = self._open_grid(ax)
            labels = [f"{value:.2g}" for value in self.values]
            draw_images(ax, self.rows, self.row_format, self._categories, labels)
            draw_difference_image(ax, self.difference, self.row_format, "right\nminus left")
        self.ax_.set_title(f"Generated rows along {self.code_name}", fontsize=10)
        return self

    def _plot_curves(self, ax: Any, n_features: int) -> None:
        scaled = self.row_format.scaled(self.rows)
        names = list(self.row_format.feature_names)
        for i, change in enumerate(self.feature_changes[:n_features]):
            feature = scaled[:, :, names.index(change.name)]
            label = f"{change.name}: {change.change:+.3g}"
            ax.plot(self.values, feature.mean(axis=0), color=f"C{i}", linewidth=2, label=label)
            ax.plot(self.values, feature.T, color=f"C{i}", linewidth=0.7, alpha=0.4)
        ax.set(xlabel=self.code_name, ylabel="standard deviations from the mean")
        ax.legend(title="change from left to right", fontsize=8)


class ReconstructionDisplay(_RowsDisplay):
    """Rows x above their reconstructions G(E(x)).

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        Rows of X.
    reconstructions : ndarray of shape (n_rows, n_features)
        What the generator makes of their codes.
    row_format : RowFormat
        What a row is.
    indices : ndarray of int, shape (n_rows,)
        Which rows of X they are.
    r2 : float
        R2 of the reconstructions of all rows of X, over all features, in scaled units: at most
        1, and 0 for what the mean row would give.
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

    def __init__(
        self,
        rows: Any,
        reconstructions: Any,
        row_format: RowFormat,
        indices: Any,
        r2: float,
        feature_r2: Any,
    ) -> None:
        self.rows = rows
        self.reconstructions = reconstructions
        self.row_format = row_format
        self.indices = indices
        self.r2 = r2
        self.feature_r2 = feature_r2

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
    ) -> ReconstructionDisplay:
        """Encode, decode and draw rows of X.

        Parameters
        ----------
        estimator : BInfoGANTransformer or BInfoGANClassifier
            A fitted one.
        X : array-like of shape (n_samples, n_features)
            Of more than 10 000 rows every second, third or so is used for `r2`.
        n_rows : int, default=20
            Rows to draw, taken at random and put into the order of their categories.
        indices : array-like of int or None, default=None
            Which rows to draw instead, in this order.
        use_noise : bool, default=True
            Whether the reconstruction has the encoding of the noise z, or 0 in its place.
        n_columns : int, default=10
            Pairs side by side, for images.
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
        _check_count("n_rows", n_rows, 1)
        check_is_fitted(estimator)
        rows, row_format = estimator._checked(X), _row_format(estimator)
        chosen = _checked_indices(indices, len(rows))
        if chosen is None:
            rng = check_random_state(random_state)
            drawn = np.sort(rng.permutation(len(rows))[:n_rows])
            by_category = np.argsort(estimator._labels(rows[drawn])[:, 0], kind="stable")
            chosen = drawn[by_category]
        measured = subsample(rows, MAX_MEASURED)
        rebuilt = _rebuilt(estimator, measured, use_noise)
        pair = row_format.scaled(measured), row_format.scaled(rebuilt)
        display = cls(
            rows[chosen],
            _rebuilt(estimator, rows[chosen], use_noise),
            row_format,
            chosen,
            float(r2_score(*pair, multioutput="variance_weighted")),
            r2_score(*pair, multioutput="raw_values"),
        )
        return display.plot(ax=ax, n_columns=n_columns)

    def plot(self, *, ax: Any = None, n_columns: int = 10) -> ReconstructionDisplay:
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
            If `n_columns` is no int >= 1.
        """
        _check_count("n_columns", n_columns, 1)
        pairs = np.stack([self.rows, self.reconstructions], axis=1)
        if self.row_format.image_shape is None:
            ax = self._open(ax, (6, min(1 + 0.45 * len(pairs), 12)))
            labels = [f"row {i}: x\nG(E(x))" for i in self.indices]
            draw_table(ax, pairs, self.row_format, labels)
        else:
            grid = _paired_lines(pairs, n_columns)
            ax = self._open(ax, (1.5 + 0.45 * grid.shape[1], 0.6 + 0.5 * len(grid)))
            labels = ["x", "G(E(x))"] * (len(grid) // 2)
            draw_images(ax, grid, self.row_format, labels, row_gaps=range(2, len(grid), 2))
        ax.set_title(f"Rows above their reconstructions, R2 = {self.r2:.2f}", fontsize=10)
        return self


class ExtremesDisplay(_RowsDisplay):
    """Rows of X of lowest and highest value of a continuous code, by category.

    Images are drawn as a grid, with the mean difference between the high and the low half beside
    it. For tables the features that differ most are drawn as bars, in standard deviations, with
    a dot per category.

    Parameters
    ----------
    rows : ndarray of shape (n_categories, 2 * n_ends, n_features)
        In rising order of the code; NaN where a category has no more.
    indices : ndarray of int, shape (n_categories, 2 * n_ends)
        Which rows of X they are, -1 where a category has no more.
    values : ndarray of shape (n_categories, 2 * n_ends)
        Their values of the code, NaN where there is none.
    row_format : RowFormat
        What a row is.
    code_name : str
        Name of the code, as in `get_feature_names_out`.

    Attributes
    ----------
    differences : ndarray of shape (n_categories, n_features)
        Mean of the highest rows minus mean of the lowest; NaN for a category of under 2 rows.
    difference : ndarray of shape (n_features,)
        Mean of `differences` over the categories that have one; 0 if none has.
    feature_changes : list of FeatureChange
        The same with names, the feature that differs most (in scaled units) first.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    TraversalDisplay : The same question, asked of the generator.

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

    def __init__(
        self, rows: Any, indices: Any, values: Any, row_format: RowFormat, code_name: str
    ) -> None:
        self.rows = rows
        self.indices = indices
        self.values = values
        self.row_format = row_format
        self.code_name = code_name
        self.differences = np.stack([_high_minus_low(line) for line in rows])
        known = self.differences[~np.isnan(self.differences).any(axis=1)]
        self.difference = known.mean(axis=0) if len(known) else np.zeros(rows.shape[2])
        self.feature_changes = row_format.changes(self.difference)

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
    ) -> ExtremesDisplay:
        """Draw rows of X of lowest and highest value of a code.

        Parameters
        ----------
        estimator : BInfoGANTransformer or BInfoGANClassifier
            A fitted one.
        X : array-like of shape (n_samples, n_features)
        code : int or str, default=0
            Number of a continuous code, or a name such as "continuous0" or "noise3".
        categorical_code : int, default=0
            Which of several categorical codes has a line per category.
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
        _check_count("n_ends", n_ends, 1)
        rows, codes = _encoded(estimator, X)
        column, name = _continuous_column(estimator._spec, code)
        posterior = codes[:, _category_slice(estimator._spec, categorical_code)]
        value = codes[:, column]
        indices = np.stack([_ends(_by(value, group), n_ends) for group in _groups(posterior)])
        values = np.where(indices >= 0, value[indices], np.nan)
        display = cls(_taken(rows, indices), indices, values, _row_format(estimator), name)
        return display.plot(ax=ax, n_features=n_features)

    def plot(self, *, ax: Any = None, n_features: int = 5) -> ExtremesDisplay:
        """Draw the extremes.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None opens a figure.
        n_features : int, default=5
            Features to draw for a table, at least 1.

        Returns
        -------
        self : ExtremesDisplay

        Raises
        ------
        ImportError
            If matplotlib is missing.
        ValueError
            If `n_features` is no int >= 1.
        """
        _check_count("n_features", n_features, 1)
        if self.row_format.image_shape is None:
            self._plot_bars(self._open(ax, (6, 1.2 + 0.4 * n_features)), n_features)
        else:
            ax, n_ends = self._open_grid(ax), self.rows.shape[1] // 2
            labels = [""] * (2 * n_ends)
            labels[n_ends // 2], labels[n_ends + n_ends // 2] = "lowest", "highest"
            draw_images(
                ax, self.rows, self.row_format, self._categories, labels, column_gaps=[n_ends]
            )
            draw_difference_image(ax, self.difference, self.row_format, "highest\nminus lowest")
        self.ax_.set_title(f"Rows by {self.code_name}", fontsize=10)
        return self

    def _plot_bars(self, ax: Any, n_features: int) -> None:
        shown = self.feature_changes[:n_features]
        names = list(self.row_format.feature_names)
        columns = [names.index(change.name) for change in shown]
        places = np.arange(len(shown))
        ax.barh(places, [change.scaled_change for change in shown], color="0.8")
        scaled = self.differences / self.row_format.scale
        for k, category in enumerate(self._categories):
            ax.plot(scaled[k, columns], places, "o", color=f"C{k}", markersize=4, label=category)
        labels = [f"{change.name}: {change.change:+.3g}" for change in shown]
        ax.set_yticks(places, labels)
        ax.invert_yaxis()
        ax.set(xlabel="highest minus lowest rows, standard deviations")
        ax.legend(fontsize=7)


class TrainingCurveDisplay(_Display):
    """Losses by epoch with the label-free score, and the phases marked.

    Losses of the two phases are different sums: a line does not go from one into the other.

    Parameters
    ----------
    epochs : ndarray of int, shape (n_epochs,)
        Numbers of the epochs, from 1.
    phases : list of str, length n_epochs
        Phase of each epoch.
    losses : dict of str to ndarray of shape (n_epochs,)
        Mean of each loss in an epoch; NaN where a phase has no such loss.
    scores : ndarray of shape (n_epochs,)
        Label-free score on the rows to judge by, in [0, 1].

    Attributes
    ----------
    ax_ : matplotlib Axes
        With the losses.
    score_ax_ : matplotlib Axes
        With the score, over the same epochs.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn_binfogan import BInfoGANTransformer
    >>> from sklearn_binfogan.inspection import TrainingCurveDisplay
    >>> X, _ = make_blobs(60, centers=3, random_state=0)
    >>> gan = BInfoGANTransformer(n_clusters=3, random_state=0).fit(X)
    >>> display = TrainingCurveDisplay.from_estimator(gan)
    >>> display.phases
    ['consistency', 'consistency', 'game', 'game']
    """

    def __init__(self, epochs: Any, phases: Any, losses: Any, scores: Any) -> None:
        self.epochs = epochs
        self.phases = phases
        self.losses = losses
        self.scores = scores

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        *,
        curves: Sequence[str] = CURVES,
        ax: Any = None,
    ) -> TrainingCurveDisplay:
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : BInfoGANTransformer or BInfoGANClassifier
            A fitted one.
        curves : sequence of str, \
                default=("train_loss", "discriminator_loss", "adversarial_loss")
            Losses to draw; those that the history lacks are left out.
        ax : matplotlib Axes or None, default=None
            Where to draw; None opens a figure.

        Returns
        -------
        display : TrainingCurveDisplay
        """
        check_is_fitted(estimator)
        history = list(estimator.history_)
        found = {key for row in history for key in row if key.endswith("_loss")}
        losses = {
            name: np.array([row.get(name, np.nan) for row in history], dtype=np.float64)
            for name in sorted(found - {"valid_loss"})
        }
        display = cls(
            np.array([row["epoch"] for row in history]),
            [row["phase"] for row in history],
            losses,
            1 - np.array([row["valid_loss"] for row in history]),
        )
        return display.plot(ax=ax, curves=curves)

    def plot(self, *, ax: Any = None, curves: Sequence[str] = CURVES) -> TrainingCurveDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None opens a figure.
        curves : sequence of str, \
                default=("train_loss", "discriminator_loss", "adversarial_loss")
            Losses to draw; those that the history lacks are left out.

        Returns
        -------
        self : TrainingCurveDisplay

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        ax = self._open(ax, (7, 4))
        self.score_ax_ = ax.twinx()
        for i, name in enumerate(name for name in curves if name in self.losses):
            self._plot_loss(name, f"C{i}")
        self.score_ax_.plot(self.epochs, self.scores, "--", color="k", label="score")
        for span in self._spans():
            first, last = self.epochs[span[0]] - 0.5, self.epochs[span[-1]] + 0.5
            phase = self.phases[span[0]]
            ax.axvspan(first, last, color="0.93" if phase == "consistency" else "none", zorder=0)
            ax.text(
                first,
                1.01,
                f" {phase}",
                transform=ax.get_xaxis_transform(),
                fontsize=8,
                va="bottom",
            )
        ax.set(xlabel="epoch", ylabel="loss")
        ax.xaxis.get_major_locator().set_params(integer=True)
        self.score_ax_.set(ylabel="label-free score", ylim=(0, 1.02))
        lines = [*ax.get_lines(), *self.score_ax_.get_lines()]
        named = [line for line in lines if not line.get_label().startswith("_")]
        names = [line.get_label() for line in named]
        self.score_ax_.legend(
            named, names, fontsize=8, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.13)
        )
        return self

    def _plot_loss(self, name: str, color: str) -> None:
        label: str | None = name
        for span in self._spans():
            values = self.losses[name][span]
            if not np.isnan(values).all():
                self.ax_.plot(self.epochs[span], values, ".-", color=color, label=label)
                label = None  # one entry in the legend

    def _spans(self) -> list[list[int]]:
        """Positions of the epochs of each stretch of one phase."""
        numbered = groupby(enumerate(self.phases), key=lambda pair: pair[1])
        return [[i for i, _ in stretch] for _, stretch in numbered]


class CodeUsageDisplay(_Display):
    """How many rows each category holds, and how sure the model is of them.

    A bar per category is its number of rows; its colour and the number on it are the mean
    posterior of the rows in it. A black line marks how many rows `cluster_prior_` promises.

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

    def __init__(self, sizes: Any, confidences: Any, expected_sizes: Any) -> None:
        self.sizes = sizes
        self.confidences = confidences
        self.expected_sizes = expected_sizes

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        X: Any,
        *,
        categorical_code: int = 0,
        ax: Any = None,
    ) -> CodeUsageDisplay:
        """Count and draw the categories of the rows of X.

        Parameters
        ----------
        estimator : BInfoGANTransformer or BInfoGANClassifier
            A fitted one.
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
        _, codes = _encoded(estimator, X)
        posterior = codes[:, _category_slice(estimator._spec, categorical_code)]
        groups = _groups(posterior)
        means = [posterior[g, k].mean() if len(g) else np.nan for k, g in enumerate(groups)]
        prior = estimator._priors()[categorical_code]
        sizes = np.array([len(group) for group in groups])
        return cls(sizes, np.array(means), prior * len(codes)).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> CodeUsageDisplay:
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
        ax = self._open(ax, (max(4, 1 + 0.5 * n), 3.5))
        import matplotlib.pyplot as plt

        sure = plt.cm.ScalarMappable(plt.Normalize(1 / n if n > 1 else 0, 1), "viridis")
        bars = ax.bar(range(n), self.sizes, color=sure.to_rgba(np.nan_to_num(self.confidences)))
        texts = ["" if np.isnan(c) else f"{c:.2f}" for c in self.confidences]
        ax.bar_label(bars, texts, fontsize=8)
        places = np.arange(n)
        ax.hlines(self.expected_sizes, places - 0.4, places + 0.4, color="k", linewidth=1)
        ax.set_xticks(range(n))
        ax.set(xlabel="category", ylabel="rows")
        ax.figure.colorbar(sure, ax=ax, label="mean posterior")
        return self


def _row_format(estimator: Estimator) -> RowFormat:
    layout = estimator._net.settings.layout
    return RowFormat.of(layout, getattr(estimator, "feature_names_in_", None))


def _encoded(estimator: Estimator, X: Any) -> tuple[Any, np.ndarray]:
    """Validate rows and encode them, (n, width) with noise."""
    check_is_fitted(estimator)
    rows = estimator._checked(X)
    return rows, estimator._encode(rows)


def _rebuilt(estimator: Estimator, rows: Any, use_noise: bool) -> np.ndarray:
    codes = estimator._encode(rows)
    return estimator.inverse_transform(
        codes if use_noise else codes[:, : estimator._spec.noise.start]
    )


def _check_count(name: str, value: Any, low: int) -> None:
    if not is_count(value, low):
        raise ValueError(f"{name} must be an int >= {low}; got {value!r}.")


def _category_slice(spec: CodeSpec, categorical_code: Any) -> slice:
    n_codes = len(spec.categories)
    if not is_count(categorical_code, 0, n_codes - 1):
        raise ValueError(
            f"categorical_code must be an int from 0 to {n_codes - 1}; got {categorical_code!r}."
        )
    return spec.category_slices[categorical_code]


def _continuous_column(spec: CodeSpec, code: Any) -> tuple[int, str]:
    """Column of Z and name of a continuous code or a part of the noise."""
    names = spec.feature_names(include_noise=True)[spec.n_categorical :]
    name = f"continuous{code}" if is_count(code, 0) else code
    if name not in names:
        known = [f"{n} {kind}" for n, kind in _kinds(spec) if n]
        raise ValueError(
            f"There is no code {code!r}: give the number or the name of one of this model's "
            f"{' and '.join(known) or 'continuous codes; it has none'}."
        )
    return spec.n_categorical + names.index(name), name


def _kinds(spec: CodeSpec) -> list[tuple[int, str]]:
    return [
        (spec.n_continuous, "continuous codes ('continuous0', ...)"),
        (spec.n_noise, "parts of the noise ('noise0', ...)"),
    ]


def _checked_values(values: Any) -> np.ndarray:
    grid = np.linspace(-1, 1, 9) if values is None else np.asarray(values, dtype=np.float64)
    if grid.ndim != 1 or len(grid) < 2 or not np.isfinite(grid).all():
        raise ValueError(f"values must be at least 2 finite numbers; got {values!r}.")
    return grid


def _checked_indices(indices: Any, n_rows: int) -> np.ndarray | None:
    if indices is None:
        return None
    chosen = np.asarray(indices)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or len(chosen) == 0:
        raise ValueError(f"indices must be a list of row numbers; got {indices!r}.")
    if chosen.min() < 0 or chosen.max() >= n_rows:
        raise ValueError(f"indices must be from 0 to {n_rows - 1}; got {indices!r}.")
    return chosen


def _groups(posterior: np.ndarray) -> list[np.ndarray]:
    """Numbers of the rows of each category, in rising order."""
    labels = posterior.argmax(axis=1)
    return [np.flatnonzero(labels == k) for k in range(posterior.shape[1])]


def _by(key: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Sort row numbers by the key of their rows, rising."""
    return numbers[np.argsort(key[numbers], kind="stable")]


def _filled(numbers: np.ndarray, n: int) -> np.ndarray:
    """Row numbers, -1 after their end."""
    return np.pad(numbers, (0, n - len(numbers)), constant_values=-1)


def _ends(ordered: np.ndarray, n_ends: int) -> np.ndarray:
    """First and last of ordered row numbers; -1 between them where they are too few."""
    half = len(ordered) // 2
    low, high = ordered[:half][:n_ends], ordered[half:][-n_ends:]
    return np.concatenate([_filled(low, n_ends), _filled(high[::-1], n_ends)[::-1]])


def _high_minus_low(line: np.ndarray) -> np.ndarray:
    """Mean of the second half of rows minus mean of the first half; NaN if one is empty."""
    halves = [half[~np.isnan(half).any(axis=1)] for half in np.split(line, 2)]
    if not all(len(half) for half in halves):
        return np.full(line.shape[1], np.nan)
    difference: np.ndarray = halves[1].mean(axis=0) - halves[0].mean(axis=0)
    return difference


def _taken(rows: Any, indices: np.ndarray) -> np.ndarray:
    """Rows of a grid of numbers, float64, NaN for -1."""
    flat = indices.ravel()
    taken = np.full((len(flat), rows.shape[1]), np.nan)
    taken[flat >= 0] = rows[flat[flat >= 0]]
    return taken.reshape(*indices.shape, -1)


def _paired_lines(pairs: np.ndarray, n_columns: int) -> np.ndarray:
    """Pairs (n, 2, n_features) on lines of x and of G(E(x)) in turn; NaN after their end."""
    n_blocks = -(-len(pairs) // n_columns)
    n_columns = min(n_columns, len(pairs))
    padded = np.full((n_blocks * n_columns, *pairs.shape[1:]), np.nan)
    padded[: len(pairs)] = pairs
    blocks = padded.reshape(n_blocks, n_columns, 2, -1).swapaxes(1, 2)
    return blocks.reshape(2 * n_blocks, n_columns, -1)
