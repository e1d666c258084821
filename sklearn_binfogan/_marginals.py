"""Marginals: the distribution of each column of drawn rows is made that of real rows.

The density of codes and residual consists of Gaussians, but columns of a table may be skewed, or
hold a bound such as 0 in most rows. An increasing function of each column alone corrects this. It
leaves the ranks as they are, so that what columns have in common stays as the density knows it: the
idea of a copula (Sklar 1959).
"""

import numpy as np
import torch
from scipy.stats import kstwo
from torch import Tensor, nn

from ._layout import FLAT, Layout

N_QUANTILES, MOST_NUMBERS = 256, 1_000_000  # of each column, fewer in wide tables; of all columns
MOST_COMPARED, MOST_DRAWN = 5_000_000, 10_000  # numbers of rows that are compared; drawn rows
BY_CHANCE = 0.1  # columns with a larger p-value, of Kolmogorov and Smirnov, are left as they are
SHARED = 0.5  # unless the rows have fewer distinct values than this share of them


def n_quantiles(n_features: int) -> int:
    """Quantiles of each column."""
    return max(min(N_QUANTILES, MOST_NUMBERS // n_features), 2)


class Marginals(nn.Module):
    """An increasing, piecewise linear function of each column, in the units of X.

    Before `fit` it changes nothing.

    Parameters
    ----------
    n_features : int
    """

    # Quantiles of drawn and of real rows, (n_quantiles, n_features); equal for unchanged columns.
    # They are the bits of float64: values that many rows share must come out exactly, but
    # `Module.float` would round them.
    drawn: Tensor
    real: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        shape = n_quantiles(n_features), n_features
        for name in ("drawn", "real"):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.int64))

    def fit(self, drawn: np.ndarray, real: np.ndarray, layout: Layout) -> None:
        """Learn the functions from drawn and real rows, (m, n_features) and (n, n_features).

        Columns of one-hot groups are left as they are, since one of each group is chosen later.
        So are columns in which far values are replaced, which would come back, and those that
        hardly vary.
        """
        quantiles = np.zeros((2, *self.drawn.shape))
        # Closer together at the ends, so that long tails are kept.
        levels = (1 - np.cos(np.linspace(0, np.pi, len(self.drawn)))) / 2
        is_left = np.ptp(real, axis=0) < FLAT * layout.scale
        is_left[layout.cut_columns] = True
        if layout.kinds is not None:
            is_left |= layout.kinds.groups > 0
        # Once, since it is slow: all columns have as many rows.
        n_both = len(drawn) * len(real) / (len(drawn) + len(real))
        largest = kstwo.isf(BY_CHANCE, max(round(n_both), 1))
        for column in np.flatnonzero(~is_left):
            before, after = drawn[:, column], real[:, column]
            are_shared = len(np.unique(after)) < SHARED * len(after)
            if are_shared or _largest_gap(before, after) >= largest:
                # Values of real rows, and none between them: there may be none for good reason.
                values = np.quantile(after, levels, method="inverted_cdf")
                quantiles[:, :, column] = _with_jumps(np.quantile(before, levels), values), values
        for part, values in zip((self.drawn, self.real), quantiles, strict=True):
            part.copy_(torch.from_numpy(values.view(np.int64)))

    def corrected(self, rows: np.ndarray) -> np.ndarray:
        """Correct drawn rows (n, n_features) of float64."""
        drawn, real = (part.cpu().numpy().view(np.float64) for part in (self.drawn, self.real))
        rows = rows.copy()
        for column in np.flatnonzero((drawn != real).any(axis=0)):
            values, ends = rows[:, column], drawn[[0, -1], column]
            # Beyond the ends the slope is 1: a category may have had no rows in the last piece.
            beyond = values - values.clip(*ends)
            rows[:, column] = np.interp(values, drawn[:, column], real[:, column]) + beyond
        return rows


def _with_jumps(drawn: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Quantiles of drawn rows, equal where real ones go from one shared value to the next.

    So the function jumps there, and no value between the two is drawn.
    """
    rises = np.concatenate([[False], np.diff(real) > 0, [False]])
    jumps = np.flatnonzero(rises[1:-1] & ~rises[:-2] & ~rises[2:])
    drawn = drawn.copy()
    drawn[jumps] = drawn[jumps + 1] = (drawn[jumps] + drawn[jumps + 1]) / 2
    return drawn


def _largest_gap(one: np.ndarray, other: np.ndarray) -> float:
    """Kolmogorov-Smirnov statistic: between the shares of values up to any number."""
    values = np.concatenate([one, other])
    shares = [np.searchsorted(np.sort(x), values, side="right") / len(x) for x in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())
