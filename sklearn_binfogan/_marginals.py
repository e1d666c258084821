"""Marginals: the distribution of each column of drawn rows is made that of real rows.

The density of codes and residual consists of Gaussians, but columns of a table may be skewed, or
hold a bound such as 0 in most rows. An increasing function of each column alone corrects this. It
leaves the ranks as they are, so that what columns have in common stays as the density knows it: the
idea of a copula (Sklar 1959).
"""

import numpy as np
import torch
from scipy.stats import ks_2samp
from torch import Tensor, nn

from ._layout import FLAT, Layout

# Quantiles of each column; of all columns together, so that wide tables have fewer.
N_QUANTILES, FEWEST_QUANTILES, MOST_NUMBERS = 256, 8, 1_000_000
MOST_COMPARED, MOST_DRAWN = 5_000_000, 10_000  # numbers of rows that are compared; drawn rows
BY_CHANCE = 0.1  # p-value from which on a column is left as it is
SHARED = 0.5  # unless the rows have fewer distinct values than this share of them
MARGIN = 0.25  # beyond drawn rows, relative to their range, where a column keeps its end


def n_quantiles(n_features: int) -> int:
    """Quantiles of each column."""
    return max(min(N_QUANTILES, MOST_NUMBERS // n_features), FEWEST_QUANTILES)


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
        for column in np.flatnonzero(~is_left):
            before, after = drawn[:, column], real[:, column]
            own = np.quantile(before, levels)
            if len(np.unique(after)) < SHARED * len(after):
                # Values of real rows, and none between them: there may be none for good reason.
                values = np.quantile(after, levels, method="inverted_cdf")
                quantiles[:, :, column] = _with_jumps(own, values), values
            elif _differ(before, after):
                quantiles[:, :, column] = own, np.quantile(after, levels)
        for part, values in zip((self.drawn, self.real), quantiles, strict=True):
            part.copy_(torch.from_numpy(values.view(np.int64)))

    def corrected(self, rows: np.ndarray) -> np.ndarray:
        """Correct drawn rows (n, n_features) of float64."""
        drawn, real = (part.cpu().numpy().view(np.float64) for part in (self.drawn, self.real))
        rows = rows.copy()
        for column in np.flatnonzero((drawn != real).any(axis=0)):
            values, ends = rows[:, column], drawn[[0, -1], column]
            # Rows a little beyond the ends get the end: there may be a bound. Further on the slope
            # is 1: a category may have had no rows in the last piece.
            margin = MARGIN * np.ptp(ends) * np.array([-1, 1])
            beyond = values - values.clip(*(ends + margin))
            rows[:, column] = np.interp(values, drawn[:, column], real[:, column]) + beyond
        return rows


def _with_jumps(drawn: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Quantiles of drawn rows, equal where real ones go on from a shared value to the next one.

    So the function jumps there, and no value between the two is drawn.
    """
    rises = np.concatenate([[False], np.diff(real) > 0, [False]])
    jumps = np.flatnonzero(rises[1:-1] & ~(rises[:-2] & rises[2:]))
    jumps = jumps[np.diff(jumps, prepend=-2) > 1]  # two in a row would need a quantile between them
    drawn = drawn.copy()
    drawn[jumps] = drawn[jumps + 1] = (drawn[jumps] + drawn[jumps + 1]) / 2
    return drawn


def _differ(drawn: np.ndarray, real: np.ndarray) -> bool:
    """Whether two columns differ by more than chance: anywhere, or at an end.

    The test of Kolmogorov and Smirnov hardly looks at the ends, beyond which there may be a bound:
    in few rows it does not tell a positive column from a Gaussian one.
    """
    if ks_2samp(drawn, real, method="asymp").pvalue < BY_CHANCE:
        return True
    beyond = max((drawn < real.min()).mean(), (drawn > real.max()).mean())
    return bool((1 - beyond) ** len(real) < BY_CHANCE / 2)
