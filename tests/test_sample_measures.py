"""Measures of samples against known answers, and the scorers made of them."""

import copy
import pickle
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_iris, make_blobs
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KernelDensity, KNeighborsClassifier

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer
from sklearn_binfogan.metrics import (
    PRDC,
    frechet_distance,
    make_sample_scorer,
    prdc,
    train_on_generated_score,
    two_sample_score,
)


def normal(n=300, width=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width))


# -- two-sample test -------------------------------------------------------------------------------


@pytest.mark.parametrize("classifier", [None, LogisticRegression()])
def test_rows_of_one_distribution_are_not_told_apart(classifier):
    score = two_sample_score(normal(seed=1), normal(seed=2), classifier, random_state=0)

    assert score == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("classifier", [None, LogisticRegression()])
def test_shifted_rows_are_told_apart(classifier):
    assert two_sample_score(normal(seed=1), normal(seed=2) + 5, classifier) > 0.99


def test_two_sample_score_is_that_of_the_best_threshold():
    # Two uniform columns that overlap by half: the best classifier is right in 3 of 4 cases.
    real, generated = np.random.default_rng(0).uniform(size=(2, 4000, 1))

    score = two_sample_score(real, generated + 0.5, LogisticRegression(), random_state=0)
    assert score == pytest.approx(0.75, abs=0.02)


def test_only_a_classifier_that_sees_the_difference_tells_it():
    """Both symmetric about 0, of other variances: a line can't part them, neighbours can."""
    real, generated = (np.vstack([X, -X]) for X in (normal(seed=1), normal(seed=2) * 0.1))
    line = two_sample_score(real, generated, LogisticRegression(), random_state=0)

    assert line == pytest.approx(0.5, abs=0.1)
    assert two_sample_score(real, generated, KNeighborsClassifier(), random_state=0) > 0.9


@pytest.mark.parametrize(("n_real", "n_generated"), [(60, 600), (600, 60)])
def test_unequal_numbers_are_made_equal(n_real, n_generated):
    class Majority(ClassifierMixin, BaseEstimator):
        sizes: list = []  # noqa: RUF012 - shared: clones write into it

        def fit(self, X, y):
            self.sizes.append(np.bincount(y).tolist())
            self.classes_ = np.unique(y)
            return self

        def predict(self, X):
            return np.zeros(len(X))

    score = two_sample_score(normal(n_real), normal(n_generated, seed=1), Majority(), cv=3)
    assert Majority.sizes == [[40, 40]] * 3
    assert score == 0.5


def test_copies_of_real_rows_score_below_chance():
    X = normal()

    assert two_sample_score(X, X, KNeighborsClassifier(1), random_state=0) < 0.3


def test_rounding_to_float32_does_not_give_rows_away():
    values = np.random.default_rng(0).choice([0.1, 0.2, 0.7], size=(2, 200, 1))
    real, generated = values[0], values[1].astype(np.float32)
    score = two_sample_score(real, generated, KNeighborsClassifier(1), random_state=0)

    assert score == pytest.approx(0.5, abs=0.1)


def test_two_sample_score_follows_its_random_state():
    real, generated = normal(40), normal(60, seed=1)
    scores = [
        two_sample_score(real, generated, LogisticRegression(), random_state=seed)
        for seed in (0, 0, 1)
    ]

    assert scores[0] == scores[1] != scores[2]


def test_two_sample_score_takes_a_splitter_and_data_frames():
    real, generated = pd.DataFrame(normal(40)), pd.DataFrame(normal(40) + 9)

    assert two_sample_score(real, generated, LogisticRegression(), cv=KFold(4)) == 1


def test_two_sample_score_leaves_the_classifier_alone():
    classifier = LogisticRegression()
    two_sample_score(normal(), normal(seed=1), classifier)

    assert not hasattr(classifier, "coef_")


# -- train on generated, test on real --------------------------------------------------------------


