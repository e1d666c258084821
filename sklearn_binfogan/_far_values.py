"""Values far from all others of their column, such as a -999 that stands for "missing"."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.preprocessing import StandardScaler

from ._arrays import row_blocks

SAMPLE = 2000  # rows that show how far the values of a column lie apart
GAP = 10.0  # times the width of all nearer values: a wider gap sets apart what lies beyond
SPOILT = 3.0  # times the deviation of the others: from there on far values spoil a scale
MARGIN = 1.0  # deviations beyond the others, for far values that differ from each other


class NearValues(NamedTuple):
    """What columns hold without the values far from all others.

    Parameters
    ----------
    columns : ndarray of int64, shape (n_columns,)
        Numbers of the columns whose scale far values would spoil.
    mean, deviation : ndarray of float64, shape (n_columns,)
        Of all other values.
    limits : ndarray of float64, shape (2, n_columns)
        What is below the first or above the second is far; infinite where nothing is.
    stand_in : ndarray of float64, shape (2, n_columns)
        What to take for what is below, and above.
    """

    columns: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    limits: np.ndarray
    stand_in: np.ndarray

    @classmethod
    def of(cls, X: Any, deviation: np.ndarray) -> NearValues:
        """Find the columns that far values spoil, and look at them without.

        Far values that repeat each other, such as -999, stand for "missing": the mean takes their
        place. Others are cut off beside the nearest value.

        Parameters
        ----------
        X : array that can be sliced, shape (n_samples, n_features)
        deviation : ndarray of float64, shape (n_features,)
            Of all values.
        """
        fences = _fences(X)
        columns = np.flatnonzero(np.isfinite(fences).any(axis=0))
        fences, near = fences[:, columns], StandardScaler()
        edges = np.stack([np.full(len(columns), np.inf), np.full(len(columns), -np.inf)])
        if len(columns) == 0:
            return cls(columns, edges[0], edges[0], edges, edges)
        far = _FarValues(len(columns)), _FarValues(len(columns))
        for block in row_blocks(X):
            values = block[:, columns].astype(np.float64)
            is_far = values < fences[0], values > fences[1]
            for side, where in zip(far, is_far, strict=True):
                side.add(values, where)
            values[is_far[0] | is_far[1]] = np.nan  # the scaler passes over them
            near.partial_fit(values)
            edges[0] = np.fmin(edges[0], np.fmin.reduce(values))
            edges[1] = np.fmax(edges[1], np.fmax.reduce(values))
        gaps = far[0].distance(edges[0]), far[1].distance(edges[1])
        apart = np.minimum(*gaps) > GAP * (edges[1] - edges[0])  # of all rows, not of the sample
        spoilt = apart & (near.var_ > 0) & (deviation[columns] >= SPOILT * near.scale_)
        beside = edges + MARGIN * np.stack([-near.scale_, near.scale_])
        repeated = np.stack([side.repeat() for side in far])
        limits = np.where(np.isinf(fences) | repeated, fences, beside)
        stand_in = np.where(np.isinf(fences), fences, np.where(repeated, near.mean_, beside))
        parts = (columns, near.mean_, near.scale_, limits, stand_in)
        return cls(*(part[..., spoilt] for part in parts))


class _FarValues:
    """Far values of some columns on one side: which, and how many, gathered block by block."""

    def __init__(self, n_columns: int) -> None:
        self.kinds: list[set[float]] = [set() for _ in range(n_columns)]
        self.counts = np.zeros(n_columns, np.int64)

    def add(self, values: np.ndarray, is_far: np.ndarray) -> None:
        self.counts += is_far.sum(axis=0)
        for i in np.flatnonzero(is_far.any(axis=0)).tolist():
            self.kinds[i].update(values[is_far[:, i], i].tolist())

    def repeat(self) -> np.ndarray:
        """Whether, on average, each value of a column comes twice."""
        return 2 * np.array([len(kinds) for kinds in self.kinds]) <= self.counts

    def distance(self, edges: np.ndarray) -> np.ndarray:
        """From the edge of the near values of each column to the nearest far one."""
        pairs = zip(self.kinds, edges.tolist(), strict=True)
        return np.array([min((abs(v - edge) for v in ks), default=np.inf) for ks, edge in pairs])


def _fences(X: Any) -> np.ndarray:
    """Where far values begin below and above, (2, n_features); infinity where none are."""
    extremes = [(block.min(axis=0), block.max(axis=0)) for block in row_blocks(X)]
    least = np.min([low for low, _ in extremes], axis=0)
    largest = np.max([high for _, high in extremes], axis=0)
    rows = X[:: -(-X.shape[0] // SAMPLE)]
    values = np.concatenate([rows, least[None], largest[None]]).astype(np.float64)
    return np.array([_fences_of_column(np.unique(column)) for column in values.T]).T


def _fences_of_column(values: np.ndarray) -> tuple[float, float]:
    """Go outwards from the middle of distinct sorted values up to the first gap too wide."""
    # Inwards of the quantiles: of few values too, the first and the last are not in the middle.
    low = np.quantile(values, 0.1, method="higher")
    high = np.quantile(values, 0.9, method="lower")
    if low >= high:  # three values or fewer: nothing tells near from far
        return -np.inf, np.inf
    below, above = values[values <= low][::-1], values[values >= high]
    down = np.flatnonzero(-np.diff(below) > GAP * (high - below[:-1]))
    up = np.flatnonzero(np.diff(above) > GAP * (above[:-1] - low))
    low, high = below[down[0] if len(down) else -1], above[up[0] if len(up) else -1]
    reach = GAP * (high - low)
    return low - reach if len(down) else -np.inf, high + reach if len(up) else np.inf
