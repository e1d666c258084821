"""Measures against known factors: perfect, shuffled and partial codes made by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer
from sklearn_binfogan.metrics import (
    DCI,
    cluster_accuracy,
    cluster_accuracy_scorer,
    code_columns,
    dci,
    factor_vae_score,
    match_clusters,
    mutual_information_gap,
    mutual_information_gap_scorer,
    sap,
)

# Every combination of the values equally often: the factors are exactly independent.
SIZES = (2, 4, 5)
FACTORS = np.array(list(itertools.product(*map(range, SIZES))) * 30)
N_ROWS, N_FACTORS = FACTORS.shape


def rng(seed=0):
    return np.random.default_rng(seed)


def shuffled(factors):
    return rng().permuted(factors, axis=0)


def rotated(factors):
    """Mix the factors, brought to one variance, so that every code holds all of them."""
    rotation = np.linalg.qr(rng(1).normal(size=(N_FACTORS, N_FACTORS)))[0]
    return StandardScaler().fit_transform(factors) @ rotation


PERFECT = {
    "the factors": FACTORS,
    "in another order": FACTORS[:, ::-1],
    "scaled, turned and shifted": FACTORS * [1000.0, -0.001, -1] + 5,
    # Levels on the edges of bins, where rounding tells of another factor.
    "with rounding": FACTORS - FACTORS.max(axis=0) / 2 + 1e-13 * FACTORS[:, ::-1],
    "with slight noise": FACTORS + rng().uniform(-0.01, 0.01, FACTORS.shape),
    "with a constant code": np.column_stack([np.ones(N_ROWS), FACTORS]),
    "a data frame": pd.DataFrame(FACTORS),
}
perfect = pytest.mark.parametrize("codes", PERFECT.values(), ids=PERFECT)


# -- mutual information gap ------------------------------------------------------------------------


@perfect
def test_mig_of_perfect_codes(codes):
    assert mutual_information_gap(FACTORS, codes) == pytest.approx(1, abs=0.01)


def test_mig_of_useless_codes():
    assert 0 <= mutual_information_gap(FACTORS, shuffled(FACTORS)) < 0.01
    assert mutual_information_gap(FACTORS, np.ones((N_ROWS, 2))) == 0


def test_mig_of_a_second_copy_is_zero():
    assert mutual_information_gap(FACTORS, np.hstack([FACTORS, -FACTORS])) == pytest.approx(0)


def test_mig_of_partial_codes():
    # One of three factors; then half of the two bits of another.
    assert mutual_information_gap(FACTORS, FACTORS[:, [0]]) == pytest.approx(1 / 3)
    assert mutual_information_gap(FACTORS[:, [1]], FACTORS[:, [1]] // 2) == pytest.approx(1 / 2)
    assert mutual_information_gap(FACTORS, rotated(FACTORS)) < 0.5


def test_mig_divides_the_gap_by_the_factors_entropy():
    codes = np.column_stack([FACTORS[:, 1], FACTORS[:, 1] // 2])  # two bits, and one of them

    assert mutual_information_gap(FACTORS[:, [1]], codes) == pytest.approx((2 - 1) / 2)


def test_mig_bins_a_continuous_code():
    code = np.linspace(0, 1, 1000)[:, None]
    factor = np.floor(code * 3.999)  # four quarters

    assert mutual_information_gap(factor, code, n_bins=4) == pytest.approx(1, abs=0.02)
    assert mutual_information_gap(factor, code, n_bins=2) == pytest.approx(1 / 2, abs=0.02)


# -- FactorVAE score -------------------------------------------------------------------------------


def vote(factors, codes, **params):
    return factor_vae_score(factors, codes, **{"n_votes": 200, "random_state": 0} | params)


@perfect
def test_factor_vae_score_of_perfect_codes(codes):
    assert vote(FACTORS, codes) == 1


def test_factor_vae_score_of_useless_codes_is_that_of_guessing():
    assert vote(FACTORS, shuffled(FACTORS)) == pytest.approx(1 / 3, abs=0.12)
    assert vote(FACTORS, np.ones((N_ROWS, 2))) == 1 / 3
    assert vote(FACTORS, np.full((N_ROWS, 2), 0.1)) == 1 / 3


def test_factor_vae_score_leaves_out_constant_codes():
    constant = np.full((N_ROWS, 1), 0.3)  # no exact binary number: its variance is rounding
    assert vote(FACTORS, np.hstack([FACTORS, constant])) == 1


def test_factor_vae_score_of_partial_codes():
    # Two of three factors have a code: when the third is fixed, another is named.
    assert vote(FACTORS, FACTORS[:, :2]) == pytest.approx(2 / 3, abs=0.1)
    assert vote(FACTORS, FACTORS[:, [0]]) == pytest.approx(1 / 3, abs=0.1)


def test_factor_vae_score_may_use_several_codes_for_a_factor():
    assert vote(FACTORS, np.hstack([FACTORS, FACTORS + 0.1])) == 1


def test_factor_vae_score_of_categories_does_not_hang_on_their_numbers():
    codes = FACTORS.copy()
    noisy = rng(2).random(N_ROWS) < 0.6
    codes[noisy, 2] = rng(3).integers(5, size=noisy.sum())
    renumbered = codes.copy()
    renumbered[:, 2] = np.array([0, 1000, 1, 900, 2])[codes[:, 2]]

    score = vote(FACTORS, codes, categorical_codes=[2], group_size=8)
    assert score == vote(FACTORS, renumbered, categorical_codes=[2], group_size=8)
    assert score == vote(FACTORS, codes, categorical_codes=[False, False, True], group_size=8)
    assert score != vote(FACTORS, renumbered, group_size=8)


def test_factor_vae_score_follows_its_random_state():
    codes = shuffled(FACTORS)

    scores = [vote(FACTORS, codes, random_state=seed) for seed in range(4)]
    assert vote(FACTORS, codes, random_state=0) == scores[0]
    assert len(set(scores)) > 1


# -- DCI -------------------------------------------------------------------------------------------


def small_dci(factors, codes, **params):
    return dci(factors, codes, **{"random_state": 0} | params)


@perfect
@pytest.mark.parametrize("discrete", [True, False])
def test_dci_of_perfect_codes(codes, discrete):
    scores = small_dci(FACTORS, codes, discrete_factors=discrete)

    assert isinstance(scores, DCI)
    np.testing.assert_allclose(scores, 1, atol=1e-3)


def test_dci_of_useless_codes():
    scores = small_dci(FACTORS, shuffled(FACTORS))

    assert scores.disentanglement < 0.1
    assert scores.completeness < 0.25  # codes of more values are chosen more often
    guessing = np.mean([1 / k for k in SIZES])
    assert scores.informativeness == pytest.approx(guessing, abs=0.07)
    regressed = small_dci(FACTORS, shuffled(FACTORS), discrete_factors=False)
    assert regressed.informativeness == 0  # R2 is below 0
    constant = small_dci(FACTORS, np.ones((N_ROWS, 2)))
    assert (constant.disentanglement, constant.completeness) == (0, 0)


def test_dci_of_a_rotation_is_informative_only():
    scores = small_dci(FACTORS, rotated(FACTORS))

    assert scores.disentanglement < 0.5
    assert scores.completeness < 0.5
    assert scores.informativeness > 0.95


def test_dci_of_factors_cut_into_two_codes_is_not_complete():
    bits = np.array(list(itertools.product(range(2), repeat=4)) * 40)
    factors = bits[:, [0, 2]] * 2 + bits[:, [1, 3]]

    scores = small_dci(factors, bits)
    assert scores.disentanglement == pytest.approx(1)
    assert scores.completeness == pytest.approx(1 / 2, abs=0.05)  # two of four codes: 1 - log_4 2
    assert scores.informativeness == 1


def test_dci_of_a_code_of_two_factors_is_not_disentangled():
    bits = np.array(list(itertools.product(range(2), repeat=2)) * 100)
    codes = np.column_stack([bits[:, 0] * 2 + bits[:, 1], np.zeros(len(bits))])

    scores = small_dci(bits, codes)
    assert scores.disentanglement == pytest.approx(0, abs=1e-6)
    assert scores.completeness == 1
    assert scores.informativeness == 1


def test_dci_of_partial_codes_is_less_informative():
    scores = small_dci(FACTORS, FACTORS[:, :2])

    assert scores.informativeness == pytest.approx((1 + 1 + 1 / 5) / 3, abs=0.04)


@pytest.mark.parametrize("scale", [1e-8, 1e-200, 1e200])
def test_dci_does_not_depend_on_the_factors_units(scale):
    scores = small_dci(FACTORS * scale, FACTORS, discrete_factors=False)

    np.testing.assert_allclose(scores, 1, atol=1e-3)


def test_dci_needs_two_held_out_rows_of_a_continuous_factor():
    rows = np.arange(4)[:, None]
    with pytest.raises(ValueError, match=r"test_size=0\.25 of 4 rows holds out one"):
        small_dci(rows, rows, discrete_factors=False)


@pytest.mark.parametrize("test_size", [0, 1.0, 5])
def test_dci_refuses_a_size_that_is_no_share(test_size):
    with pytest.raises(ValueError, match=f"test_size == {test_size}, must be"):
        small_dci(FACTORS, FACTORS, test_size=test_size)


# -- SAP -------------------------------------------------------------------------------------------


@perfect
def test_sap_of_perfect_codes(codes):
    # The second best code names one of K classes as guessing does, or a little better: thresholds
    # are fitted to its noise.
    assert sap(FACTORS, codes) == pytest.approx(1 - np.mean([1 / k for k in SIZES]), abs=0.05)
    assert sap(FACTORS, codes, discrete_factors=False) == pytest.approx(1, abs=0.001)


@pytest.mark.parametrize("discrete", [True, False])
def test_sap_of_useless_codes(discrete):
    assert 0 <= sap(FACTORS, shuffled(FACTORS), discrete_factors=discrete) < 0.03
    assert sap(FACTORS, np.ones((N_ROWS, 2)), discrete_factors=discrete) == 0


@pytest.mark.parametrize("discrete", [True, False])
def test_sap_of_a_second_copy_is_zero(discrete):
    codes = np.hstack([FACTORS, -FACTORS])

    assert sap(FACTORS, codes, discrete_factors=discrete) == pytest.approx(0)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_codes_of_any_dtype(dtype):
    factors = FACTORS.mean(axis=0) < FACTORS
    assert sap(factors, factors.astype(dtype)) == sap(factors, factors.astype(float))
    assert vote(factors, factors.astype(dtype)) == 1


@pytest.mark.parametrize("discrete", [True, False])
@pytest.mark.parametrize(("shift", "scale"), [(1e9, 1), (0, 1e200), (0, 1e-200)])
def test_sap_does_not_depend_on_units(shift, scale, discrete):
    other_units = FACTORS * scale + shift
    own = sap(FACTORS, FACTORS, discrete_factors=discrete)
    assert sap(FACTORS, other_units, discrete_factors=discrete) == pytest.approx(own)
    assert sap(other_units, FACTORS, discrete_factors=discrete) == pytest.approx(own)


def test_sap_of_partial_codes():
    codes = np.column_stack([FACTORS[:, 0], np.ones(N_ROWS)])

    assert sap(FACTORS, codes, discrete_factors=False) == pytest.approx(1 / 3)
    assert sap(FACTORS, codes) == pytest.approx((1 - 1 / 2) / 3)
    # A sum of two factors has half of the variance of each, if these are alike.
    pair = StandardScaler().fit_transform(FACTORS[:, 1:])
    codes = np.column_stack([pair.sum(axis=1), pair[:, 0]])
    assert sap(pair, codes, discrete_factors=False) == pytest.approx((1 / 2 + 1 / 2) / 2)


def test_sap_gives_rare_classes_the_weight_of_others():
    factor, code = np.repeat([[0, 0], [0, 1], [1, 1]], [70, 20, 10], axis=0).T[:, :, None]

    # A threshold at 1/2 names 70 of 90 and 10 of 10 rightly.
    assert sap(factor, code) == pytest.approx((70 / 90 + 1) / 2)


def test_sap_takes_discrete_and_continuous_factors_together():
    score = sap(FACTORS, FACTORS, discrete_factors=[0])

    assert score == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert score == sap(FACTORS, FACTORS, discrete_factors=np.array([True, False, False]))


# -- input, good and bad --------------------------------------------------------------------------

MEASURES = pytest.mark.parametrize(
    "measure", [mutual_information_gap, factor_vae_score, dci, sap], ids=lambda f: f.__name__
)
ROWS = [[0, 1], [1, 0], [1, 1]]


@MEASURES
def test_values_of_a_factor_may_be_fractions(measure):
    params = {} if measure in (mutual_information_gap, sap) else {"random_state": 0}

    score = measure(FACTORS, rotated(FACTORS), **params)
    assert score == measure(FACTORS * 0.3 + 0.1, rotated(FACTORS), **params)


@MEASURES
@pytest.mark.parametrize(
    ("factors", "codes", "message"),
    [
        (ROWS, ROWS[:2], r"\(3, 2\) and \(2, 2\)"),
        ([0, 1, 1], ROWS, r"factors must be 2-D.*\(3,\)"),
        (ROWS, [0, 1, 1], r"codes must be 2-D.*\(3,\)"),
        ([], [], r"factors must be 2-D.*\(0,\)"),
        (np.empty((0, 2)), np.empty((0, 2)), r"not empty.*\(0, 2\)"),
        (ROWS, np.empty((3, 0)), r"codes.*not empty.*\(3, 0\)"),
        (ROWS, [[0, 1], [np.nan, 0], [1, 1]], "codes contains NaN"),
        ([[0, 1], [np.inf, 0], [1, 1]], ROWS, "factors contains infinity"),
        ([[0, 7], [1, 7], [1, 7]], ROWS, "Column 1 of factors.* 7; .*at least two"),
    ],
)
def test_measures_say_what_is_wrong_with_the_arrays(measure, factors, codes, message):
    with pytest.raises(ValueError, match=message):
        measure(factors, codes)


@pytest.mark.parametrize(
    ("measure", "params", "message"),
    [
        (mutual_information_gap, {"n_bins": 1}, "n_bins == 1, must be >= 2"),
        (factor_vae_score, {"n_votes": 0}, "n_votes == 0, must be >= 1"),
        (factor_vae_score, {"group_size": 1}, "group_size == 1, must be >= 2"),
        (factor_vae_score, {"categorical_codes": [3]}, r"categorical_codes.* 0 to 2.*\[3\]"),
        (dci, {"n_estimators": 0}, "n_estimators == 0, must be >= 1"),
        (dci, {"test_size": 1.5}, "test_size.* 1.5"),
        (dci, {"discrete_factors": [True]}, r"discrete_factors.*3 bools.*\[True\]"),
        (sap, {"discrete_factors": [-1]}, r"discrete_factors.* 0 to 2.*\[-1\]"),
        (sap, {"discrete_factors": [0.5]}, r"discrete_factors.*\[0.5\]"),
        (sap, {"discrete_factors": "some"}, "discrete_factors.*'some'"),
    ],
)
def test_measures_say_what_a_parameter_may_be(measure, params, message):
    with pytest.raises(ValueError, match=message):
        measure(FACTORS, FACTORS, **params)


def test_factor_vae_score_needs_rows_that_share_a_value():
    factors = np.column_stack([FACTORS[:, 0], np.arange(N_ROWS)])

    with pytest.raises(ValueError, match=f"Column 1 of factors has {N_ROWS} distinct values"):
        factor_vae_score(factors, FACTORS)


# -- clusters and classes --------------------------------------------------------------------------


def test_match_clusters_is_one_to_one():
    y = np.array(["a"] * 5 + ["b"] * 4 + ["c"] * 3)
    labels = np.array([7, 7, 7, 7, 2, 2, 2, 2, 2, 7, 7, 0])

    mapping, accuracy = match_clusters(y, labels)

    assert mapping == {7: "a", 2: "b", 0: "c"}
    assert accuracy == pytest.approx(9 / 12)
    assert cluster_accuracy(y, labels) == accuracy


def test_match_clusters_ignores_numbering():
    y = np.random.default_rng(0).integers(0, 5, 100)

    assert match_clusters(y, (y + 2) % 5)[1] == 1
    assert match_clusters(y, np.zeros(100))[1] == pytest.approx(np.bincount(y).max() / 100)


def test_match_clusters_with_more_clusters_than_classes():
    mapping, accuracy = match_clusters([0, 0, 0, 1], [5, 5, 6, 7])

    assert mapping == {5: 0, 7: 1}
    assert accuracy == pytest.approx(0.75)


@pytest.mark.parametrize(("y", "labels"), [([], []), ([0, 1], [0]), ([[0], [1]], [[0], [1]])])
def test_match_clusters_of_bad_input(y, labels):
    with pytest.raises(ValueError, match="1-D, non-empty and of one length"):
        match_clusters(y, labels)


MISSING = [
    (np.ma.array([0, 1], mask=[0, 1]), "masked in row 1"),
    ([0, np.nan], "nan in row 1"),
    (["a", None], "None in row 1"),
    (pd.Series([None, 1], dtype="Int64"), "<NA> in row 0"),
]


@pytest.mark.parametrize(("classes", "message"), MISSING)
def test_missing_classes_are_refused(classes, message):
    with pytest.raises(ValueError, match=f"y must hold a class for each row; got {message}"):
        match_clusters(classes, [0, 1])
    with pytest.raises(ValueError, match=f"labels must hold .* got {message}"):
        cluster_accuracy([0, 1], classes)


# -- scorers ---------------------------------------------------------------------------------------


def test_cluster_accuracy_scorer_in_a_grid_search():
    X, y = make_blobs(90, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    pipe = make_pipeline(StandardScaler(), KMeans(random_state=0))

    search = GridSearchCV(
        pipe, {"kmeans__n_clusters": [2, 3, 5]}, scoring=cluster_accuracy_scorer, cv=3
    ).fit(X, y)
    assert search.best_params_ == {"kmeans__n_clusters": 3}
    assert search.best_score_ == 1
    assert cluster_accuracy_scorer(search, X, y) == cluster_accuracy(y, search.predict(X))


def test_mig_joins_no_categories():
    factors = np.arange(300)[:, None] % 30

    assert mutual_information_gap(factors, factors, categorical_codes=True) == pytest.approx(1)
    assert mutual_information_gap(factors, factors) < 0.9
    with pytest.raises(ValueError, match=r"categorical_codes must be .* got \[1\]"):
        mutual_information_gap(factors, factors, categorical_codes=[1])


def test_the_scorer_says_which_codes_are_categories():
    class Numbers(TransformerMixin, BaseEstimator):
        def fit(self, X, y=None):
            return self

        def transform(self, X):
            return np.eye(30)[X[:, 0]]

        def get_feature_names_out(self):
            return [f"cluster{k}" for k in range(30)]

    kinds = np.arange(300)[:, None] % 30
    assert mutual_information_gap_scorer(Numbers(), kinds, kinds) == pytest.approx(1)


def test_mutual_information_gap_scorer_in_a_grid_search():
    # The principal axes are the factors, and the last one holds nothing.
    factors = StandardScaler().fit_transform(FACTORS) * [1, 2, 3]
    X = np.column_stack([factors, np.zeros(N_ROWS)])

    search = GridSearchCV(
        PCA(), {"n_components": [1, 2, 3]}, scoring=mutual_information_gap_scorer, cv=2
    ).fit(X, FACTORS)
    assert search.best_params_ == {"n_components": 3}
    assert search.best_score_ > 0.9


@pytest.mark.parametrize(("n_clusters", "n_codes"), [(3, 1), ((3, 2), 2)])
def test_code_columns_of_the_estimator(n_clusters, n_codes):
    X = rng().normal(size=(30, 4))
    gan = BInfoGANTransformer(
        n_clusters=n_clusters, n_continuous=2, warmup_iter=1, max_iter=1, random_state=0
    )
    pipe = make_pipeline(StandardScaler(), gan).set_output(transform="pandas").fit(X)

    codes = code_columns(pipe, X)
    assert codes.shape == (30, n_codes + 2)
    np.testing.assert_array_equal(codes[:, :n_codes], pipe.predict(X).reshape(30, -1))
    np.testing.assert_array_equal(codes[:, n_codes:], pipe.transform(X).iloc[:, -2:])


def test_code_columns_of_a_union():
    X = rng().normal(size=(30, 4))
    gan = BInfoGANTransformer((3, 2), warmup_iter=1, max_iter=1, random_state=0)
    union = make_union(gan, PCA(2)).fit(X)

    codes = code_columns(union, X)

    own = union.transformer_list[0][1]
    np.testing.assert_array_equal(codes[:, :2], own.predict(X))
    np.testing.assert_array_equal(codes[:, 2:], union.transform(X)[:, 5:])


def test_columns_with_names_of_posteriors_are_codes_of_their_own():
    table = pd.DataFrame(rng().normal(size=(30, 2)), columns=["cluster0", "cluster1"])
    scaler = StandardScaler().fit(table)
    np.testing.assert_array_equal(code_columns(scaler, table), scaler.transform(table))


@pytest.mark.parametrize(("n_clusters", "n_codes"), [(None, 1), ((4, 3), 2), (5, 1)])
def test_code_columns_of_a_classifier_are_numbers_of_all_its_categories(n_clusters, n_codes):
    X = rng().normal(size=(60, 4))
    y = np.where(X[:, 0] > 0, "yes", "no")
    classifier = BInfoGANClassifier(
        n_clusters=n_clusters, n_continuous=2, warmup_iter=30, max_iter=1, random_state=0
    ).fit(X, y)

    codes = code_columns(classifier, X)

    assert codes.shape == (60, n_codes + 2)
    assert codes.dtype.kind == "f"
    labels = classifier.labels_.reshape(60, -1)
    np.testing.assert_array_equal(codes[:, :n_codes], labels)
    assert 0 <= mutual_information_gap_scorer(classifier, X, X[:, :2] > 0) <= 1
