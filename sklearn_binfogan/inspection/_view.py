"""A fitted estimator as displays see it, and what a row of X is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .._base import fitted_model
from .._classifier import BInfoGANClassifier
from .._rows import Source, checked_rows
from .._transformer import BInfoGANTransformer

Estimator = BInfoGANTransformer | BInfoGANClassifier


class FeatureChange(NamedTuple):
    """How much a code changes one feature: in the units of X, and in the model's scaled units.

    A named tuple of `name`, `change` and `scaled_change`.

    Examples
    --------
    >>> from sklearn_binfogan.inspection import FeatureChange
    >>> FeatureChange("alcohol", change=1.2, scaled_change=1.5).name
    'alcohol'
    """

    name: str
    change: float
    scaled_change: float


@dataclass(frozen=True, eq=False)
class RowFormat:
    """What a row of X is, for drawing it.

    Parameters
    ----------
    image_shape : tuple of int (H, W, C), or None
        None for rows of a table.
    center, scale : ndarray of shape (n_features,) or ()
        Scaled units are (x - center) / scale: standard deviations for tables, [0, 1] for images.
    feature_names : sequence of str, length n_features

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_binfogan.inspection import RowFormat
    >>> metres = RowFormat(None, np.array([10.0]), np.array([2.0]), ["height"])
    >>> metres.changes(np.array([4.0]))
    [FeatureChange(name='height', change=4.0, scaled_change=2.0)]
    """

    image_shape: tuple[int, int, int] | None
    center: np.ndarray
    scale: np.ndarray
    feature_names: Sequence[str]

    def scaled(self, rows: Any) -> np.ndarray:
        """Scale rows. NaN stays NaN.

        Parameters
        ----------
        rows : array-like of shape (..., n_features)
            In the units of X.

        Returns
        -------
        scaled : ndarray of float64, shape (..., n_features)
        """
        return (np.asarray(rows, dtype=np.float64) - self.center) / self.scale

    def changes(self, difference: np.ndarray) -> list[FeatureChange]:
        """Sort features by how much they change, in scaled units.

        Parameters
        ----------
        difference : ndarray of shape (n_features,)
            In the units of X.

        Returns
        -------
        changes : list of FeatureChange
            The largest change first.
        """
        scaled = difference / self.scale
        order = np.argsort(-np.abs(scaled), kind="stable")
        names = self.feature_names
        return [FeatureChange(names[i], float(difference[i]), float(scaled[i])) for i in order]


class View:
    """A fitted estimator as displays see it. Categories are in the public order.

    Attributes
    ----------
    estimator : BInfoGANTransformer or BInfoGANClassifier
    model : FittedModel

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    """

    def __init__(self, estimator: Estimator) -> None:
        self.estimator, self.model = estimator, fitted_model(estimator)

    @property
    def row_format(self) -> RowFormat:
        """What a row of X is."""
        layout = self.model.layout
        numbered = [f"x{i}" for i in range(layout.n_features)]
        names = list(getattr(self.estimator, "feature_names_in_", numbered))
        if not layout.is_image:
            return RowFormat(None, layout.center, layout.scale, names)
        channels, height, width = layout.shape
        darkest = np.asarray(layout.pixel_range[0])
        return RowFormat((height, width, channels), darkest, np.abs(layout.scale), names)

    def rows(self, X: Any) -> Source:
        """Validate X."""
        return checked_rows(self.estimator, X, reset=False)

    def sample(
        self, n: int, rng: np.random.RandomState, chosen: Mapping[int, int] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Generate n rows; give them and their categories, (n, n_codes).

        `chosen` maps numbers of categorical codes to categories; all other codes are drawn.
        """
        codes = range(len(self.model.spec.categories))
        categories = [(chosen or {}).get(code) for code in codes]
        seed = int(rng.randint(2**31 - 1))
        # A classifier's `sample` draws from classes, which leaves out its free categories.
        return self.model.sample(n, categories, seed, self.model.drawing_prior)
