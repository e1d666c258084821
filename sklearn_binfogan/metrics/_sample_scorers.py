"""Scorers for searches: they draw samples of an estimator and compare them with real rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import _safe_indexing, check_random_state

from .._input import has_label
from ._samples import (
    PRDC,
    check_classifier,
    check_features,
    check_folds,
    check_neighbours,
    check_rows,
    check_scoring,
    featured,
    frechet_distance,
    prdc,
    train_on_generated_score,
    two_sample_score,
)


def make_sample_scorer(
    measure: str, *, random_state: Any = 0, **params: Any
) -> Callable[..., float]:
    """Make a scorer of an estimator's samples, for ``scoring=`` of a search.

    The scorer draws as many samples as it gets real rows, with
    ``estimator.sample(len(X), random_state=...)``, and compares the two. Higher is better.

    Parameters
    ----------
    measure : str
        What the scorer returns:

        "two_sample"
            1 - :func:`two_sample_score`, in [0, 1]; 0.5: the classifier can't tell samples from
            real rows.
        "train_on_generated"
            :func:`train_on_generated_score`. The estimator must be a classifier whose ``sample``
            returns rows and their classes; the search needs the classes `y`.
        "precision", "recall", "density", "coverage"
            The field of that name of :func:`prdc`.
        "frechet"
            Minus :func:`frechet_distance`, at most 0.
    random_state : int, RandomState or None, default=0
        Seed for the samples and for the measure. With an int every call uses the same seed, so that
        candidates of a search are compared under the same conditions.
    **params : dict
        Parameters of the measure: `classifier` and `cv` for "two_sample", `classifier` and
        `scoring` for "train_on_generated", `k` and `features` for the fields of `prdc`, `features`
        for "frechet". To score in other processes, `features` must be picklable.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y=None)`` returns a float. It can be copied and pickled. It raises
        TypeError if the estimator has no ``sample``, ValueError if "train_on_generated" gets no
        classes, and whatever the measure raises.

    Raises
    ------
    TypeError
        If the measure does not take one of `params`, or one is of a wrong type.
    ValueError
        If `measure` is unknown, or one of `params` is out of its range.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.neighbors import KernelDensity
    >>> from sklearn_binfogan.metrics import make_sample_scorer
    >>> search = GridSearchCV(
    ...     KernelDensity(), {"bandwidth": [0.1, 5.0]}, scoring=make_sample_scorer("precision")
    ... )
    >>> search.fit(load_iris().data).best_params_
    {'bandwidth': 0.1}
    """
    if measure not in list(MEASURES):  # in a dict, a list would be an error of its own
        raise ValueError(f"measure must be one of {list(MEASURES)}; got {measure!r}.")
    allowed = MEASURES[measure]
    unknown = sorted(params.keys() - set(allowed))
    if unknown:
        raise TypeError(f"{measure!r} takes the parameters {list(allowed)}; got {unknown}.")
    for name in params.keys() & CHECKS.keys():
        CHECKS[name](params[name])
    if "cv" in params:
        params["cv"] = check_folds(params["cv"])  # which reads an iterator only once
    check_random_state(random_state)
    return _SampleScorer(measure, params, random_state)


# The parameters that each measure takes from the user, and what checks them.
MEASURES: dict[str, tuple[str, ...]] = {
    "two_sample": ("classifier", "cv"),
    "train_on_generated": ("classifier", "scoring"),
    "frechet": ("features",),
    **dict.fromkeys(PRDC._fields, ("k", "features")),
}
CHECKS: dict[str, Callable[[Any], Any]] = {
    "classifier": check_classifier,
    "scoring": check_scoring,
    "k": check_neighbours,
    "features": check_features,
}


@dataclass(frozen=True)
class _SampleScorer:
    measure: str
    params: dict[str, Any]
    random_state: Any

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        """Draw samples of a fitted estimator and measure them; higher is better."""
        if not hasattr(estimator, "sample"):
            raise TypeError(
                f"The estimator must have sample(n_samples, random_state=...); got {estimator!r}."
            )
        if self.measure == "train_on_generated":
            X, y = _labelled(estimator, X, y)
        seed, other = check_random_state(self.random_state).randint(2**31 - 1, size=2).tolist()
        drawn = estimator.sample(np.shape(X)[0], random_state=seed)
        rows, labels = drawn if isinstance(drawn, tuple) else (drawn, None)
        if self.measure == "two_sample":
            return 1 - two_sample_score(X, rows, random_state=other, **self.params)
        if self.measure == "train_on_generated":
            return train_on_generated_score(X, y, rows, labels, random_state=other, **self.params)
        if self.measure == "frechet":
            features = self.params.get("features")
            return -frechet_distance(*featured(*check_rows(X, rows), features))
        return float(getattr(prdc(X, rows, **self.params), self.measure))


def _labelled(estimator: Any, X: Any, y: Any) -> tuple[Any, np.ndarray]:
    """Leave out rows that are marked as having no label, by -1 or "-1".

    Labels that stand for clusters are refused: they would be mistaken for classes.
    """
    if not is_classifier(estimator):
        raise ValueError(
            f"'train_on_generated' needs a classifier, whose sample returns classes; got "
            f"{estimator!r}."
        )
    if y is None:
        raise ValueError("'train_on_generated' needs y, the classes of X; got y=None.")
    y = np.asarray(y)
    known = has_label(y, estimator.classes_.tolist())
    if known.all():
        return X, y
    if not known.any():
        raise ValueError("'train_on_generated' needs labels, and y marks every row as without one.")
    return _safe_indexing(X, np.flatnonzero(known)), y[known]
