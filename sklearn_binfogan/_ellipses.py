"""Partitions of tables by Gaussian mixtures, and whether their groups are all that there is."""

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
LEAST_ROWS = 10  # of each Gaussian
# Rows for each number of a covariance: to fit mixtures, and to know that they are all there is.
TO_FIT, TO_KNOW = 0.5, 1.0
BY_CHANCE = 2.0  # standard errors


class Ellipses(NamedTuple):
    """A fitted mixture, its labels of all rows, and held-out log-densities of the compared rows."""

    mixture: Any
    labels: np.ndarray
    log_densities: np.ndarray


def ellipses(rows: np.ndarray, labels: np.ndarray, n_groups: int) -> list[Ellipses]:
    """Fit Gaussian mixtures: of ellipses, or of round groups if these fit as well.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        Columns have a variance of about 1.
    labels : ndarray of shape (n,)
        The partition, such as that of k-means, from which one of the fits begins.
    n_groups : int

    Returns
    -------
    found : list of Ellipses
        One or two by full covariances, from a partition and from random starts. If held-out rows
        are no likelier under them, one by Gaussians that are round in standardised columns, which
        need fewer rows. If they are no likelier under these than under round Gaussians of one size,
        that one has the labels of the partition, which is right then if it is that of k-means.
        Empty if there are too few distinct rows to compare mixtures.
    """
    some, known = subsample(rows, MOST_COMPARED), subsample(labels, MOST_COMPARED)
    groups = [some[known == group] for group in range(n_groups)]
    if not _larger_numbers(some, n_groups, TO_FIT) or not all(map(len, groups)):
        return []
    smallest = LEAST_VARIANCE * np.eye(rows.shape[1])
    covariances = [np.cov(group.T, bias=True) + smallest for group in groups]
    weights, means = [len(group) / len(some) for group in groups], [g.mean(axis=0) for g in groups]
    starts = [
        _mixture(n_groups, **_start(weights, means, np.linalg.inv(covariances))),
        _mixture(n_groups, n_init=N_STARTS),
        _mixture(n_groups, n_init=N_STARTS, covariance_type="spherical"),
    ]
    with one_thread():
        fitted = [start.fit(some) for start in starts]
        found = [Ellipses(m, m.predict(rows), _held_out(_further(m), some)) for m in fitted]
    *full, round_ = found
    likelier = [m for m in full if _is_likelier(m.log_densities, round_.log_densities)]
    if likelier:
        return likelier
    equal, variance = np.full(n_groups, 1 / n_groups), np.trace(np.mean(covariances, axis=0))
    start = _start(equal, means, np.full(n_groups, rows.shape[1] / variance))
    mixture = _mixture(n_groups, covariance_type="spherical", **start)
    one_size = _held_out(mixture, some, of_one_size=True)
    is_free = _is_likelier(round_.log_densities, one_size)
    return [round_ if is_free else round_._replace(labels=labels)]


def all_there_is(found: list[Ellipses], rows: np.ndarray) -> list[Ellipses]:
    """Leave out mixtures of one kind whose Gaussians are not all that there is.

    They are if held-out rows are likelier than under a single Gaussian, and no likelier, but for
    chance, under mixtures of more Gaussians. A group of any other shape needs several. Without
    enough rows for larger mixtures nobody knows, and none is left.
    """
    some = subsample(rows, MOST_COMPARED)
    n_groups, kind = found[0].mixture.n_components, found[0].mixture.covariance_type
    numbers = _larger_numbers(some, n_groups, TO_KNOW)
    if not numbers:
        return []
    one = _held_out(_mixture(1, covariance_type=kind), some)
    found = [m for m in found if _is_likelier(m.log_densities, one)]
    for number in numbers:
        if not found:
            break
        larger = _held_out(_mixture(number, covariance_type=kind, **FEW_STARTS), some)
        found = [m for m in found if not _is_likelier(larger, m.log_densities)]
    return found


def _is_likelier(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether rows are likelier under one mixture than under the other, by more than chance."""
    gains = one - other
    return bool(gains.mean() > BY_CHANCE * sem(gains))


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


def _larger_numbers(rows: np.ndarray, n_groups: int, rows_each: float) -> list[int]:
    """Larger numbers of Gaussians for which the rows of all folds but one suffice.

    There must be `rows_each` rows for each number of a covariance.
    """
    n_rows, n_features = rows.shape
    if 2 * len(np.unique(rows, axis=0)) < n_rows:
        return []
    needed = max(rows_each * n_features * (n_features + 1) / 2, LEAST_ROWS)
    most = min((1 - 1 / FOLDS) * n_rows / needed, MOST)
    numbers = {max(int(factor * n_groups), n_groups + 1) for factor in MORE}
    return sorted(number for number in numbers if number <= most)


def _further(mixture: Any) -> Any:
    """Return a mixture that begins where another one is."""
    start = _start(mixture.weights_, mixture.means_, mixture.precisions_)
    return _mixture(mixture.n_components, covariance_type=mixture.covariance_type, **start)


def _held_out(mixture: Any, rows: np.ndarray, of_one_size: bool = False) -> np.ndarray:
    """Logarithm of each row's density, by a mixture of the rows of other folds.

    If they are to be of one size, round Gaussians get their mean variance and equal weights.
    """
    found = np.empty(len(rows))
    with one_thread():
        for others, own in KFold(FOLDS, shuffle=True, random_state=0).split(rows):
            mixture.fit(rows[others])
            if of_one_size:
                variance = mixture.weights_ @ mixture.covariances_
                mixture.weights_ = np.full_like(mixture.weights_, 1 / mixture.n_components)
                mixture.precisions_cholesky_ = np.full_like(mixture.weights_, variance**-0.5)
            found[own] = mixture.score_samples(rows[own])
    return found
