"""Measures of codes and of samples, and scorers for searches; NumPy, SciPy and scikit-learn only.

Clusters are compared with classes by :func:`match_clusters` and :func:`cluster_accuracy`, several
categorical codes with each other by :func:`code_information`, codes with known factors by
:func:`mutual_information_gap`, :func:`factor_vae_score`, :func:`dci` and :func:`sap`.

Generated rows are compared with real ones by :func:`two_sample_score`,
:func:`train_on_generated_score`, :func:`prdc` and :func:`frechet_distance`;
:func:`make_sample_scorer` makes scorers of them.
"""

from ._codes import (
    DCI,
    cluster_accuracy,
    cluster_accuracy_scorer,
    code_columns,
    code_information,
    dci,
    factor_vae_score,
    match_clusters,
    mutual_information_gap,
    mutual_information_gap_scorer,
    sap,
)
from ._samples import (
    PRDC,
    frechet_distance,
    make_sample_scorer,
    prdc,
    train_on_generated_score,
    two_sample_score,
)

__all__ = [
    "DCI",
    "PRDC",
    "cluster_accuracy",
    "cluster_accuracy_scorer",
    "code_columns",
    "code_information",
    "dci",
    "factor_vae_score",
    "frechet_distance",
    "make_sample_scorer",
    "match_clusters",
    "mutual_information_gap",
    "mutual_information_gap_scorer",
    "prdc",
    "sap",
    "train_on_generated_score",
    "two_sample_score",
]