def test_rows_of_the_same_classes_train_as_real_ones_do():
    X, y = make_blobs(400, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    names = np.array(["a", "b", "c"])[y]

    for classifier in (None, LogisticRegression()):
        assert train_on_generated_score(X[:200], names[:200], X[200:], names[200:], classifier) == 1


def test_wrong_labels_of_generated_rows_cost_what_they_are():
    X, y = make_blobs(400, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    merged = np.where(y == 2, 1, y)  # a generator that takes class 2 for class 1

    score = train_on_generated_score(X[:200], y[:200], X[200:], merged[200:], LogisticRegression())
    assert score == pytest.approx((y[:200] < 2).mean())


def test_train_on_generated_takes_another_scorer():
    X = np.array([[0.0]] * 90 + [[1.0]] * 10)
    y = (X[:, 0] > 0).astype(int)
    # Class 1 was never generated where it is.
    measure = partial(train_on_generated_score, X, y, [[0.0], [1.0], [9.0]], [0, 0, 1])

    nearest = KNeighborsClassifier(1)
    assert measure(nearest) == 0.9
    assert measure(nearest, scoring="balanced_accuracy") == 0.5


# -- precision, recall, density, coverage ----------------------------------------------------------

LINE = [[0.0], [1.0], [2.0], [3.0]]  # radii of 1 with one neighbour, 1 or 2 with two


@pytest.mark.parametrize(
    ("generated", "k", "expected"),
    [
        # Two of four in the balls of 0 and 1; the far ones have balls that hold everything.
        ([[0.1], [0.9], [50.0], [99.0]], 1, PRDC(2 / 4, 1, 4 / 4, 2 / 4)),
        # Radii 2, 1, 1, 2; both lie in the balls of all but 0, which holds neither, and 1.
        ([[2.5], [2.6], [2.7]], 2, PRDC(1, 0, 6 / 3 / 2, 2 / 4)),
        # One mode of two rows, dropped from the rest: each is in two balls.
        ([[0.4], [0.6]], 1, PRDC(1, 0, 2, 2 / 4)),
        ([[-9.0], [-8.0], [-7.0]], 1, PRDC(0, 0, 0, 0)),
    ],
)
def test_prdc_on_a_line(generated, k, expected):
    np.testing.assert_allclose(prdc(LINE, generated, k=k), expected)


def test_prdc_of_one_distribution():
    scores = prdc(normal(500, seed=1), normal(500, seed=2))

    assert isinstance(scores, PRDC)
    assert scores.precision > 0.9
    assert scores.recall > 0.9
    assert scores.density == pytest.approx(1, abs=0.1)
    # In expectation 1 - (n - 1)...(n - k) / (2n - 1)...(2n - k), about 1 - 2^-k (Naeem et al.).
    assert scores.coverage == pytest.approx(1 - 2**-5, abs=0.02)


def test_prdc_of_a_dropped_mode():
    centres = [[0.0, 0], [50, 0]]
    real, _ = make_blobs([200, 200], centers=centres, random_state=0)
    generated, _ = make_blobs([400], centers=centres[:1], random_state=1)

    scores = prdc(real, generated)
    assert scores.precision > 0.9
    assert scores.recall == pytest.approx(0.5, abs=0.05)
    assert scores.coverage == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 4])
def test_prdc_is_its_definition(seed, k):
    real, generated = normal(40, 3, seed), normal(60, 3, seed + 50) * 1.3
    radii, others = (np.sort(cdist(X, X))[:, k] for X in (real, generated))
    distances = cdist(real, generated)
    expected = [
        np.mean([(distances[:, j] <= radii).any() for j in range(60)]),
        np.mean([(distances[i] <= others).any() for i in range(40)]),
        np.sum([(distances[:, j] <= radii).sum() for j in range(60)]) / (k * 60),
        np.mean([distances[i].min() <= radii[i] for i in range(40)]),
    ]

    np.testing.assert_allclose(prdc(real, generated, k=k), expected)


def test_prdc_of_two_far_rows_is_that_of_the_others():
    rows = np.random.default_rng(0).normal(size=(60, 3))
    far = np.full((1, 3), 1e9)

    found = prdc(np.r_[rows, far], np.r_[rows, -far])

    # The ball of the far real row reaches to the other real rows, which all are generated, too.
    of_others = prdc(rows, rows).density * 60
    assert found.density == pytest.approx((of_others + 60 / 5) / 61)


def test_prdc_of_noise_is_imprecise():
    scores = prdc(normal(300, 8), normal(300, 8, seed=1) * 9)

    assert scores.precision < 0.1
    assert scores.density < 0.05
    assert scores.recall > 0.9


