"""Measures of samples, which tell how close generated rows come to real ones, and their scorer."""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import qr, svdvals
from sklearn.base import clone, is_classifier
from sklearn.metrics import get_scorer, pairwise_distances_chunked
from sklearn.model_selection import StratifiedKFold, check_cv, cross_val_score
from sklearn.utils import _safe_indexing, check_random_state, check_scalar, resample, shuffle
from sklearn.utils.validation import _get_feature_names

from .._input import has_label
from ._codes import check_classes, check_matrix

# Distances between equal rows come out up to about 1e-8 of the rows' norm, instead of 0.
ROUNDING = 1e-7
MOST_SQUARED = 1e150  # sums of squares of larger numbers may overflow


def two_sample_score(
    X_real: Any,
    X_generated: Any,
    classifier: Any = None,
    *,
    cv: Any = 5,
    random_state: Any = None,
) -> float:
    """Measure how often a classifier tells generated rows from real ones.

    The classifier two-sample test of [1]_: the classifier learns on a part of the rows which ones
    are generated, and is tested on the rest. The larger set is reduced at random to the size of the
    smaller one.

    Parameters
    ----------
    X_real : array-like of shape (n_real, n_features)
        Preferably rows that the generator was not trained on.
    X_generated : array-like of shape (n_generated, n_features)
    classifier : object, default=None
        A scikit-learn classifier; it is cloned, not changed. None: a random forest, to
        which each value is its rank in its column of both sets together.
    cv : int or splitter, default=5
        Number of shuffled, stratified folds, at least 2, or a splitter of scikit-learn.
    random_state : int, RandomState or None, default=None
        Seed for drawing rows and folds, and for the default forest.

    Returns
    -------
    accuracy : float
        Mean over the folds of the balanced accuracy on held-out rows, in [0, 1]; lower is better
        down to 0.5. 0.5: the classifier can't tell the two apart; 1: it always can. Well below
        0.5, generated rows are copies of rows of `X_real`: the twin of a held-out row, which the
        classifier has seen, has the other label.

    Raises
    ------
    TypeError
        If `classifier` has no ``fit`` or ``predict``.
    ValueError
        If the two aren't 2-D, not empty, finite and of the same columns; if one has fewer rows than
        there are folds; or if `cv` is an int below 2.

    Notes
    -----
    If one of the two is float32, both are compared in float32. Otherwise rounding alone could
    reveal which rows are generated.

    References
    ----------
    .. [1] D. Lopez-Paz, M. Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_binfogan.metrics import two_sample_score
    >>> real, generated = np.random.default_rng(0).normal(size=(2, 100, 3))
    >>> two_sample_score(real, generated + 9, LogisticRegression(), random_state=0)
    1.0
    """
    real, generated = check_rows(X_real, X_generated)
    rng = check_random_state(random_state)
    n = min(len(real), len(generated))
    cv = check_folds(cv)
    if isinstance(cv, Integral):
        if n < int(cv):
            raise ValueError(
                f"cv={cv} folds need at least {cv} rows of each kind; got {len(real)} real and "
                f"{len(generated)} generated rows."
            )
        cv = StratifiedKFold(cv, shuffle=True, random_state=rng)
    classifier, real, generated = _prepared(classifier, real, generated, rng)
    equal = [resample(X, replace=False, n_samples=n, random_state=rng) for X in (real, generated)]
    # Mixed, for splitters that don't shuffle.
    rows, is_generated = shuffle(np.vstack(equal), np.repeat([0, 1], n), random_state=rng)
    scores = cross_val_score(
        classifier, rows, is_generated, cv=cv, scoring="balanced_accuracy", error_score="raise"
    )
    return float(scores.mean())


