"""What the columns of a table hold: whole numbers, few values, bounds, one-hot groups.

G generates real numbers. Rows for users only get values that their own columns can have.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ._arrays import extremes, row_blocks

FEW = 20  # distinct values that a column keeps
ROWS_PER_VALUE = 5  # a column of few values has at least this many rows per value, on average
PILE_ROWS, PILE_SHARE = 5, 0.01  # rows at an end of the range that make it a bound
MOST_BINARY = 1000  # with more columns of two values, groups are not searched for
UNBOUNDED = float(np.finfo(np.float64).max)
EXACT = 2.0**53  # float64 does not represent all whole numbers beyond it


@dataclass(frozen=True, eq=False)
class ColumnKinds:
    """Which values each column of a table may take, learned in `fit`.

    Parameters
    ----------
    low, high : ndarray of float64, shape (n_features,)
        Bounds; `UNBOUNDED` in magnitude where there is none.
    whole : ndarray of float64, shape (n_features,)
        1 for columns of whole numbers, else 0.
    n_values : ndarray of float64, shape (n_features,)
        Number of distinct values of columns that have few, else 0.
    values : ndarray of float64, shape (n_features, most)
        These values, ascending; the rest of the row is filled with 0.
    groups : ndarray of float64, shape (n_features,)
        Number of the one-hot group that a column belongs to, from 1 on; 0: none.
    """

    low: np.ndarray
    high: np.ndarray
    whole: np.ndarray
    n_values: np.ndarray
    values: np.ndarray
    groups: np.ndarray

    @classmethod
    def of(cls, X: Any, skipped: np.ndarray, constant: np.ndarray) -> Self:
        """Learn the kinds of columns from rows that can be sliced.

        In `skipped` columns far values are replaced before training, so their range and their
        distinct values are not learned. The networks see `constant` columns as constant, even if
        they vary a little: their range is kept.
        """
        whole, ends, n_ends, distinct = _survey(X)
        most = max(len(X) // ROWS_PER_VALUE, 1)  # a constant column has one value
        bounded = are_piles(n_ends, len(X)) | constant
        bounded[:, skipped] = False
        few = {
            column: seen
            for column, seen in enumerate(distinct)
            if seen is not None and len(seen) <= most and column not in skipped
        }
        n_values = np.zeros(len(distinct), dtype=np.int64)
        values = np.zeros((len(distinct), max(map(len, few.values()), default=1)))
        for column, seen in few.items():
            n_values[column] = len(seen)
            values[column, : len(seen)] = seen
        return cls(
            np.where(bounded[0], ends[0], -UNBOUNDED),
            np.where(bounded[1], ends[1], UNBOUNDED),
            whole.astype(np.float64),
            n_values.astype(np.float64),
            values,
            _one_hot_groups(X, n_values, values).astype(np.float64),
        )

    def kept(self, rows: np.ndarray) -> np.ndarray:
        """Return rows (n, n_features) with the nearest values that their columns may take."""
        kept = np.clip(rows, self.low, self.high)
        whole = self.whole > 0
        kept[:, whole] = np.rint(kept[:, whole])
        # These are chosen from the rows as they came: clipped and rounded ones have ties.
        for column in np.flatnonzero((self.n_values > 0) & (self.groups == 0)):
            values = self.values[column, : int(self.n_values[column])]
            nearest = np.searchsorted((values[1:] + values[:-1]) / 2, rows[:, column])
            kept[:, column] = values[nearest]
        for number in range(1, int(self.groups.max()) + 1):
            group = np.flatnonzero(self.groups == number)
            kept[:, group] = self._one_hot(rows, group)
        return kept

    def far_apart(self, least: np.ndarray, piled: np.ndarray) -> np.ndarray:
        """Give numbers to the columns whose few values all lie farther apart than `least`.

        Parameters
        ----------
        least : ndarray of shape (n_features,)
            In the units of X.
        piled : ndarray of bool, shape (n_features,)
            Other columns that get a number, too.

        Returns
        -------
        numbers : ndarray of int64, shape (n_features,)
            From 1 on; 0 for other columns. Columns of a one-hot group have one number, even if the
            values of one of them alone lie so far apart.
        """
        place, n_gaps = np.arange(self.values.shape[1] - 1), self.n_values - 1
        gaps = np.where(place < n_gaps[:, None], np.diff(self.values, axis=1), np.inf)
        is_far = piled | ((n_gaps > 0) & (gaps.min(axis=1, initial=np.inf) > least))
        is_far |= (self.groups > 0) & np.isin(self.groups, self.groups[is_far])
        alone = self.groups.max() + 1 + np.arange(len(least))
        found = np.where(is_far, np.where(self.groups > 0, self.groups, alone), 0)
        _, numbers = np.unique(np.append(0, found), return_inverse=True)
        return np.asarray(numbers[1:], np.int64)

    def _one_hot(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Switch on the column of a group that is closest to "on", and all others off."""
        off, on = self.values[columns, 0], self.values[columns, 1]
        winner = ((rows[:, columns] - off) / (on - off)).argmax(axis=1, keepdims=True)
        return np.where(np.arange(len(columns)) == winner, on, off)


