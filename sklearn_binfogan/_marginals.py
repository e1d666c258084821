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
ROUNDING = 1e-6  # of network input, relative to its size; above that of float32


def n_quantiles(n_features: int) -> int:
    """Quantiles of each column."""
    return max(min(N_QUANTILES, MOST_NUMBERS // n_features), 2)


class Marginals(nn.Module):
    """An increasing, piecewise linear function of each column, in network input.

    Before `fit` it changes nothing.

    Parameters
    ----------
    n_features : int
    """

    # Quantiles of drawn and of real rows, (n_quantiles, n_features); equal for unchanged columns.
    drawn: Tensor
    real: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        for name in ("drawn", "real"):
            self.register_buffer(name, torch.zeros(n_quantiles(n_features), n_features))

    def fit(self, drawn: Tensor, real: Tensor, layout: Layout) -> None:
        """Learn the functions from drawn and real rows, (m, n_features) and (n, n_features).

        Columns of one-hot groups are left as they are, since one of each group is chosen later.
        So are columns in which far values are replaced, since many rows may have the same stand-in,
        and those that hardly vary.
        """
        self.drawn.zero_()
        self.real.zero_()
        real_rows = _beyond_bounds(real.cpu().double().numpy(), layout)
        # Closer together at the ends, so that long tails are kept.
        levels = (1 - np.cos(np.linspace(0, np.pi, len(self.drawn)))) / 2
        is_left = np.ptp(real_rows, axis=0) < FLAT
        is_left[layout.cut_columns] = True
        if layout.kinds is not None:
            is_left |= layout.kinds.groups > 0
        # Once, since it is slow: all columns have as many rows.
        n_both = len(drawn) * len(real) / (len(drawn) + len(real))
        largest = kstwo.isf(BY_CHANCE, max(round(n_both), 1))
        for column in np.flatnonzero(~is_left):
            before, after = drawn[:, column].cpu().double().numpy(), real_rows[:, column]
            if _largest_gap(before, after) < largest:
                continue
            quantiles = np.quantile(before, levels)
            # Values of real rows, and none between them: there may be none for good reason.
            values = np.quantile(after, levels, method="inverted_cdf")
            self.drawn[:, column] = torch.from_numpy(quantiles)
            self.real[:, column] = torch.from_numpy(values)

    def corrected(self, rows: np.ndarray) -> np.ndarray:
        """Correct drawn rows (n, n_features)."""
        drawn, real = self.drawn.cpu().numpy(), self.real.cpu().numpy()
        rows = rows.copy()
        for column in np.flatnonzero((drawn != real).any(axis=0)):
            values, ends = rows[:, column], drawn[[0, -1], column]
            # Beyond the ends the slope is 1: a category may have had no rows in the last piece.
            beyond = values - values.clip(*ends)
            rows[:, column] = np.interp(values, drawn[:, column], real[:, column]) + beyond
        return rows


def _largest_gap(one: np.ndarray, other: np.ndarray) -> float:
    """Kolmogorov-Smirnov statistic: between the shares of values up to any number."""
    values = np.concatenate([one, other])
    shares = [np.searchsorted(np.sort(x), values, side="right") / len(x) for x in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def _beyond_bounds(rows: np.ndarray, layout: Layout) -> np.ndarray:
    """Put values at a bound a little beyond it: rounding would leave some beside it.

    Generated rows are clipped at the bounds in the end.
    """
    if layout.kinds is None:
        return rows
    with np.errstate(over="ignore", invalid="ignore"):  # of columns without a bound
        low, high = (
            (bound - layout.center) / layout.scale
            for bound in (layout.kinds.low, layout.kinds.high)
        )
        margin = ROUNDING * np.maximum(np.abs([low, high]), 1)
        rows = np.where(rows <= low + margin[0], low - margin[0], rows)
        return np.where(rows >= high - margin[1], high + margin[1], rows)