@pytest.mark.parametrize("width", [2, 40])
def test_copies_of_repeated_rows_lie_in_balls_of_radius_zero(width):
    """Far from the origin, where rounding of distances is coarse."""
    distinct = normal(5, width) + 1000
    scores = prdc(np.repeat(distinct, 4, axis=0), np.repeat(distinct, 4, axis=0), k=3)

    np.testing.assert_allclose(scores, [1, 1, 4 / 3, 1])


def test_prdc_does_not_depend_on_shift_scale_and_order():
    real, generated = normal(100), normal(100, seed=1) * 1.5
    expected = prdc(real, generated)

    np.testing.assert_allclose(prdc(real * 7 + 300, generated * 7 + 300), expected)
    for scale in (1e200, 1e-200):
        np.testing.assert_allclose(prdc(real * scale, generated * scale), expected)
    np.testing.assert_allclose(prdc(real[::-1], generated[::-1]), expected)


def test_prdc_measures_in_blocks_what_it_measures_at_once():
    real, generated = normal(700), normal(600, seed=1)
    with config_context(working_memory=1):
        blocks = prdc(real, generated)
    assert blocks == prdc(real, generated)


def test_prdc_of_features():
    real, generated = normal(100), normal(100, seed=1)
    generated[:, 2] += 99  # the features leave this column out

    seen = prdc(real, generated, features=lambda X: X[:, :2])
    assert seen == prdc(real[:, :2], generated[:, :2])
    assert prdc(real, generated).precision == 0 < seen.precision


# -- Fréchet distance ------------------------------------------------------------------------------


def with_moments(mean, covariance, n=200):
    """Rows whose mean and covariance are exactly these."""
    white = normal(n, len(mean))
    white -= white.mean(axis=0)
    white @= np.linalg.inv(np.linalg.cholesky(np.atleast_2d(np.cov(white.T)))).T
    return white @ np.real(sqrtm(np.array(covariance, dtype=float))) + mean


def test_frechet_distance_of_gaussians_is_the_closed_formula():
    first, second = np.array([[2.0, 0.6], [0.6, 1]]), np.array([[1.0, -0.3], [-0.3, 3]])
    mean, other = np.array([0.0, 1]), np.array([2.0, -1])
    root = np.real(sqrtm(first @ second))
    expected = ((mean - other) ** 2).sum() + np.trace(first + second - 2 * root)

    distance = frechet_distance(with_moments(mean, first), with_moments(other, second, 150))
    assert distance == pytest.approx(expected, rel=1e-10)


def test_frechet_distance_of_one_column_compares_means_and_deviations():
    distance = frechet_distance(with_moments([1.0], [[4.0]]), with_moments([3.0], [[25.0]]))

    assert distance == pytest.approx((3 - 1) ** 2 + (5 - 2) ** 2)


@pytest.mark.parametrize("n", [2, 10, 500])
def test_frechet_distance_to_itself_is_zero(n):
    X = normal(n, 20)

    assert frechet_distance(X, X[::-1]) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(X, X + 1) == pytest.approx(20)


def test_frechet_distance_of_singular_covariances():
    # Each set varies along one axis of its own: the two covariances have no common part.
    along, across = np.zeros((2, 100, 3))
    along[:, 0], across[:, 1] = normal(100, 2).T
    expected = along.var(axis=0, ddof=1).sum() + across.var(axis=0, ddof=1).sum()
    expected += ((along.mean(axis=0) - across.mean(axis=0)) ** 2).sum()

    assert frechet_distance(along, across) == pytest.approx(expected)
    assert frechet_distance(np.ones((5, 3)), np.zeros((7, 3))) == pytest.approx(3)


def test_frechet_distance_is_symmetric():
    X, other = normal(30, 50), normal(80, 50, seed=1) * 2

    assert frechet_distance(X, other) == pytest.approx(frechet_distance(other, X))


# -- bad input -------------------------------------------------------------------------------------

MEASURES = pytest.mark.parametrize(
    ("measure", "prefix"),
    [(two_sample_score, "X_"), (prdc, "X_"), (frechet_distance, "features_")],
    ids=lambda value: getattr(value, "__name__", value),
)


