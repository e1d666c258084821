"""Measures of codes: clusters against classes, codes against each other and against factors.

The measures against known factors take two matrices with a row for each sample: ``factors``, (n,
n_factors), and ``codes``, (n, n_codes). A categorical code is one column with the number of the
category, not a column of posteriors for each category; :func:`code_columns` gives the codes of a
fitted estimator in that form.
"""

import re
from collections.abc import Sequence
from itertools import combinations
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import entropy
from sklearn.metrics import balanced_accuracy_score, mutual_info_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_random_state, check_scalar

from .._input import check_unmasked, missing_labels


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
        If the two differ in length, or are empty, or if one has a missing or masked value.

    Examples
    --------
    >>> from sklearn_binfogan.metrics import match_clusters
    >>> match_clusters(["a", "a", "b", "b"], [1, 1, 0, 1])
    ({0: 'b', 1: 'a'}, 0.75)
    """
    y, labels = check_classes(y, "y"), check_classes(labels, "labels")
    if y.shape != labels.shape or y.ndim != 1 or len(y) == 0:
        raise ValueError(
            f"y and labels must be 1-D, non-empty and of one length; got shapes {y.shape} "
            f"and {labels.shape}."
        )
    counts = contingency_matrix(labels, y)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    clusters, classes = np.unique(labels)[rows], np.unique(y)[columns]
    mapping = dict(zip(clusters.tolist(), classes.tolist(), strict=True))
    return mapping, float(counts[rows, columns].sum() / len(y))


def cluster_accuracy(y: Any, labels: Any) -> float:
    """Accuracy of clusters under the best one-to-one assignment to classes, in [0, 1].

    Parameters
    ----------
    y : array-like of shape (n,)
        Classes.
    labels : array-like of shape (n,)
        Clusters.

    Returns
    -------
    accuracy : float

    Raises
    ------
    ValueError
        If the two differ in length, or are empty, or if one has a missing or masked value.

    Examples
    --------
    >>> from sklearn_binfogan.metrics import cluster_accuracy
    >>> cluster_accuracy(["a", "a", "b", "b"], [1, 1, 0, 1])
    0.75
    """
    return match_clusters(y, labels)[1]


def code_information(labels: Any) -> np.ndarray:
    """Mutual information of each pair of categorical codes, relative to the smaller entropy.

    Parameters
    ----------
    labels : array-like of shape (n, n_codes)
        Categories of the codes, as ``predict`` gives them for several codes.

    Returns
    -------
    information : ndarray of float64, shape (n_codes, n_codes)
        I(c_i; c_j) / min(H(c_i), H(c_j)), in [0, 1] and symmetric, 1 on the diagonal. 0: the two
        codes are independent; 1: they are the same partition, or one is a refinement of the other.
        A code of one category only has 0 with all others.

    Raises
    ------
    ValueError
        If `labels` isn't 2-D, is empty, or isn't finite.

    Notes
    -----
    Estimates from counts are a little too high: by about ``(K - 1) * (L - 1) / (2 * n)`` nats for
    codes of K and L categories (Miller 1955).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_binfogan.metrics import code_information
    >>> code_information([[0, 0], [0, 1], [1, 0], [1, 1]])
    array([[1., 0.],
           [0., 1.]])
    >>> code_information([[0, 3], [0, 3], [1, 2], [1, 2]])
    array([[1., 1.],
           [1., 1.]])
    """
    columns = [_classes(column) for column in check_matrix(labels, "labels").T]
    shared = np.eye(len(columns))
    # Constant columns are left out: scikit-learn gives 1 for two of them.
    varying = [i for i, column in enumerate(columns) if column.any()]
    for i, j in combinations(varying, 2):
        information = normalized_mutual_info_score(columns[i], columns[j], average_method="min")
        shared[i, j] = shared[j, i] = min(information, 1.0)
    return shared


def cluster_accuracy_scorer(estimator: Any, X: Any, y: Any) -> float:
    """Score a fitted clusterer by the accuracy of its clusters, for ``scoring=``.

    Parameters
    ----------
    estimator : object
        Fitted; its ``predict(X)`` gives one cluster for each row.
    X : array-like of shape (n, n_features)
    y : array-like of shape (n,)
        Classes.

    Returns
    -------
    accuracy : float
        ``cluster_accuracy(y, estimator.predict(X))``, in [0, 1].

    Raises
    ------
    ValueError
        If there isn't one class and one cluster for each row.

    Examples
    --------
    >>> from sklearn.cluster import KMeans
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn_binfogan.metrics import cluster_accuracy_scorer
    >>> X, y = load_iris(return_X_y=True)
    >>> search = GridSearchCV(
    ...     KMeans(random_state=0), {"n_clusters": [2, 3]}, scoring=cluster_accuracy_scorer
    ... )
    >>> search.fit(X, y).best_params_
    {'n_clusters': 3}
    """
    return cluster_accuracy(y, estimator.predict(X))


def mutual_information_gap(
    factors: Any,
    codes: Any,
    *,
    categorical_codes: bool | Sequence[int] | Sequence[bool] = False,
    n_bins: int = 20,
) -> float:
    """Measure by the mutual information gap (MIG) whether each factor has a code of its own.

    The mean over the factors v of (I(v; first code) - I(v; second code)) / H(v), where the first
    and the second code are the two that know most of v: section 4 of [1]_.

    Parameters
    ----------
    factors : array-like of shape (n, n_factors)
        Numbers; each distinct number is a value of its own. Bin a continuous factor first, for
        instance with :class:`sklearn.preprocessing.KBinsDiscretizer`.
    codes : array-like of shape (n, n_codes)
        Numbers. A column of at most `n_bins` distinct values is used as it is; any other is cut
        into bins of equal width, as in [2]_. Before that, values are rounded to a millionth of the
        column's range.
    categorical_codes : bool or sequence of int or bool, default=False
        Which codes are numbers of categories, none of which are joined in a bin: all, none, their
        indices or a mask.
    n_bins : int, default=20
        Bins of a continuous code, at least 2.

    Returns
    -------
    gap : float
        In [0, 1]; higher is better. 1: exactly one code determines each factor; 0: for each
        factor a second code knows as much as the first, or no code knows anything.

    Raises
    ------
    TypeError
        If `n_bins` isn't an int.
    ValueError
        If the two aren't 2-D, not empty, finite and of one length; if a factor has one value only;
        or if `categorical_codes` or `n_bins` is out of its range.

    Notes
    -----
    Estimates of information from counts are too high if there are few rows. In the gap between two
    codes of equally many values this bias cancels.

    References
    ----------
    .. [1] R. T. Q. Chen, X. Li, R. Grosse, D. Duvenaud, "Isolating Sources of Disentanglement in
       VAEs", NeurIPS 2018.
    .. [2] F. Locatello et al., "Challenging Common Assumptions in the Unsupervised Learning of
       Disentangled Representations", ICML 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_binfogan.metrics import mutual_information_gap
    >>> factors = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> round(mutual_information_gap(factors, codes=-factors), 3)
    1.0
    >>> round(mutual_information_gap(factors, codes=factors[:, :1]), 3)
    0.5
    """
    factors, codes = _check_pair(factors, codes)
    check_scalar(n_bins, "n_bins", Integral, min_val=2)
    nominal = _mask(categorical_codes, codes.shape[1], "categorical_codes")
    values = [_classes(column) for column in factors.T]
    binned = [
        _classes(column) if is_category else _bin(column, n_bins)
        for column, is_category in zip(codes.T, nominal, strict=True)
    ]
    information = np.array([[mutual_info_score(v, code) for code in binned] for v in values])
    entropies = np.array([mutual_info_score(v, v) for v in values])  # I(v; v) = H(v)
    return _mean_gap(information / entropies[:, None])


def factor_vae_score(
    factors: Any,
    codes: Any,
    *,
    categorical_codes: bool | Sequence[int] | Sequence[bool] = False,
    n_votes: int = 800,
    group_size: int = 64,
    random_state: Any = None,
) -> float:
    """Measure by FactorVAE's score whether the code that varies least names the fixed factor.

    Draw a group of rows that share the value of one factor, and take the code with the lowest
    variance, relative to its variance in all rows. A majority vote over many groups assigns each
    code to a factor. The score is the share of further groups that are assigned to the right
    factor: section 4 of [1]_.

    Parameters
    ----------
    factors : array-like of shape (n, n_factors)
        Numbers; many rows must share each value. Bin a continuous factor first.
    codes : array-like of shape (n, n_codes)
        Numbers. A code with only one value is left out.
    categorical_codes : bool or sequence of int or bool, default=False
        Which codes are numbers of categories: all, none, their indices or a mask. Their variance
        is Gini's, the share of pairs of rows of different categories.
    n_votes : int, default=800
        Number of groups that vote, and number of further groups that are tested; at least 1.
    group_size : int, default=64
        Number of rows of a group, at least 2, drawn without replacement. If fewer rows share a
        value, the group is smaller. A value of a single row gives no group.
    random_state : int, RandomState or None, default=None
        Draws the groups.

    Returns
    -------
    score : float
        In [0, 1]; higher is better. Guessing gives ``1 / n_factors``, and so do codes that all
        have only one value.

    Raises
    ------
    TypeError
        If `n_votes` or `group_size` isn't an int.
    ValueError
        If the two aren't 2-D, not empty, finite and of one length; if a factor has one value only
        or no value that two rows share; or if a parameter is out of its range.

    Notes
    -----
    The paper renders new rows for each group; here groups are drawn from the given rows.

    References
    ----------
    .. [1] H. Kim, A. Mnih, "Disentangling by Factorising", ICML 2018.

    Examples
    --------
    >>> from sklearn_binfogan.datasets import make_shapes
    >>> from sklearn_binfogan.metrics import factor_vae_score
    >>> factors = make_shapes(2000, random_state=0).factors
    >>> factor_vae_score(factors, codes=factors, categorical_codes=[0], random_state=0)
    1.0
    """
    factors, codes = _check_pair(factors, codes)
    nominal = _mask(categorical_codes, codes.shape[1], "categorical_codes")
    check_scalar(n_votes, "n_votes", Integral, min_val=1)
    check_scalar(group_size, "group_size", Integral, min_val=2)
    rng = check_random_state(random_state)
    groups = [_groups(column, index) for index, column in enumerate(factors.T)]
    whole = _spread(codes, nominal)
    # A constant code has the lowest variance, but knows nothing.
    codes, nominal, whole = codes[:, whole > 0], nominal[whole > 0], whole[whole > 0]
    if not len(whole):
        return 1 / len(groups)
    votes = np.zeros((2, len(whole), len(groups)), dtype=np.int64)  # to learn from, to test on
    for table in votes:
        for _ in range(n_votes):
            fixed = rng.randint(len(groups))
            group = groups[fixed][rng.randint(len(groups[fixed]))]
            rows = rng.choice(group, min(group_size, len(group)), replace=False)
            table[np.argmin(_spread(codes[rows], nominal) / whole), fixed] += 1
    learned, judged = votes
    named = learned.argmax(axis=1)
    return float(judged[np.arange(len(named)), named].sum() / n_votes)


class DCI(NamedTuple):
    """Hold what `dci` returns: three numbers in [0, 1], higher is better.

    Examples
    --------
    >>> from sklearn_binfogan.metrics import DCI
    >>> DCI(disentanglement=0.9, completeness=0.8, informativeness=1.0).completeness
    0.8
    """

    disentanglement: float
    completeness: float
    informativeness: float


def dci(
    factors: Any,
    codes: Any,
    *,
    discrete_factors: bool | Sequence[int] | Sequence[bool] = True,
    n_estimators: int = 10,
    test_size: float = 0.25,
    random_state: Any = None,
) -> DCI:
    """Measure disentanglement, completeness and informativeness of codes: section 2 of [1]_.

    A random forest predicts each factor from all codes. The importances of the codes make up a
    matrix R, (n_codes, n_factors).

    Parameters
    ----------
    factors : array-like of shape (n, n_factors)
        Numbers.
    codes : array-like of shape (n, n_codes)
        Numbers. Trees split the numbers of categories like any others.
    discrete_factors : bool or sequence of int or bool, default=True
        Which factors are classes: all, none, their indices or a mask. The others are predicted by
        regression.
    n_estimators : int, default=10
        Trees of a forest, at least 1.
    test_size : float, default=0.25
        Share of the rows, in (0, 1), held out to measure informativeness.
    random_state : int, RandomState or None, default=None
        Draws the held-out rows and grows the forests.

    Returns
    -------
    scores : DCI
        Named tuple of

        disentanglement : float
            Mean over the rows of R of 1 - the entropy to base n_factors: is a code important to
            only one factor? Codes are weighted by their importance. 1 if there is one factor.
        completeness : float
            Mean over the columns of R of 1 - the entropy to base n_codes: is only one code
            important to a factor? Factors are weighted likewise. 1 if there is one code.
        informativeness : float
            Mean over the factors of the accuracy, or R2 cut to [0, 1], on held-out rows. The
            paper gives an error; here higher is better.

        The first two are 0 if no code is important to any factor.

    Raises
    ------
    TypeError
        If `n_estimators` isn't an int, or `test_size` isn't a number.
    ValueError
        If the two aren't 2-D, not empty, finite and of one length; if a factor has one value only;
        if a parameter is out of its range; or if less than two rows are held out and a factor is
        continuous.

    References
    ----------
    .. [1] C. Eastwood, C. K. I. Williams, "A Framework for the Quantitative Evaluation of
       Disentangled Representations", ICLR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_binfogan.metrics import dci
    >>> factors = np.random.default_rng(0).integers(3, size=(300, 2))
    >>> dci(factors, codes=factors, random_state=0)
    DCI(disentanglement=1.0, completeness=1.0, informativeness=1.0)
    """
    # Slow to import.
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    factors, codes = _check_pair(factors, codes)
    discrete = _mask(discrete_factors, factors.shape[1], "discrete_factors")
    check_scalar(n_estimators, "n_estimators", Integral, min_val=1)
    check_scalar(test_size, "test_size", Real, min_val=0, max_val=1, include_boundaries="neither")
    rng = check_random_state(random_state)
    factors = np.column_stack(_targets(factors, discrete))
    split = train_test_split(codes, factors, test_size=test_size, random_state=rng)
    codes_train, codes_test, factors_train, factors_test = split
    if len(codes_test) < 2 and not discrete.all():
        raise ValueError(
            f"test_size={test_size} of {len(codes)} rows holds out one; continuous factors need at "
            "least two."
        )
    importances = np.empty((codes.shape[1], factors.shape[1]))
    scores = np.empty(factors.shape[1])
    for j, is_class in enumerate(discrete):
        forest_class = RandomForestClassifier if is_class else RandomForestRegressor
        # All codes are offered at each split. With a subset, trees would have to use others.
        forest = forest_class(n_estimators, max_features=None, random_state=rng)
        forest.fit(codes_train, factors_train[:, j])
        importances[:, j] = forest.feature_importances_
        scores[j] = forest.score(codes_test, factors_test[:, j])
    return DCI(
        disentanglement=_concentration(importances),
        completeness=_concentration(importances.T),
        informativeness=float(scores.clip(0, 1).mean()),
    )


def sap(
    factors: Any,
    codes: Any,
    *,
    discrete_factors: bool | Sequence[int] | Sequence[bool] = True,
) -> float:
    """Measure by separated attribute predictability (SAP) if one code is best for each factor.

    Each code alone predicts each factor. The score is the mean over the factors of the difference
    between the best and the second best code: section 3 of [1]_. K - 1 thresholds on the code
    predict a discrete factor of K values, scored by balanced accuracy; a straight line predicts a
    continuous factor, scored by R2.

    Parameters
    ----------
    factors : array-like of shape (n, n_factors)
        Numbers.
    codes : array-like of shape (n, n_codes)
        Numbers. Thresholds and lines treat the numbers of categories like any others.
    discrete_factors : bool or sequence of int or bool, default=True
        Which factors are classes: all, none, their indices or a mask.

    Returns
    -------
    gap : float
        In [0, 1]; higher is better. Guessing a discrete factor of K values scores 1 / K, so
        perfect codes reach 1 - 1 / K, or 1 if there is only one code. On a continuous factor they
        reach 1.

    Raises
    ------
    ValueError
        If the two aren't 2-D, not empty, finite and of one length; if a factor has one value only;
        or if `discrete_factors` names no columns of `factors`.

    References
    ----------
    .. [1] A. Kumar, P. Sattigeri, A. Balakrishnan, "Variational Inference of Disentangled Latent
       Concepts from Unlabeled Observations", ICLR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_binfogan.metrics import sap
    >>> factors = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> sap(factors, codes=-factors)
    0.5
    >>> round(sap(factors, codes=-factors, discrete_factors=False), 3)
    1.0
    """
    factors, codes = _check_pair(factors, codes)
    discrete = _mask(discrete_factors, factors.shape[1], "discrete_factors")
    scores = np.array(
        [
            [(_threshold_score if is_class else _line_score)(v, code) for code in codes.T]
            for v, is_class in zip(_targets(factors, discrete), discrete, strict=True)
        ]
    )
    return _mean_gap(scores)


def code_columns(estimator: Any, X: Any) -> np.ndarray:
    """Encode rows with one column for each code, for the measures against factors.

    Parameters
    ----------
    estimator : BInfoGANTransformer, or another transformer
        Fitted; or a Pipeline that ends with one.
    X : array-like of shape (n, n_features)

    Returns
    -------
    codes : ndarray of shape (n, n_codes)
        The number of the category of each categorical code, then the columns of
        ``transform(X)`` without the posteriors (``cluster3``, ``cluster0_3``, after a FeatureUnion
        ``gan__cluster3``). All columns of ``transform(X)`` if none is a posterior.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from sklearn_binfogan.metrics import code_columns
    >>> X = load_iris().data
    >>> code_columns(PCA(2).fit(X), X).shape
    (150, 2)
    """
    return np.column_stack(_categories_and_others(estimator, X))


def _categories_and_others(estimator: Any, X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the categories, (n, n_categorical_codes), and other codes, (n, n_others)."""
    codes = np.asarray(estimator.transform(X))
    # Columns by what precedes the number of a category: a FeatureUnion adds the name of its part.
    named: dict[tuple[str | None, ...], list[int]] = {}
    for column, name in enumerate(estimator.get_feature_names_out()):
        match = re.fullmatch(r"(.*__)?cluster(\d+_)?\d+", name)
        if match:
            named.setdefault(match.groups(), []).append(column)
    # Columns of another transformer may have such names, too.
    posteriors = [own for own in named.values() if _are_probabilities(codes[:, own])]
    if not posteriors:
        return codes[:, :0], codes
    categories = np.column_stack([codes[:, own].argmax(axis=1) for own in posteriors])
    return categories, np.delete(codes, np.concatenate(posteriors), axis=1)


