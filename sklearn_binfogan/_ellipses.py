"""Partitions of tables into ellipses: Gaussian mixtures, and whether rows are drawn from one."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import sem
from sklearn.model_selection import KFold

from ._arrays import subsample
from ._threads import one_thread

N_STARTS = 10  # of EM, besides the given partition
LEAST_VARIANCE = 1e-3  # added to each Gaussian's; columns have a variance of 1
MOST_STEPS = 1_000  # of EM
FOLDS, MOST_COMPARED = 3, 3_000  # rows
MORE, MOST = (1.5, 2.0, 3.0), 40  # times as many Gaussians, which a mixture is compared with
FEW_STARTS: dict[str, Any] = {"n_init": 3, "tol": 1e-2}  # of EM for these
LEAST_ROWS = 10  # of each Gaussian; at least one, too, for each number of its covariance
BY_CHANCE = 2.0  # standard errors


class Ellipses(NamedTuple):
    """A partition by a mixture: labels of rows, and log-densities of a part, by other rows."""

    labels: np.ndarray
    likelihood: np.ndarray


def mixtures(rows: np.ndarray, labels: np.ndarray, n_groups: int) -> list[Ellipses]:
    """Fit Gaussian mixtures with full covariances: from a partition, and from random starts.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        Columns have a variance of about 1.
    labels : ndarray of shape (n,)
        The partition, such as that of k-means.
    n_groups : int

    Returns
    -------
    found : list of Ellipses
        Those under which held-out rows are likelier than under Gaussians that are round in
        standardised columns: such groups are left to k-means. Empty, too, if there are too few
        distinct rows to compare mixtures.
    """
    some, labels = subsample(rows, MOST_COMPARED), subsample(labels, MOST_COMPARED)
    groups = [some[labels == group] for group in range(n_groups)]
    if not _larger_numbers(some, n_groups) or not all(map(len, groups)):
        return []
    smallest = LEAST_VARIANCE * np.eye(rows.shape[1])
    covariances = [np.cov(group.T, bias=True) + smallest for group in groups]
    weights, means = [len(group) / len(some) for group in groups], [g.mean(axis=0) for g in groups]
    starts = [
        _mixture(n_groups, **_start(weights, means, np.linalg.inv(covariances))),
        _mixture(n_groups, n_init=N_STARTS),
    ]
    with one_thread():
        fitted = [start.fit(some) for start in starts]
    round_ = _mixture(n_groups, covariance_type="spherical", **FEW_STARTS)
    likelihoods = [_held_out_likelihood(_further(mixture), some) for mixture in fitted]
    fit = _are_likelier(np.array(likelihoods), _held_out_likelihood(round_, some))
    with one_thread():
        return [Ellipses(fitted[i].predict(rows), likelihoods[i]) for i in np.flatnonzero(fit)]


def are_all(found: Sequence[Ellipses], rows: np.ndarray, n_groups: int) -> np.ndarray:
    """Whether the Gaussians of each mixture are all that there is, (n_mixtures,) of bool.

    They are if held-out rows are no likelier, but for chance, under mixtures of more Gaussians. A
    group of any other shape than an ellipse needs several.
    """
    some, fit = subsample(rows, MOST_COMPARED), np.full(len(found), True)
    own = np.array([each.likelihood for each in found])
    for number in _larger_numbers(some, n_groups):
        larger = _held_out_likelihood(_mixture(number, **FEW_STARTS), some)
        fit &= ~_are_likelier(larger, own)
        if not fit.any():
            break
    return fit


def _are_likelier(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether rows are likelier under one mixture than under the other, by more than chance."""
    gains = one - other
    return np.asarray(gains.mean(axis=1) > BY_CHANCE * sem(gains, axis=1))


def _mixture(n_groups: int, **parameters: Any) -> Any:
    from sklearn.mixture import GaussianMixture  # here: it is slow to import

    return GaussianMixture(
        n_groups,
        reg_covar=LEAST_VARIANCE,
        max_iter=MOST_STEPS,
        init_params="k-means++",  # "kmeans" depends on the number of threads
        random_state=0,
        **parameters,
    )


def _start(weights: Any, means: Any, precisions: Any) -> dict[str, Any]:
    return {"weights_init": weights, "means_init": means, "precisions_init": precisions}


def _larger_numbers(rows: np.ndarray, n_groups: int) -> list[int]:
    """Larger numbers of Gaussians for which the rows of all folds but one suffice."""
    n_rows, n_features = rows.shape
    if 2 * len(np.unique(rows, axis=0)) < n_rows:
        return []
    needed = max(n_features * (n_features + 1) // 2, LEAST_ROWS)
    most = min((1 - 1 / FOLDS) * n_rows / needed, MOST)
    numbers = {max(int(factor * n_groups), n_groups + 1) for factor in MORE}
    return sorted(number for number in numbers if number <= most)


def _further(mixture: Any) -> Any:
    """Return a mixture that begins where another one is."""
    start = _start(mixture.weights_, mixture.means_, mixture.precisions_)
    return _mixture(mixture.n_components, **start)


def _held_out_likelihood(mixture: Any, rows: np.ndarray) -> np.ndarray:
    """Logarithm of each row's density, by a mixture of the rows of other folds."""
    found = np.empty(len(rows))
    with one_thread():
        for others, own in KFold(FOLDS, shuffle=True, random_state=0).split(rows):
            found[own] = mixture.fit(rows[others]).score_samples(rows[own])
    return found
