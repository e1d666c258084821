"""Measures that need labels or known factors; numpy and scipy only."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment


def match_clusters(y: Any, labels: Any) -> tuple[dict[Any, Any], float]:
    """Assign clusters to classes one to one so that most rows agree.

    Parameters
    ----------
    y : array-like of shape (n,)
        Classes.
    labels : array-like of shape (n,)
        Clusters.

    Returns
    -------
    mapping : dict
        Class of each cluster; clusters beyond the number of classes are left out.
    accuracy : float
        Share of rows whose cluster is assigned to their class, in [0, 1].

    Raises
    ------
    ValueError
        If the two differ in length, or are empty.
    """
    y, labels = np.asarray(y), np.asarray(labels)
    if y.shape != labels.shape or y.ndim != 1 or len(y) == 0:
        raise ValueError(
            f"y and labels must be 1-D, non-empty and of one length; got shapes {y.shape} "
            f"and {labels.shape}."
        )
    classes, class_index = np.unique(y, return_inverse=True)
    clusters, cluster_index = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(clusters), len(classes)), dtype=np.int64)
    np.add.at(counts, (cluster_index, class_index), 1)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    mapping = dict(zip(clusters[rows].tolist(), classes[columns].tolist(), strict=True))
    return mapping, float(counts[rows, columns].sum() / len(y))


def cluster_accuracy(y: Any, labels: Any) -> float:
    """Accuracy of clusters under the best one-to-one assignment to classes, in [0, 1].

    Parameters
    ----------
    y, labels : array-like of shape (n,)

    Returns
    -------
    accuracy : float

    Raises
    ------
    ValueError
        If the two differ in length, or are empty.
    """
    return match_clusters(y, labels)[1]