def train_on_generated_score(
    X_real: Any,
    y_real: Any,
    X_generated: Any,
    y_generated: Any,
    classifier: Any = None,
    *,
    scoring: Any = "accuracy",
    random_state: Any = None,
) -> float:
    """Train a classifier on generated rows and test it on real ones (TSTR) [1]_.

    Parameters
    ----------
    X_real : array-like of shape (n_real, n_features)
        Preferably rows that the generator was not trained on.
    y_real : array-like of shape (n_real,)
        Their classes.
    X_generated : array-like of shape (n_generated, n_features)
    y_generated : array-like of shape (n_generated,)
        The classes that they were generated for, named as in `y_real`.
    classifier : object, default=None
        A scikit-learn classifier; it is cloned, not changed. None: a random forest, to
        which each value is its rank in its column of both sets together.
    scoring : str or callable, default="accuracy"
        What the test measures: the name of a scorer of scikit-learn, or a scorer.
    random_state : int, RandomState or None, default=None
        Seed for the default forest.

    Returns
    -------
    score : float
        By default the accuracy, in [0, 1]; higher is better. Compare it with that of the same
        classifier trained on real rows.

    Raises
    ------
    TypeError
        If `classifier` has no ``fit`` or ``predict``.
    ValueError
        If the rows aren't 2-D, not empty, finite and of the same columns; if there isn't one class
        for each row; if the two sets share no class; or if scikit-learn has no such scorer.

    Notes
    -----
    If one of the two is float32, both are used in float32.

    References
    ----------
    .. [1] C. Esteban, S. L. Hyland, G. Rätsch, "Real-valued (Medical) Time Series Generation with
       Recurrent Conditional GANs", arXiv:1706.02633, 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_binfogan.metrics import train_on_generated_score
    >>> X, y = load_iris(return_X_y=True)
    >>> generated = X.round()  # stands for what a model has generated
    >>> classifier = LogisticRegression(max_iter=1000)
    >>> train_on_generated_score(X, y, generated, y, classifier) > 0.9
    True
    """
    real, generated = check_rows(X_real, X_generated)
    y_real = _check_classes(y_real, real, "real")
    y_generated = _check_classes(y_generated, generated, "generated")
    if set(y_generated.tolist()).isdisjoint(y_real.tolist()):
        raise ValueError(
            f"y_real and y_generated share no class; got {np.unique(y_real).tolist()} and "
            f"{np.unique(y_generated).tolist()}."
        )
    scorer = check_scoring(scoring)
    rng = check_random_state(random_state)
    classifier, real, generated = _prepared(classifier, real, generated, rng)
    return float(scorer(classifier.fit(generated, y_generated), real, y_real))


class PRDC(NamedTuple):
    """Hold what `prdc` returns: four numbers, higher is better.

    Examples
    --------
    >>> from sklearn_binfogan.metrics import PRDC
    >>> PRDC(precision=0.9, recall=0.7, density=1.1, coverage=0.8).coverage
    0.8
    """

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(
    X_real: Any,
    X_generated: Any,
    *,
    k: int = 5,
    features: Callable[[np.ndarray], Any] | None = None,
) -> PRDC:
    """Precision, recall, density and coverage of generated rows, from nearest neighbours.

    Each row is the centre of a ball that reaches to its `k`-th nearest neighbour in the same set.
    A generated row within the ball of a real row looks real.

    Parameters
    ----------
    X_real : array-like of shape (n_real, n_features)
        Rows, or features computed from them.
    X_generated : array-like of shape (n_generated, n_features)
        Use as many as there are real ones: coverage grows with their number.
    k : int, default=5
        Number of neighbours, at least 1.
    features : callable, default=None
        Turns rows, (n, n_features), into features, (n, n_out), between which distances are
        Euclidean, for instance the ``transform`` of a fitted transformer. None: the rows
        themselves; columns of a table should then have the same scale.

    Returns
    -------
    scores : PRDC
        Named tuple of

        precision : float
            Share of generated rows in the ball of at least one real row, in [0, 1] [1]_.
        recall : float
            Share of real rows in the ball of at least one generated row, in [0, 1] [1]_.
        density : float
            Number of balls of real rows that a generated row lies in, on average, divided by `k`;
            at least 0 [2]_. About 1 for rows of the same distribution; higher if generated rows
            crowd into dense regions.
        coverage : float
            Share of real rows whose ball holds at least one generated row, in [0, 1] [2]_.

    Raises
    ------
    TypeError
        If `k` isn't an int, or `features` can't be called.
    ValueError
        If rows or features aren't 2-D, not empty, finite and of the same columns; if `features`
        doesn't give one row for each row; if `k` is less than 1; or if one set has fewer than
        ``k + 1`` rows.

    Notes
    -----
    A ball includes its surface, so that a copy of a row that occurs more than `k` times lies in
    the balls of its twins, whose radius is 0.

    References
    ----------
    .. [1] T. Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative
       Models", NeurIPS 2019.
    .. [2] M. F. Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models",
       ICML 2020.

    Examples
    --------
    >>> from sklearn_binfogan.metrics import prdc
    >>> real = [[0.0], [1.0], [2.0], [3.0]]
    >>> prdc(real, [[0.1], [0.9], [50.0], [99.0]], k=1)
    PRDC(precision=0.5, recall=1.0, density=1.0, coverage=0.5)
    """
    check_neighbours(k)
    real, generated = featured(*check_rows(X_real, X_generated), features)
    if min(len(real), len(generated)) <= k:
        raise ValueError(
            f"k={k} needs at least {k + 1} rows of each kind; got {len(real)} real and "
            f"{len(generated)} generated rows."
        )
    # Less rounding far from the origin, wherever a few rows are.
    centre = np.median(real, axis=0)
    real, generated = real - centre, generated - centre
    # Squares of distances neither over- nor underflow; by a power of 2, so no digit is lost.
    _, exponent = np.frexp(max(np.abs(real).max(), np.abs(generated).max()))
    real, generated = np.ldexp(real, -exponent), np.ldexp(generated, -exponent)
    radii_real, radii_generated = _radii(real, k), _radii(generated, k)
    n_balls = np.zeros(len(generated), dtype=np.int64)
    recalled: list[bool] = []
    covered: list[bool] = []
    for distances in pairwise_distances_chunked(real, generated):
        start = len(recalled)
        inside = distances <= radii_real[start : start + len(distances), None]
        n_balls += inside.sum(axis=0)
        covered.extend(inside.any(axis=1))
        recalled.extend((distances <= radii_generated).any(axis=1))
    return PRDC(
        precision=float((n_balls > 0).mean()),
        recall=float(np.mean(recalled)),
        density=float(n_balls.mean() / k),
        coverage=float(np.mean(covered)),
    )


