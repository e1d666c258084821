"""What a row of X is: an image or a row of a table, its units, and the names of its features."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np


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