def have_far_piles(rows: np.ndarray, least: float) -> np.ndarray:
    """Find columns where many rows share an end of the range, far from all other values.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
    least : float
        Least distance between the end and the next value.

    Returns
    -------
    found : ndarray of bool, shape (n_features,)
    """
    found = np.zeros(rows.shape[1], bool)
    for sign in (-1, 1):
        end = (sign * rows).min(axis=0)
        at_end = sign * rows <= end + 1e-6  # scaling rounds
        gap = np.where(at_end, np.inf, sign * rows).min(axis=0) - end
        is_pile = are_piles(at_end.sum(axis=0), len(rows))
        found |= is_pile & (gap > least) & np.isfinite(gap)  # infinite: the column is constant
    return found


def are_piles(n_ends: np.ndarray, n_rows: int) -> np.ndarray:
    """Whether so many of the rows, such as those at the ends of columns, are more than chance."""
    return n_ends >= max(PILE_ROWS, PILE_SHARE * n_rows)


def _survey(X: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray | None]]:
    """Look at all rows, block by block, twice.

    Returns
    -------
    whole : ndarray of bool, shape (n_features,)
    ends, n_ends : ndarray of shape (2, n_features)
        Least and largest value of each column, and the number of rows that have it.
    distinct : list of ndarray or None
        Distinct values of each column; None: there are more than `FEW`.
    """
    n_features = X.shape[1]
    ends = np.array(extremes(X), dtype=np.float64)
    whole, n_ends = np.ones(n_features, bool), np.zeros((2, n_features), int)
    distinct: list[np.ndarray | None] = [np.empty(0)] * n_features
    for block in row_blocks(X):
        rows = np.asarray(block, dtype=np.float64)
        whole &= ((rows == np.rint(rows)) & (np.abs(rows) <= EXACT)).all(axis=0)
        n_ends += (rows == ends[:, None]).sum(axis=1)
        distinct = [_merged(seen, column) for seen, column in zip(distinct, rows.T, strict=True)]
    return whole, ends, n_ends, distinct


def _merged(seen: np.ndarray | None, column: np.ndarray) -> np.ndarray | None:
    """Distinct values seen so far and in a column; None if there are too many."""
    if seen is None:
        return None
    found = np.union1d(seen, column)
    return found if len(found) <= FEW else None


def _one_hot_groups(X: Any, n_values: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Find groups of columns of which each row has exactly one switched on.

    They are side by side, but for constant columns.

    Parameters
    ----------
    X : array that can be sliced
    n_values : ndarray of int, shape (n_features,)
        Number of distinct values of columns that have few, else 0.
    values : ndarray of shape (n_features, most)

    Returns
    -------
    groups : ndarray of int, shape (n_features,)
        Numbers of the groups, from 1 on; 0: none.
    """
    groups, columns = np.zeros(X.shape[1], int), np.flatnonzero(n_values == 2)
    if not 1 < len(columns) <= MOST_BINARY:
        return groups
    together = np.zeros((len(columns), len(columns)))
    for block in row_blocks(X):
        on = (np.asarray(block)[:, columns] == values[columns, 1]).astype(np.float64)
        together += on.T @ on
    place = np.cumsum(n_values != 1)  # a category that no row has leaves a constant column
    edges = np.flatnonzero(np.diff(place[columns]) > 1) + 1
    n_found = 0
    for side_by_side in np.split(np.arange(len(columns)), edges):
        end = side_by_side[-1] + 1
        sizes = [_group_size(together[i:end, i:end], X.shape[0]) for i in side_by_side]
        for start in _of_most_columns(sizes):
            n_found += 1
            groups[columns[side_by_side[start : start + sizes[start]]]] = n_found
    return groups


def _of_most_columns(sizes: list[int]) -> list[int]:
    """Choose groups that don't overlap and hold most columns in all.

    A flag beside a one-hot group, such as "weekend" before the seven days, may form a group with
    some of its columns.

    Parameters
    ----------
    sizes : list of int
        Columns of the group that starts at each place; 0: none does.

    Returns
    -------
    starts : list of int
    """
    n_held = [0] * (len(sizes) + 1)  # columns in groups, from each place on
    for i in reversed(range(len(sizes))):
        n_held[i] = max(n_held[i + 1], sizes[i] + n_held[i + sizes[i]])
    starts, i = [], 0
    while i < len(sizes):
        is_chosen = sizes[i] > 0 and n_held[i] == sizes[i] + n_held[i + sizes[i]]
        starts += [i] if is_chosen else []
        i += sizes[i] if is_chosen else 1
    return starts


def _group_size(together: np.ndarray, n_rows: int) -> int:
    """Count the leading columns that form a one-hot group; 0: they form none.

    `together` counts the rows in which two columns are both switched on.
    """
    covered = 0.0
    for size in range(1, len(together) + 1):
        if together[size - 1, : size - 1].any():
            return 0
        covered += together[size - 1, size - 1]
        if covered == n_rows:
            return size
    return 0