def frechet_distance(features_real: Any, features_generated: Any) -> float:
    """Measure the squared Fréchet distance between two Gaussians fitted to features [1]_.

    ``||m - m'||^2 + trace(C + C' - 2 (C C')^(1/2))`` with the means m, m' and covariances C, C'
    of the two sets. With the features of the Inception network it is known as FID.

    Parameters
    ----------
    features_real : array-like of shape (n_real, n_features)
        Features of real rows, from any source: a trained network, the rows themselves.
    features_generated : array-like of shape (n_generated, n_features)
        Features of generated rows, from the same source.

    Returns
    -------
    distance : float
        At least 0, in squared units of the features; lower is better. 0: means and covariances
        agree.

    Raises
    ------
    ValueError
        If the two aren't 2-D, finite and of the same columns, if one has fewer than two rows, or if
        features are so large that their squares may overflow.

    Notes
    -----
    Few rows make the distance too large, so compare only distances from equal numbers of rows;
    [1]_ takes at least 10 000. There may be fewer rows than features, and covariances may be
    singular: the trace of ``(C C')^(1/2)`` is computed as the sum of the singular values of
    ``A A'^T``, where ``C = A^T A`` and ``C' = A'^T A'``. No matrix root is taken.

    References
    ----------
    .. [1] M. Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
       Equilibrium", NeurIPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_binfogan.metrics import frechet_distance
    >>> features = np.random.default_rng(0).normal(size=(100, 3))
    >>> round(frechet_distance(features, features + 2), 3)
    12.0
    """
    real, generated = check_rows(features_real, features_generated, "features_")
    if min(len(real), len(generated)) < 2:
        raise ValueError(
            f"A covariance needs at least two rows; got features of {len(real)} real and "
            f"{len(generated)} generated rows."
        )
    real, generated = real.astype(np.float64), generated.astype(np.float64)
    largest = max(np.abs(real).max(), np.abs(generated).max())
    if largest > MOST_SQUARED:
        raise ValueError(
            f"Squares of features may overflow beyond {MOST_SQUARED:g}; got {largest:g}."
        )
    shift = real.mean(axis=0) - generated.mean(axis=0)
    root, other = _covariance_root(real), _covariance_root(generated)
    traces = (root**2).sum() + (other**2).sum()
    return max(float(shift @ shift + traces - 2 * svdvals(root @ other.T).sum()), 0.0)


def _covariance_root(features: np.ndarray) -> np.ndarray:
    """Return A with A^T A the covariance, of at most as many rows as there are features."""
    (root,) = qr(features - features.mean(axis=0), mode="r")
    return root[: features.shape[1]] / np.sqrt(len(features) - 1)