def _are_probabilities(columns: np.ndarray) -> bool:
    """Whether each row is a distribution."""
    return bool((columns >= 0).all() and np.allclose(columns.sum(axis=1), 1, atol=1e-3))


def mutual_information_gap_scorer(estimator: Any, X: Any, y: Any) -> float:
    """Score the codes of a fitted estimator against known factors, for ``scoring=``.

    Parameters
    ----------
    estimator : object
        As :func:`code_columns` takes it.
    X : array-like of shape (n, n_features)
    y : array-like of shape (n, n_factors)
        Factors.

    Returns
    -------
    gap : float
        ``mutual_information_gap(y, code_columns(estimator, X))``, in [0, 1], where each category
        is a bin.

    Raises
    ------
    ValueError
        As :func:`mutual_information_gap`.

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn_binfogan.datasets import make_shapes
    >>> from sklearn_binfogan.metrics import mutual_information_gap_scorer
    >>> shapes = make_shapes(300, random_state=0)
    >>> cross_val_score(
    ...     PCA(5), shapes.X, shapes.factors, scoring=mutual_information_gap_scorer, cv=3
    ... ).shape
    (3,)
    """
    parts = _categories_and_others(estimator, X)
    numbers = range(parts[0].shape[1])
    return mutual_information_gap(y, np.column_stack(parts), categorical_codes=numbers)