@MEASURES
@pytest.mark.parametrize(
    ("real", "generated", "message"),
    [
        (normal(9), normal(9, 4), r"{0}real and {0}generated .*\(9, 3\) and \(9, 4\)"),
        (normal(9)[0], normal(9), r"{0}real must be 2-D.*\(3,\)"),
        (normal(9), np.empty((0, 3)), r"{0}generated must be 2-D.*\(0, 3\)"),
        (normal(9), np.full((9, 3), np.nan), "{0}generated contains NaN"),
        (np.full((9, 3), np.inf), normal(9), "{0}real contains infinity"),
    ],
)
def test_measures_of_samples_say_what_is_wrong(measure, prefix, real, generated, message):
    with pytest.raises(ValueError, match=message.format(prefix)):
        measure(real, generated)


def test_train_on_generated_says_what_is_wrong():
    X, y = normal(4), [0, 1, 1, 0]
    cases = [
        ((X, y, normal(4, 2), y), r"X_real and X_generated .*\(4, 3\) and \(4, 2\)"),
        ((X, y[:3], X, y), r"y_real .*\(3,\) and \(4, 3\)"),
        ((X, y, X, [y]), r"y_generated .*\(1, 4\) and \(4, 3\)"),
        (
            (X, y, X, [0, 1, np.nan, 0]),
            "y_generated must hold .*; got nan in row 2",
        ),
        ((X, y, X, [2, 3, 2, 3]), r"share no class; got \[0, 1\] and \[2, 3\]"),
    ]
    cases += [
        ((X, np.array(y).astype(str), X, y), r"share no class; got \['0', '1'\] and \[0, 1\]"),
        ((X, None, X, y), "y_real must hold a class for each row; got None"),
        ((np.ma.masked_greater(X, 0), y, X, y), "X_real is a masked array"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            train_on_generated_score(*arguments)
    with pytest.raises(ValueError, match="'no_scorer'"):
        train_on_generated_score(X, y, X, y, scoring="no_scorer")


@pytest.mark.parametrize("classifier", ["forest", object(), 3])
def test_measures_refuse_what_is_no_classifier(classifier):
    X, y = normal(20), [0, 1] * 10
    with pytest.raises(TypeError, match=r"classifier must have fit and predict.*got"):
        two_sample_score(X, X, classifier)
    with pytest.raises(TypeError, match=r"classifier must have fit and predict.*got"):
        train_on_generated_score(X, y, X, y, classifier)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda X: two_sample_score(X, X[:4]), ValueError, "cv=5 .*9 real and 4 generated"),
        (lambda X: two_sample_score(X, X, cv=1), ValueError, "cv == 1, must be >= 2"),
        (lambda X: two_sample_score(X, X, cv=2.5), ValueError, "2.5"),
        (lambda X: two_sample_score(X, X, LinearRegression()), ValueError, "continuous"),
        (lambda X: prdc(X, X[:5]), ValueError, "k=5 .*6 rows.*9 real and 5 generated"),
        (lambda X: prdc(X, X, k=0), ValueError, "k == 0, must be >= 1"),
        (lambda X: prdc(X, X, k=1.5), TypeError, "k must be an instance of int"),
        (lambda X: prdc(X, X, features="pixels"), TypeError, "features.*'pixels'"),
        (lambda X: prdc(X, X, features=lambda X: X[0]), ValueError, r"features of X_real.*\(3,\)"),
        (lambda X: prdc(X, X, features=lambda X: X[:7]), ValueError, "7 and 7 rows for 9 real"),
        (lambda X: prdc(X, X, features=lambda X: X * np.nan), ValueError, "NaN"),
        (lambda X: frechet_distance(X, X[:1]), ValueError, "9 real and 1 generated"),
        (lambda X: frechet_distance(X, np.sign(X) * 1e200), ValueError, r"1e\+150; got 1e\+200"),
    ],
)
def test_measures_of_samples_say_what_a_parameter_may_be(call, error, message):
    with pytest.raises(error, match=message):
        call(normal(9))


# -- scorers ---------------------------------------------------------------------------------------

FOREST = RandomForestClassifier(10, random_state=0)
SMALL = {"two_sample": {"classifier": FOREST}, "train_on_generated": {"classifier": FOREST}}
ALL = [
    "two_sample",
    "train_on_generated",
    "frechet",
    "precision",
    "recall",
    "density",
    "coverage",
]