def _radii(features: np.ndarray, k: int) -> np.ndarray:
    """Return the distance from each row to its k-th nearest neighbour, rounded up."""
    from sklearn.neighbors import NearestNeighbors  # slow to import

    distances, _ = NearestNeighbors(n_neighbors=k).fit(features).kneighbors()
    return distances[:, -1] + ROUNDING * np.linalg.norm(features, axis=1)


def check_rows(X_real: Any, X_generated: Any, prefix: str = "X_") -> tuple[np.ndarray, np.ndarray]:
    """Return matrices of the same columns; both float32 if one is, since rounding would reveal."""
    real = check_matrix(X_real, f"{prefix}real")
    generated = check_matrix(X_generated, f"{prefix}generated")
    if real.shape[1] != generated.shape[1]:
        raise ValueError(
            f"{prefix}real and {prefix}generated must have the same columns; got shapes "
            f"{real.shape} and {generated.shape}."
        )
    names, others = map(_names, (X_real, X_generated))
    if names is not None and others is not None and (names != others).any():
        column = np.flatnonzero(names != others)[0]
        raise ValueError(
            f"{prefix}real and {prefix}generated must have the same columns in the same order; "
            f"column {column} is {names[column]!r} in one and {others[column]!r} in the other."
        )
    if np.float32 in (real.dtype, generated.dtype):
        real, generated = real.astype(np.float32), generated.astype(np.float32)
    return real, generated


def _names(X: Any) -> np.ndarray | None:
    """Names of columns; None unless all are strings."""
    try:
        return _get_feature_names(X)
    except TypeError:
        return None


def _check_classes(y: Any, X: np.ndarray, kind: str) -> np.ndarray:
    y = check_classes(y, f"y_{kind}")
    if y.shape != (len(X),):
        raise ValueError(
            f"y_{kind} must hold one class for each row of X_{kind}; got shapes {y.shape} and "
            f"{X.shape}."
        )
    return y


def check_neighbours(k: Any) -> None:
    """Raise TypeError or ValueError unless `k` is an int of at least 1."""
    check_scalar(k, "k", Integral, min_val=1)


def check_folds(cv: Any) -> Any:
    """Return an int or a splitter; raise ValueError unless `cv` is one."""
    return check_scalar(cv, "cv", Integral, min_val=2) if isinstance(cv, Integral) else check_cv(cv)


def check_features(features: Any) -> None:
    """Raise TypeError unless `features` is None or can be called."""
    if features is not None and not callable(features):
        raise TypeError(f"features must be None or a function of rows; got {features!r}.")


def check_scoring(scoring: Any) -> Callable[..., float]:
    """Return a scorer by its name; raise ValueError if there is none."""
    scorer: Any = get_scorer(scoring)
    if not callable(scorer):
        raise ValueError(f"scoring must be a name or a scorer of scikit-learn; got {scoring!r}.")
    return scorer


def check_classifier(classifier: Any) -> None:
    """Raise TypeError unless it is None or has the methods of a classifier."""
    if classifier is None or (hasattr(classifier, "fit") and hasattr(classifier, "predict")):
        return
    raise TypeError(
        f"classifier must have fit and predict, like those of scikit-learn; got {classifier!r}."
    )


def _prepared(
    classifier: Any, real: np.ndarray, generated: np.ndarray, rng: np.random.RandomState
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return an unfitted copy of a classifier, and the rows that it gets.

    None stands for a random forest, which gets the ranks of values in both sets together: trees use
    the order of values alone, but read them in float32, which does not tell close ones from each
    other, nor very large ones from infinity.
    """
    check_classifier(classifier)
    if classifier is not None:
        return clone(classifier), real, generated
    # Slow to import.
    from scipy.stats import rankdata
    from sklearn.ensemble import RandomForestClassifier

    ranks = rankdata(np.vstack([real, generated]), method="dense", axis=0)
    return RandomForestClassifier(random_state=rng), ranks[: len(real)], ranks[len(real) :]


def featured(
    real: np.ndarray, generated: np.ndarray, features: Callable[[np.ndarray], Any] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of both in float64."""
    check_features(features)
    if features is not None:
        n_rows = len(real), len(generated)
        real, generated = check_rows(features(real), features(generated), "features of X_")
        if (len(real), len(generated)) != n_rows:
            raise ValueError(
                f"features must give one row for each row; got {len(real)} and {len(generated)} "
                f"rows for {n_rows[0]} real and {n_rows[1]} generated ones."
            )
    return real.astype(np.float64), generated.astype(np.float64)


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