def _check_pair(factors: Any, codes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return both as matrices of finite numbers, codes in [0, 1]; refuse constant factors."""
    factors, codes = check_matrix(factors, "factors"), check_matrix(codes, "codes")
    if len(factors) != len(codes):
        raise ValueError(
            f"factors and codes must have the same number of rows; got shapes "
            f"{factors.shape} and {codes.shape}."
        )
    constant = np.flatnonzero((factors == factors[0]).all(axis=0))
    if len(constant):
        raise ValueError(
            f"Column {constant[0]} of factors has only the value {factors[0, constant[0]]}; a "
            f"factor must have at least two values."
        )
    return factors, _in_unit_range(codes)


def _in_unit_range(columns: np.ndarray) -> np.ndarray:
    """Scale columns to [0, 1].

    There no variance under- or overflows, and trees, which use float32, see every value.
    scikit-learn's `minmax_scale` would take a range of 1e-200 for none.
    """
    columns = columns.astype(np.float64)
    spread = np.ptp(columns, axis=0)
    return (columns - columns.min(axis=0)) / np.where(spread > 0, spread, 1)


def _targets(factors: np.ndarray, discrete: np.ndarray) -> list[np.ndarray]:
    """Return what is to be predicted: each factor's classes, or its values in [0, 1]."""
    return [
        _classes(factor) if is_class else _in_unit_range(factor)
        for factor, is_class in zip(factors.T, discrete, strict=True)
    ]


def check_matrix(values: Any, name: str) -> np.ndarray:
    """Return a matrix of finite numbers; errors name the argument."""
    shape = np.shape(values)
    if len(shape) != 2 or 0 in shape:
        raise ValueError(
            f"{name} must be 2-D and not empty, with a row for each sample; got shape {shape}."
        )
    check_unmasked(values, name)
    return check_array(values, input_name=name)


def check_classes(values: Any, name: str) -> np.ndarray:
    """Return classes of rows as an array; refuse missing and masked ones."""
    missing = missing_labels(values)
    if missing is not None:
        rows, value = missing
        raise ValueError(f"{name} must hold a class for each row; got {value!r} in row {rows[0]}.")
    return check_array(values, ensure_2d=False, dtype=None, ensure_min_samples=0, input_name=name)


def _mask(which: Any, n_columns: int, name: str) -> np.ndarray:
    """Return a mask of columns from a bool for all, a mask or indices."""
    if isinstance(which, bool | np.bool_):
        return np.full(n_columns, which)
    mask, columns = np.zeros(n_columns, dtype=bool), np.asarray(which)
    is_mask = columns.dtype == bool and columns.shape == mask.shape
    is_index = columns.ndim == 1 and np.isin(columns, np.arange(n_columns)).all()
    if not is_mask and (not is_index or columns.dtype == bool):
        raise ValueError(
            f"{name} must be a bool, {n_columns} bools or indices from 0 to {n_columns - 1}; got "
            f"{which!r}."
        )
    mask[columns if is_mask else columns.astype(np.intp)] = True
    return mask


def _classes(factor: np.ndarray) -> np.ndarray:
    """Return the number of each value; scikit-learn refuses fractions as classes."""
    return np.unique(factor, return_inverse=True)[1]


def _bin(code: np.ndarray, n_bins: int) -> np.ndarray:
    """Return the bin of each value; up to `n_bins` distinct values get a bin each."""
    # Rounded, so that values that differ by rounding errors fall on one side of an edge.
    code = code.round(6)
    distinct, index = np.unique(code, return_inverse=True)
    if len(distinct) <= n_bins:
        return index
    return np.digitize(code, np.histogram_bin_edges(code, n_bins)[1:-1])


def _mean_gap(scores: np.ndarray) -> float:
    """Mean over the rows of the highest minus the second highest; a missing second counts as 0."""
    ordered = np.sort(np.column_stack([np.zeros(len(scores)), scores.clip(0, 1)]), axis=1)
    return float((ordered[:, -1] - ordered[:, -2]).mean())


def _groups(factor: np.ndarray, index: int) -> list[np.ndarray]:
    """Return, for each value that at least two rows share, the indices of these rows."""
    order = np.argsort(factor, kind="stable")
    starts = np.flatnonzero(np.diff(factor[order])) + 1
    groups = [rows for rows in np.split(order, starts) if len(rows) > 1]
    if not groups:
        raise ValueError(
            f"Column {index} of factors has {len(factor)} distinct values in {len(factor)} rows; "
            f"at least two rows must share a value. Bin a continuous factor first."
        )
    return groups


def _spread(codes: np.ndarray, nominal: np.ndarray) -> np.ndarray:
    """Return each code's unbiased variance; for categories the share of unlike pairs."""
    spread = codes.var(axis=0, ddof=1)
    n = len(codes)
    for column in np.flatnonzero(nominal):
        counts = np.unique(codes[:, column], return_counts=True)[1]
        spread[column] = 1 - (counts * (counts - 1)).sum() / (n * (n - 1))
    return spread


def _concentration(importances: np.ndarray) -> float:
    """Mean of 1 - the entropy of each row, to the base of its length, weighted by its sum."""
    totals = importances.sum(axis=1)
    if not totals.any():
        return 0.0
    if importances.shape[1] == 1:
        return 1.0
    used = totals > 0
    each = 1 - entropy(importances[used], base=importances.shape[1], axis=1)
    return float(np.average(each, weights=totals[used]).clip(0, 1))


def _threshold_score(factor: np.ndarray, code: np.ndarray) -> float:
    """Balanced accuracy of a tree on one code, with a leaf for each value of the factor."""
    from sklearn.tree import DecisionTreeClassifier  # slow to import

    classes = _classes(factor)
    tree = DecisionTreeClassifier(
        max_leaf_nodes=classes.max() + 1, class_weight="balanced", random_state=0
    )
    predicted = tree.fit(code[:, None], classes).predict(code[:, None])
    return float(balanced_accuracy_score(classes, predicted))


def _line_score(factor: np.ndarray, code: np.ndarray) -> float:
    """R2 of a straight line: the squared correlation; 0 for a code with one value only."""
    if np.ptp(code) == 0:
        return 0.0
    return float(np.corrcoef(factor, code)[0, 1] ** 2)