class Blobs(ClassifierMixin, BaseEstimator):
    """Generate Gaussian rows round the mean of each class; `spread` 1 fits them best."""

    def __init__(self, spread=1.0):
        self.spread = spread

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.means_ = np.array([X[y == c].mean(axis=0) for c in self.classes_])
        self.scales_ = np.array([X[y == c].std(axis=0) for c in self.classes_])
        return self

    def predict(self, X):
        distances = ((X[:, None] - self.means_) ** 2).sum(axis=2)
        return self.classes_[distances.argmin(axis=1)]

    def sample(self, n_samples=1, *, random_state=None):
        rng = np.random.RandomState(random_state)
        y = rng.randint(len(self.classes_), size=n_samples)
        noise = rng.normal(size=(n_samples, self.means_.shape[1]))
        return self.means_[y] + self.spread * noise * self.scales_[y], self.classes_[y]


def scorer_of(measure, **params):
    """Make a scorer that is quick: default forests take a second."""
    return make_sample_scorer(measure, **SMALL.get(measure, {}) | params)


def iris():
    X, y = load_iris(return_X_y=True)
    return X, np.array(["setosa", "versicolor", "virginica"])[y]


@pytest.mark.parametrize("measure", ["two_sample", "recall", "coverage", "frechet"])
def test_sample_scorers_find_the_right_spread(measure):
    X, y = iris()
    search = GridSearchCV(Blobs(), {"spread": [0.1, 1, 9]}, scoring=scorer_of(measure))
    search.fit(X, y)

    assert search.best_params_ == {"spread": 1 if measure != "recall" else 9}
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("measure", ["train_on_generated", "precision", "density"])
def test_sample_scorers_find_wide_rows_bad(measure):
    X, y = iris()
    search = GridSearchCV(Blobs(), {"spread": [1, 30]}, scoring=scorer_of(measure))

    assert search.fit(X, y).best_params_ == {"spread": 1}
    assert search.best_score_ > 0.8


@pytest.mark.parametrize("measure", ALL)
def test_sample_scorers_give_what_the_measures_give(measure):
    X, y = iris()
    scorer = make_sample_scorer(measure, random_state=3)  # with default forests
    model = Blobs().fit(X, y)
    score = scorer(model, X, y)
    rows, labels = model.sample(150, random_state=np.random.RandomState(3).randint(2**31 - 1))
    measured = {
        "two_sample": lambda: 1 - two_sample_score(X, rows, random_state=0),
        "train_on_generated": lambda: train_on_generated_score(X, y, rows, labels, random_state=0),
        "frechet": lambda: -frechet_distance(X, rows),
    }
    expected = measured.get(measure, lambda: getattr(prdc(X, rows), measure))()

    assert isinstance(score, float)
    drawn_anew = measure in ("two_sample", "train_on_generated")  # other folds, another forest
    assert score == pytest.approx(expected, abs=0.05 if drawn_anew else 1e-12)


@pytest.mark.parametrize("dtype", [object, str, float, int])
def test_rows_without_a_label_are_left_out_of_training_on_samples(dtype):
    X, names = iris()
    y = names if dtype in (object, str) else np.unique(names, return_inverse=True)[1]
    y = y.astype(dtype)
    model, scorer = Blobs().fit(X, y), scorer_of("train_on_generated")
    some = y.copy()
    some[::2] = -1

    assert scorer(model, X, some) > 0.9
    with pytest.raises(ValueError, match="needs labels"):
        scorer(model, X, np.full_like(y, -1))


@pytest.mark.parametrize("measure", ALL)
def test_sample_scorers_can_be_copied_and_pickled(measure):
    X, y = iris()
    model, scorer = Blobs().fit(X, y), scorer_of(measure)
    search = clone(GridSearchCV(model, {}, scoring=scorer))

    scores = {
        each(model, X, y)
        for each in (scorer, copy.deepcopy(scorer), pickle.loads(pickle.dumps(scorer)))
    }
    assert scores == {search.scoring(model, X, y)}
    assert measure in repr(scorer)


