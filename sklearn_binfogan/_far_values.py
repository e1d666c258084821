"""Values far from all others in their column, such as a -999 that stands for "missing"."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from ._arrays import extremes, row_blocks, subsample

SAMPLE = 2000  # rows in which gaps are searched for
SAMPLE_OF_IMAGES = 200
GAP = 5.0  # values are far beyond a gap this many times as wide as the range of nearer values
SPOILT = 3.0  # far values count if they make the deviation at least this many times as large
FEW, RARE = 10, 0.1  # with fewer than 10 distinct near values, at most a tenth of rows may be far
MOST_FAR, MOST_FAR_PIXELS = 0.5, 0.005  # share of rows that may be far; of pixels
MARGIN = 1.0  # far values are clipped this many deviations beyond the others


class NearValues(NamedTuple):
    """Statistics of columns without the values far from all others.

    Parameters
    ----------
    columns : ndarray of int64, shape (n_columns,)
        Numbers of the columns whose scale far values would spoil.
    mean, deviation : ndarray of float64, shape (n_columns,)
        Of all other values.
    limits : ndarray of float64, shape (2, n_columns)
        Values below the first or above the second are far; infinite where none are.
    stand_in : ndarray of float64, shape (2, n_columns)
        Values that replace far ones, below and above.
    """

    columns: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    limits: np.ndarray
    stand_in: np.ndarray

    @classmethod
    def of(cls, X: Any, deviation: np.ndarray) -> Self:
        """Find the columns whose scale far values spoil, and measure their other values.

        Far values that repeat, such as -999, stand for "missing" and are replaced by the mean.
        Others are clipped a little beyond the range of the near values.

        Parameters
        ----------
        X : array that can be sliced, shape (n_samples, n_features)
        deviation : ndarray of float64, shape (n_features,)
            Of all values, far ones included.
        """
        fences = _fences(X)
        columns = np.flatnonzero(np.isfinite(fences).any(axis=0))
        fences = fences[:, columns]
        if len(columns) == 0:
            return cls(columns, fences[0], fences[0], fences, fences)
        edges, mean, scale = _statistics(X, columns, fences)
        nowhere = np.full(len(columns), np.inf)
        far = (
            far_values(X, columns, fences[0], nowhere),
            far_values(X, columns, -nowhere, fences[1]),
        )
        gaps = [_distances(*pair) for pair in zip(far, edges, strict=True)]
        # The fences come from a sample of rows, so check the gaps in all rows.
        apart = np.minimum(*gaps) > GAP * (edges[1] - edges[0])
        spoilt = apart & (scale > 0) & (deviation[columns] >= SPOILT * scale)
        beside = edges + MARGIN * np.stack([-scale, scale])
        repeated = np.array([[repeat(counts) for counts in side] for side in far])
        limits = np.where(np.isinf(fences) | repeated, fences, beside)
        stand_in = np.where(np.isinf(fences), fences, np.where(repeated, mean, beside))
        return cls(*(part[..., spoilt] for part in (columns, mean, scale, limits, stand_in)))


def far_values(
    X: Any, columns: np.ndarray, low: np.ndarray, high: np.ndarray
) -> list[Counter[float]]:
    """Count the values of some columns below `low` or above `high`, by column."""
    found: list[Counter[float]] = [Counter() for _ in columns]
    for block in row_blocks(X):
        for i, values in enumerate(block[:, columns].T):
            found[i].update(values[(values < low[i]) | (values > high[i])].tolist())
    return found


def far_pixels(X: Any, low: float, high: float) -> Counter[float]:
    """Count the pixels far from all others, where all pixels lie from `low` to `high`."""
    if X.dtype == np.uint8:  # no room for a gap
        return Counter()
    pixels = np.asarray(subsample(X, SAMPLE_OF_IMAGES), dtype=np.float64).ravel()
    fences = _fences_of_column(*np.unique(np.append(pixels, [low, high]), return_counts=True))
    found: Counter[float] = Counter()
    if np.isfinite(fences).any():
        for block in row_blocks(X):
            found.update(block[(block < fences[0]) | (block > fences[1])].tolist())
    # Many pixels of many values are bright things on an even background.
    are_few = found.total() <= MOST_FAR_PIXELS * math.prod(X.shape)
    return found if are_few or repeat(found) else Counter()


def repeat(counts: Counter[float]) -> bool:
    """Whether values are shared by two rows or more on average, as marks for "missing" are."""
    return 2 * len(counts) <= counts.total()


def _distances(far: Sequence[Counter[float]], edges: np.ndarray) -> np.ndarray:
    """Distance from the edge of each column's near values to the nearest far one."""
    pairs = zip(far, edges.tolist(), strict=True)
    return np.array(
        [min((abs(v - edge) for v in values), default=np.inf) for values, edge in pairs]
    )


def _statistics(
    X: Any, columns: np.ndarray, fences: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Range, (2, n_columns), mean and deviation of the near values of some columns.

    `StandardScaler` can't do this: it fails if a column's first block has no near value.
    """

    def near() -> Iterator[np.ndarray]:
        for block in row_blocks(X):
            values = block[:, columns].astype(np.float64)
            yield np.where((values < fences[0]) | (values > fences[1]), np.nan, values)

    low = np.fmin.reduce([np.fmin.reduce(values) for values in near()])
    high = np.fmax.reduce([np.fmax.reduce(values) for values in near()])
    counts = sum(np.isfinite(values).sum(axis=0) for values in near())
    # Relative to `low`: the squares of large values would lose digits.
    mean = sum(np.nansum(values - low, axis=0) for values in near()) / counts
    squares = sum(np.nansum((values - low - mean) ** 2, axis=0) for values in near())
    return np.stack([low, high]), low + mean, np.sqrt(squares / counts)


def _fences(X: Any) -> np.ndarray:
    """Where far values begin below and above, (2, n_features); infinite if there are none."""
    values = np.vstack([subsample(X, SAMPLE), *extremes(X)]).astype(np.float64)
    fences = [_fences_of_column(*np.unique(column, return_counts=True)) for column in values.T]
    return np.array(fences).T


def _fences_of_column(values: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Go from the middle of the distinct, sorted values outwards to the first gap that is too wide.

    Returns the fences below and above; infinite where no gap is too wide.
    """
    nowhere = -np.inf, np.inf
    # Rounded inwards, so that the middle leaves out the extremes even of few values.
    low = np.quantile(values, 0.1, method="higher")
    high = np.quantile(values, 0.9, method="lower")
    if low >= high:  # with three values or fewer, near and far can't be defined
        return nowhere
    below, above = values[values <= low][::-1], values[values >= high]
    down = np.flatnonzero(-np.diff(below) > GAP * (high - below[:-1]))
    up = np.flatnonzero(np.diff(above) > GAP * (above[:-1] - low))
    low, high = below[down[0] if len(down) else -1], above[up[0] if len(up) else -1]
    is_near = (values >= low) & (values <= high)
    # A column of 1, 10, 100 and 1000 may be correct, and so may one that is 0 in most rows.
    most_far = RARE if is_near.sum() < FEW else MOST_FAR
    if counts[~is_near].sum() > most_far * counts.sum():
        return nowhere
    reach = GAP * (high - low)
    return low - reach if len(down) else -np.inf, high + reach if len(up) else np.inf
