"""The classifier: what labels mean, what they change, and that it works inside scikit-learn."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_clusterer
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits, make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer, load, save

X, Y = make_blobs(90, centers=3, n_features=4, random_state=0)
FEW = np.where(np.arange(len(Y)) < 15, Y, -1)
DIGITS = load_digits().data[:60]
BUDGET = {"warmup_iter": 6, "max_iter": 3, "random_state": 0}
# Enough for blobs.
LONGER = {"warmup_iter": 60, "max_iter": 3, "random_state": 0}


def fit(y=FEW, rows=X, **params):
    return BInfoGANClassifier(**{**BUDGET, **params}).fit(rows, y)


@pytest.fixture(scope="module")
def model():
    return fit(**LONGER)


# -- what y means ----------------------------------------------------------------------------------


def labels_of(y):
    """Classes and their numbers of rows, of a fit of few steps."""
    classifier = BInfoGANClassifier(warmup_iter=1, max_iter=0).fit(X[: len(y)], y)
    return classifier.classes_, classifier.class_count_.tolist()


@pytest.mark.parametrize(
    ("y", "classes", "counts"),
    [
        pytest.param([2, -1, 0, -1, 2], [0, 2], [1, 2], id="marker"),
        pytest.param([2.0, -1.0, 0.0], [0.0, 2.0], [1, 1], id="floats"),
        pytest.param([1, 0, 1], [0, 1], [1, 2], id="all labelled"),
        pytest.param([-1, 1, 1, -1, 1], [-1, 1], [2, 3], id="-1 and one other"),
        pytest.param([-1, 0, 0], [-1, 0], [1, 2], id="-1 and 0"),
        pytest.param([-2, -1, 1, 1], [-2, 1], [1, 2], id="other negative numbers"),
        pytest.param([5, 5], [5], [2], id="one class"),
        pytest.param(["b", "-1", "a", "b"], ["a", "b"], [1, 2], id="strings"),
        pytest.param(["-1", "a", "a"], ["-1", "a"], [1, 2], id="two strings"),
        pytest.param([True, False, True], [False, True], [1, 2], id="bools"),
    ],
)
def test_what_y_means(y, classes, counts):
    found, found_counts = labels_of(np.array(y))

    assert found.tolist() == classes
    assert found_counts == counts


@pytest.mark.parametrize("marker", [-1, "-1"])
def test_marker_among_objects(marker):
    classes, counts = labels_of(np.array(["b", marker, "a", "b"], dtype=object))

    assert classes.tolist() == ["a", "b"]
    assert counts == [1, 2]


def test_a_bool_is_of_another_type_than_the_marker():
    classes, counts = labels_of(np.array([True, -1, True, -1], dtype=object))

    assert classes.tolist() == [True]
    assert counts == [2]


def test_integers_among_objects():
    classes, counts = labels_of(np.array([3, -1, 7, 7], dtype=object))

    assert classes.dtype == np.int64
    assert counts == [1, 2]


def test_scores_of_objects(model):
    numbers = Y.astype(object)
    weights = np.arange(len(Y))

    assert model.score(X, numbers) == model.score(X, Y)
    assert model.score(X, numbers.tolist(), weights) == model.score(X, Y, sample_weight=weights)
    with pytest.raises(ValueError, match=r"requires y.* got None"):
        model.score(X, None)
    with pytest.raises(ValueError, match=r"y contains None .*: score only rows with"):
        model.score(X, np.where(Y == 0, None, Y))
    with pytest.raises(ValueError, match="strings and numbers: score only rows with a label"):
        model.score(X, np.array([0, 1, "2"], dtype=object)[Y])
    with pytest.raises(ValueError, match=r"y contains masked in row \d+ and 29 more: score only"):
        model.score(X, np.ma.masked_equal(Y, 1))


@pytest.mark.parametrize("marker", [-1, "-1"])
def test_scores_leave_out_rows_without_a_label(model, marker):
    part = np.arange(60, 90)
    truth = np.where(np.arange(90) % 4 == 0, (Y + 1) % 3, Y)  # partly wrong
    y, weights = truth.astype(object), 1 + np.arange(len(Y))
    y[:60] = marker

    right = model.predict(X[part]) == truth[part]
    assert model.score(X, y) == right.mean() < 1
    assert model.score(X, y[:, None], weights) == np.average(right, weights=weights[part])
    with pytest.raises(ValueError, match="No row has a label: y is -1 everywhere"):
        model.score(X[:60], y[:60])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.score(X, y[:70])


def test_a_class_that_is_named_like_the_marker_is_scored():
    signs = np.where(Y == 0, -1, 1)
    model, truth = fit(signs, **LONGER), np.where(np.arange(90) % 4 == 0, 1, signs)

    assert model.score(X, truth) == (model.predict(X) == truth).mean() < 1


def test_a_search_scores_labelled_rows_alone():
    y = np.where(np.arange(len(Y)) % 3 == 0, Y, -1)
    search = GridSearchCV(BInfoGANClassifier(**LONGER), {"label_weight": [1.0]}, cv=2).fit(X, y)

    assert search.best_score_ > 0.9


def test_one_named_class_and_the_marker_of_another_type():
    classes, counts = labels_of(np.array(["a", -1, "a"], dtype=object))

    assert classes.tolist() == ["a"]
    assert counts == [2]


def test_two_classes_of_which_one_is_called_minus_one():
    y = np.where(Y == 0, -1, 1)

    classifier = fit(y, **LONGER)

    assert classifier.classes_.tolist() == [-1, 1]
    assert classifier.class_count_.tolist() == [30, 60]
    assert set(classifier.predict(X)) <= {-1, 1}
    assert classifier.score(X, y) > 0.9


# -- errors, before any training -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "message"),
    [
        pytest.param(None, "requires y .* BInfoGANTransformer", id="none"),
        pytest.param(np.full(90, -1), "No row has a label.* BInfoGANTransformer", id="unlabelled"),
        pytest.param(FEW[:80], "inconsistent numbers of samples", id="length"),
        pytest.param(X[:, 0], "Unknown label type", id="continuous"),
        pytest.param(np.where(FEW < 0, np.nan, FEW), "contains NaN", id="nan"),
        pytest.param(np.stack([FEW, FEW], axis=1), "1d array", id="two columns"),
    ],
)
def test_bad_targets(y, message):
    classifier = BInfoGANClassifier(**BUDGET)
    before = dict(vars(classifier))

    with pytest.raises(ValueError, match=message):
        classifier.fit(X, y)

    assert vars(classifier) == before
    with pytest.raises(NotFittedError):
        classifier.predict(X)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"label_weight": -1}, "label_weight"),
        ({"label_weight": np.nan}, "label_weight"),
        ({"n_clusters": 0}, "n_clusters"),
        ({"n_clusters": ()}, "n_clusters"),
        ({"n_clusters": True}, "n_clusters"),
        ({"n_clusters": (None, None)}, "n_clusters"),
        ({"n_clusters": (3, 2.5)}, "n_clusters"),
        ({"n_clusters": 91}, "n_samples=90 .* n_clusters=91"),
        ({"cluster_prior": "learned"}, "'labels'.*'uniform'|'uniform'.*'labels'"),
        ({"cluster_prior": [0.5, 0.5]}, r"each of the 3 classes.*\[0.5, 0.5\]"),
        ({"cluster_prior": [0.5, 0.6, -0.1]}, "one positive probability"),
        ({"cluster_prior": [0.5, 0.6, 0.1]}, "adding up to 1"),
        ({"cluster_prior": [0.5, 0.5, np.nan]}, "one positive probability"),
        ({"cluster_prior": ["a", "b", "c"]}, "cluster_prior"),
    ],
)
def test_bad_parameters(params, message):
    classifier = BInfoGANClassifier(**{**BUDGET, **params})
    before = dict(vars(classifier))

    with pytest.raises(ValueError, match=message):
        classifier.fit(X, FEW)

    assert vars(classifier) == before


@pytest.mark.parametrize("label", [3, -1, "0", 0.5, np.array([0, 1])])
def test_samples_of_a_class_that_does_not_exist(model, label):
    with pytest.raises(ValueError, match=r"label=.*is not a class.*\[0, 1, 2\]"):
        model.sample(2, label=label)


# -- what is fitted --------------------------------------------------------------------------------


def test_a_few_labels_name_the_categories(model):
    codes, proba = model.transform(X), model.predict_proba(X)

    assert model.classes_.tolist() == [0, 1, 2]
    assert model.class_count_.sum() == 15
    assert model.score(X, Y) > 0.9
    np.testing.assert_allclose(proba, codes[:, :3], rtol=1e-12)
    np.testing.assert_array_equal(model.predict(X), proba.argmax(axis=1))
    np.testing.assert_array_equal(model.labels_, model.predict(X))


def test_all_rows_labelled():
    assert fit(Y, **LONGER).score(X, Y) > 0.9


def test_one_class():
    classifier = fit(np.full(len(X), 7))

    assert set(classifier.predict(X)) == {7}
    np.testing.assert_array_equal(classifier.predict_proba(X), np.ones((len(X), 1)))
    assert set(classifier.sample(3)[1]) == {7}


@pytest.mark.parametrize("classes", [["a", "b", "c"], [10, 20, 30], [1.0, 2.0, 5.0]])
def test_classes_of_any_type(classes):
    classifier = fit(np.array(classes)[Y])

    assert classifier.classes_.tolist() == classes
    assert classifier.predict(X).dtype == classifier.classes_.dtype
    rows, drawn = classifier.sample(4, label=classes[1], random_state=0)
    assert rows.shape == (4, 4)
    assert drawn.tolist() == [classes[1]] * 4


@pytest.mark.parametrize(
    ("n_clusters", "categories"),
    [
        (None, (3,)),
        (1, (3,)),
        (3, (3,)),
        (np.int64(5), (5,)),
        ((None,), (3,)),
        ((None, 5), (3, 5)),
        ((2, 4), (3, 4)),
        ((4, 2, 1), (4, 2, 1)),
    ],
)
def test_numbers_of_categories(n_clusters, categories):
    classifier = fit(n_clusters=n_clusters)

    assert classifier.n_clusters is n_clusters
    assert classifier.transform(X).shape == (90, sum(categories) + 2)
    assert classifier.predict_proba(X).shape == (90, 3)
    assert classifier.labels_.shape == ((90,) if len(categories) == 1 else (90, len(categories)))
    rows, drawn = classifier.sample(40, random_state=0)
    assert rows.shape == (40, 4)
    assert set(drawn) == {0, 1, 2}


def test_free_categories_follow_the_classes_by_falling_size():
    labelled = np.where(Y < 2, FEW, -1)

    classifier = fit(labelled, n_clusters=4, **LONGER)

    codes, proba = classifier.transform(X)[:, :4], classifier.predict_proba(X)
    sizes = np.bincount(classifier.labels_, minlength=4)
    assert classifier.classes_.tolist() == [0, 1]
    assert sizes[2] >= sizes[3]
    np.testing.assert_allclose(proba, codes[:, :2] / codes[:, :2].sum(axis=1, keepdims=True))
    np.testing.assert_array_equal(classifier.labels_, codes.argmax(axis=1))
    # Class 2 has no label: its rows are to be found in categories of their own.
    assert np.mean(classifier.labels_[Y == 2] >= 2) > 0.8
    assert np.mean(classifier.labels_[Y < 2] < 2) > 0.8
    assert set(classifier.sample(50, random_state=0)[1]) == {0, 1}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_images(dtype):
    y = np.where(np.arange(60) < 30, load_digits().target[:60] % 3, -1)

    classifier = fit(y, DIGITS.astype(dtype), image_shape=(8, 8))

    proba = classifier.predict_proba(DIGITS.astype(dtype))
    assert proba.dtype == (np.float64 if dtype == np.float64 else np.float32)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-6)
    assert classifier.inverse_transform(classifier.transform(DIGITS)).shape == DIGITS.shape


def test_samples_follow_the_classes_they_come_with():
    classifier = fit(**{**LONGER, "max_iter": 150})

    rows, drawn = classifier.sample(200, random_state=0)

    assert np.mean(classifier.predict(rows) == drawn) > 0.8


def test_same_seed_gives_the_same_bits():
    one, other = (fit() for _ in range(2))

    np.testing.assert_array_equal(one.transform(X), other.transform(X))
    np.testing.assert_array_equal(
        one.sample(5, random_state=0)[0], other.sample(5, random_state=0)[0]
    )


def test_starts_are_chosen_among(model):
    classifier = fit(n_init=2, **LONGER)

    assert classifier.score(X, Y) > 0.9


# -- what labels change ----------------------------------------------------------------------------


@pytest.mark.parametrize("params", [{}, {"n_clusters": 5}, {"n_clusters": (None, 2)}])
def test_without_weight_training_is_that_of_the_transformer(params):
    classifier = fit(label_weight=0, **params)
    sizes = {"n_clusters": (3,), **params}["n_clusters"]
    sizes = tuple(3 if k is None else k for k in sizes) if isinstance(sizes, tuple) else sizes

    gan = BInfoGANTransformer(**{**BUDGET, "n_clusters": sizes}).fit(X)

    n = sum(sizes) if isinstance(sizes, tuple) else sizes
    ours, theirs = classifier.transform(X), gan.transform(X)
    np.testing.assert_array_equal(ours[:, n:], theirs[:, n:])
    # The same categories, but for their order; codes of them give the same rows.
    order = [
        int(np.flatnonzero((column == theirs[:, :n].T).all(axis=1))[0]) for column in ours.T[:n]
    ]
    assert sorted(order) == list(range(n))
    rows = classifier.inverse_transform(ours)
    np.testing.assert_allclose(rows, gan.inverse_transform(theirs), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("prior", [[0.1, 0.2, 0.7], [0.5, 0.1, 0.4]])
def test_without_weight_an_array_is_the_transformers(prior):
    classifier = fit(label_weight=0, cluster_prior=prior)
    gan = BInfoGANTransformer(**{**BUDGET, "n_clusters": 3, "cluster_prior": prior}).fit(X)

    np.testing.assert_array_equal(classifier.transform(X)[:, 3:], gan.transform(X)[:, 3:])
    assert sorted(classifier.cluster_prior_) == pytest.approx(sorted(gan.cluster_prior_))


def test_weight_changes_training():
    codes = [fit(label_weight=weight).transform(X) for weight in (0.0, 1.0, 2.0)]

    assert not np.array_equal(codes[0], codes[1])
    assert not np.array_equal(codes[1], codes[2])


def test_labels_overrule_the_clusters():
    """Classes that cut through a cluster: only labels can tell."""
    rows = np.random.default_rng(0).normal(size=(120, 2))
    y = (rows[:, 0] > 0).astype(int)

    named = fit(y, rows, label_weight=0, warmup_iter=150)
    taught = fit(y, rows, label_weight=5, warmup_iter=150)

    assert taught.score(rows, y) > 0.9
    assert taught.score(rows, y) > named.score(rows, y)


def test_labels_teach_in_the_game_where_nothing_protects_the_categories():
    paper = {"consistency_weight": 0, "cycle_weight": 0, "adversarial_loss": "nonsaturating"}

    classifier = fit(Y, **{**BUDGET, **paper, "max_iter": 100})

    steps = [batch for epoch in classifier.history_ for batch in epoch["batches"]]
    losses = [step["label_loss"] for step in steps if "label_loss" in step]
    assert len(losses) == 100
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    assert classifier.score(X, Y) > 0.9


def test_class_frequencies_are_expected_as_labelled():
    y = np.repeat([0, 1, 2], [60, 20, 10])

    by_label, uniform, given = (
        fit(y, **prior).cluster_prior_
        for prior in ({}, {"cluster_prior": "uniform"}, {"cluster_prior": [0.2, 0.5, 0.3]})
    )

    np.testing.assert_allclose(by_label, [70 / 120, 30 / 120, 20 / 120])
    np.testing.assert_allclose(uniform, [1 / 3] * 3)
    np.testing.assert_allclose(given, [0.2, 0.5, 0.3])


def test_free_categories_are_drawn_as_often_as_found():
    classifier = fit(np.repeat([0, 1, 2], [60, 20, 10]), n_clusters=(4, 2))

    drawn, codes = classifier.cluster_prior_, classifier.transform(X)
    np.testing.assert_allclose(drawn[0], codes[:, :4].mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(drawn[1], codes[:, 4:6].mean(axis=0), rtol=1e-4)


# -- inside scikit-learn ---------------------------------------------------------------------------


def test_it_is_a_classifier_and_no_clusterer():
    assert is_classifier(BInfoGANClassifier())
    assert not is_clusterer(BInfoGANClassifier())


def test_pipeline_of_labelled_and_unlabelled_rows():
    pipe = make_pipeline(StandardScaler(), BInfoGANClassifier(**LONGER)).fit(X, FEW)

    assert pipe.score(X, Y) > 0.9
    assert pipe.transform(X).shape == (90, 5)


def test_grid_search_and_cross_validation():
    search = GridSearchCV(BInfoGANClassifier(**LONGER), {"label_weight": [0.1, 1.0]}, cv=2)

    assert search.fit(X, Y).best_score_ > 0.9
    assert cross_val_score(BInfoGANClassifier(**LONGER), X, Y, cv=2).min() > 0.8


def test_calibration():
    calibrated = CalibratedClassifierCV(BInfoGANClassifier(**LONGER), cv=2).fit(X, Y)

    assert calibrated.predict_proba(X).shape == (90, 3)
    assert calibrated.score(X, Y) > 0.9


def test_self_training():
    trained = SelfTrainingClassifier(BInfoGANClassifier(**LONGER), max_iter=2).fit(X, FEW)

    assert trained.score(X, Y) > 0.9


def test_clone_keeps_parameters_alone(model):
    twin = clone(model)

    assert twin.get_params() == model.get_params()
    assert not hasattr(twin, "classes_")


# -- files -----------------------------------------------------------------------------------------

KINDS = {
    "numbers": Y,
    "few": FEW,
    "floats": Y + 1.0,
    "bools": Y == 1,
    "small numbers": Y.astype(np.int8),
    "strings": np.array(["a", "bcd", "é"])[Y],
    "objects": np.array(["a", "bcd", "é"], dtype=object)[Y],
}


@pytest.mark.parametrize("kind", KINDS)
def test_round_trips(kind, tmp_path):
    given = fit(KINDS[kind], n_clusters=(4, 2), cluster_prior="labels")
    save(given, tmp_path / "model.safetensors")

    for again in (load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(given))):
        assert type(again) is BInfoGANClassifier
        assert again.get_params() == given.get_params()
        assert again.predict(X).dtype.kind == given.predict(X).dtype.kind
        np.testing.assert_array_equal(again.classes_, given.classes_)
        np.testing.assert_array_equal(again.class_count_, given.class_count_)
        np.testing.assert_array_equal(again.predict_proba(X), given.predict_proba(X))
        np.testing.assert_array_equal(again.labels_, given.labels_)
        for one, other in zip(
            again.sample(5, random_state=0), given.sample(5, random_state=0), strict=True
        ):
            np.testing.assert_array_equal(one, other)


# -- many labels -----------------------------------------------------------------------------------


def two_clouds_a_class(n=400):
    """Four clouds, of which each class has two at opposite corners: no cluster is a class."""
    rng = np.random.default_rng(0)
    corner = rng.integers(0, 2, (n, 2))
    rows = np.column_stack([6 * corner, np.zeros((n, 2))]) + rng.normal(size=(n, 4))
    return rows, corner.sum(axis=1) % 2


def test_with_all_labels_classes_need_not_be_clusters():
    rows, y = two_clouds_a_class()
    classifier = BInfoGANClassifier(max_iter=0, random_state=0).fit(rows[:250], y[:250])

    assert classifier.score(rows[250:], y[250:]) > 0.95


def test_with_all_labels_it_is_as_good_as_a_network_of_labels_alone():
    rows, y = load_digits(return_X_y=True)
    train, test = slice(400), slice(400, 1400)
    ours = BInfoGANClassifier(max_iter=0, random_state=0).fit(rows[train], y[train])
    peer = make_pipeline(StandardScaler(), MLPClassifier(random_state=0))
    peer.fit(rows[train], y[train])

    assert ours.score(rows[test], y[test]) > peer.score(rows[test], y[test]) - 0.015


def test_the_more_labels_the_longer_the_default_training_of_a_small_table():
    rows, y = two_clouds_a_class(60)
    some = np.where(np.arange(60) < 30, y, -1)
    steps = [
        BInfoGANClassifier(max_iter=0, random_state=0).fit(rows, labels).n_iter_
        for labels in (np.where(np.arange(60) < 6, y, -1), some, y)
    ]
    unweighed = BInfoGANClassifier(max_iter=0, label_weight=0, random_state=0).fit(rows, y)

    assert steps == [100, 100, 240]  # at most four steps a row
    assert unweighed.n_iter_ == 100


def test_samples_follow_the_labels_not_the_predictions():
    """Labels say what rows of a class are like, also where the classifier can't tell."""
    rows, y = two_clouds_a_class()
    rows[:, :2] /= 50  # nothing left to tell the classes by
    rows[:, 3] = rows[:, 3] * 0.05 + np.where(y == 1, 3, 0) * (np.arange(len(y)) % 2)
    model = BInfoGANClassifier(random_state=0, warmup_iter=60, max_iter=200).fit(rows, y)

    far = [(model.sample(300, label=k, random_state=0)[0][:, 3] > 1.5).mean() for k in (0, 1)]

    assert far[0] < 0.1
    assert far[1] == pytest.approx(0.5, abs=0.2)