def test_sample_scorers_pass_parameters_on():
    X, y = iris()
    model = Blobs().fit(X, y)

    def score(*arguments, **params):
        return make_sample_scorer(*arguments, **params)(model, X, y)

    line, nearest = LogisticRegression(max_iter=1000), KNeighborsClassifier()
    assert score("two_sample", classifier=line) != score("two_sample", classifier=nearest)
    assert score("two_sample", classifier=line, cv=2) != score("two_sample", classifier=line)
    assert score("coverage", k=1) < score("coverage", k=9)
    assert score("train_on_generated", scoring="neg_log_loss", classifier=line) < 0
    sepals = partial(np.take, indices=[0, 1], axis=1)
    assert score("frechet", features=sepals) > score("frechet")
    assert score("precision", random_state=1) != score("precision", random_state=2)


def test_sample_scorers_take_density_models_without_labels():
    X, _ = iris()
    search = GridSearchCV(KernelDensity(), {"bandwidth": [0.1, 5]}, scoring=scorer_of("two_sample"))

    assert search.fit(X).best_params_ == {"bandwidth": 0.1}


def test_sample_scorers_of_the_estimators():
    X, y = iris()
    budget = {"warmup_iter": 5, "max_iter": 5, "random_state": 0}
    gan = BInfoGANTransformer(3, **budget)
    classifier = BInfoGANClassifier(**budget)
    scoring = {name: scorer_of(name) for name in ALL}
    search = GridSearchCV(
        classifier, {"mi_weight": [0, 1]}, scoring=scoring, refit=False, cv=2, error_score="raise"
    ).fit(X, y)

    for name in ALL:
        assert np.isfinite(search.cv_results_[f"mean_test_{name}"]).all()
    gan.fit(X[::2])
    # Held out: samples may lie closer to the rows of `fit` than these to each other.
    assert 0 <= scoring["two_sample"](gan, X[1::2]) <= 0.55
    with pytest.raises(ValueError, match=r"needs a classifier.*BInfoGANTransformer"):
        scoring["train_on_generated"](gan, X, y)


def test_sample_scorers_say_what_is_wrong():
    X, y = iris()
    with pytest.raises(ValueError, match=r"measure must be one of \['two_sample'.*'fid'"):
        make_sample_scorer("fid")
    with pytest.raises(ValueError, match=r"measure must be one of .*; got \['two_sample'\]"):
        make_sample_scorer(["two_sample"])
    with pytest.raises(TypeError, match=r"'coverage' takes .*\['k', 'features'\]; got \['cv'\]"):
        make_sample_scorer("coverage", cv=5)
    for params, error in (
        ({"k": 0}, ValueError),
        ({"features": "pixels"}, TypeError),
        ({"random_state": "q"}, ValueError),
    ):
        with pytest.raises(error, match=str(next(iter(params.values())))):
            make_sample_scorer("coverage", **params)
    with pytest.raises(ValueError, match="cv == 1, must be >= 2"):
        make_sample_scorer("two_sample", cv=1)
    for params in ({"scoring": None}, {"scoring": "no_scorer"}):
        with pytest.raises(ValueError, match=r"None|no_scorer"):
            make_sample_scorer("train_on_generated", **params)
    with pytest.raises(TypeError, match=r"must have sample.*LogisticRegression"):
        make_sample_scorer("coverage")(LogisticRegression(), X, y)
    with pytest.raises(ValueError, match=r"needs y.* got y=None"):
        make_sample_scorer("train_on_generated")(Blobs().fit(X, y), X)


@pytest.mark.parametrize(
    ("unit", "offset", "far"),
    [(1e-9, 0, 0), (1e-200, 0, 0), (1e200, 0, 0), (1, 1e9, 0), (1, 0, 1e10), (1, 0, 1e300)],
)
def test_trees_see_rows_of_any_unit(unit, offset, far):
    X, y = make_blobs(200, 4, centers=3, random_state=0)
    rows, moved = X * unit + offset, (X + 100) * unit + offset
    rows[0], moved[0] = rows[0] + far, moved[0] + far

    assert two_sample_score(rows, moved, random_state=0) > 0.98
    assert train_on_generated_score(rows, y, rows, y, random_state=0) > 0.98


@pytest.mark.parametrize("measure", [two_sample_score, prdc, frechet_distance])
def test_columns_in_another_order_are_refused(measure):
    real = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 2)), columns=["age", "fare"])
    with pytest.raises(ValueError, match="column 0 is 'age' in one and 'fare' in the other"):
        measure(real, real[["fare", "age"]])
    measure(real, real.to_numpy())
    measure(real, real.set_axis([0, 1], axis=1))
