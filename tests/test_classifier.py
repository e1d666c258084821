"""The classifier: what labels mean, what they change, and that it works inside scikit-learn."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.base import clone, is_classifier, is_clusterer
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits, make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from torch.nn import functional as F

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer, load, save
from sklearn_binfogan import _container as container
from sklearn_binfogan import _losses as losses
from sklearn_binfogan._architectures import MLPArchitecture
from sklearn_binfogan._base import fitted_model
from sklearn_binfogan._classifier import parsed_labels
from sklearn_binfogan._codes import CodeSpec
from sklearn_binfogan._layout import Layout
from sklearn_binfogan._rows import Rows
from sklearn_binfogan._supervision import (
    LabelledBatch,
    Labels,
    Supervision,
    assigned_categories,
    label_nll,
)
from sklearn_binfogan._upgrades import FORMAT_VERSION

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


@pytest.mark.parametrize(
    ("y", "classes", "rows", "numbers"),
    [
        pytest.param([2, -1, 0, -1, 2], [0, 2], [0, 2, 4], [1, 0, 1], id="marker"),
        pytest.param([2.0, -1.0, 0.0], [0.0, 2.0], [0, 2], [1, 0], id="floats"),
        pytest.param([1, 0, 1], [0, 1], [0, 1, 2], [1, 0, 1], id="all labelled"),
        pytest.param([-1, 1, 1, -1], [-1, 1], [0, 1, 2, 3], [0, 1, 1, 0], id="-1 and one other"),
        pytest.param([-1, 0, 0], [-1, 0], [0, 1, 2], [0, 1, 1], id="-1 and 0"),
        pytest.param([-2, -1, 1], [-2, 1], [0, 2], [0, 1], id="other negative numbers"),
        pytest.param([5, 5], [5], [0, 1], [0, 0], id="one class"),
        pytest.param(["b", "-1", "a"], ["a", "b"], [0, 2], [1, 0], id="strings"),
        pytest.param(["-1", "a"], ["-1", "a"], [0, 1], [0, 1], id="two strings"),
        pytest.param([True, False], [False, True], [0, 1], [1, 0], id="bools"),
    ],
)
def test_what_y_means(y, classes, rows, numbers):
    found, labels = parsed_labels(np.array(y))

    assert found.tolist() == classes
    assert labels.rows.tolist() == rows
    assert labels.classes.tolist() == numbers


@pytest.mark.parametrize("marker", [-1, "-1"])
def test_marker_among_objects(marker):
    y = np.array(["b", marker, "a", "b"], dtype=object)

    classes, labels = parsed_labels(y)

    assert classes.tolist() == ["a", "b"]
    assert labels.rows.tolist() == [0, 2, 3]


def test_integers_among_objects():
    classes, labels = parsed_labels(np.array([3, -1, 7], dtype=object))

    assert classes.dtype == np.int64
    assert labels.rows.tolist() == [0, 2]


def test_one_named_class_and_the_marker_of_another_type():
    classes, labels = parsed_labels(np.array(["a", -1, "a"], dtype=object))

    assert classes.tolist() == ["a"]
    assert labels.rows.tolist() == [0, 2]


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
        ({"cluster_prior": ["a", "b", "c"]}, "cluster_prior"),
    ],
)
def test_bad_parameters(params, message):
    classifier = BInfoGANClassifier(**{**BUDGET, **params})
    before = dict(vars(classifier))

    with pytest.raises(ValueError, match=message):
        classifier.fit(X, FEW)

    assert vars(classifier) == before


@pytest.mark.parametrize("label", [3, -1, "0", 0.5])
def test_samples_of_a_class_that_does_not_exist(model, label):
    with pytest.raises(ValueError, match=r"label=.*is no class.*\[0, 1, 2\]"):
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


def test_probabilities_where_free_categories_leave_nothing(model, monkeypatch):
    nothing = np.zeros((2, 4), dtype=np.float32)
    monkeypatch.setattr(fitted_model(model), "posterior", lambda X: nothing)

    np.testing.assert_allclose(model.predict_proba(X), np.full((2, 3), 1 / 3), rtol=1e-6)


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

    for name, weight in fitted_model(gan).trainer.players.state_dict().items():
        assert torch.equal(weight, fitted_model(classifier).trainer.players.state_dict()[name]), (
            name
        )
    n = sum(fitted_model(classifier).spec.categories)
    order = [
        fitted_model(gan).order.tolist().index(column) for column in fitted_model(classifier).order
    ]
    np.testing.assert_array_equal(classifier.transform(X)[:, :n], gan.transform(X)[:, order])


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

    by_label = fit(y)._model.settings.recipe.cluster_prior
    uniform = fit(y, cluster_prior="uniform")._model.settings.recipe.cluster_prior
    given = fit(y, cluster_prior=[0.2, 0.5, 0.3])

    np.testing.assert_allclose(by_label, [[70 / 120, 30 / 120, 20 / 120]])
    assert uniform == "uniform"
    np.testing.assert_allclose(given.cluster_prior_, [0.2, 0.5, 0.3])


def test_free_categories_are_expected_as_often_as_a_class_and_drawn_as_often_as_found():
    classifier = fit(np.repeat([0, 1, 2], [60, 20, 10]), n_clusters=(4, 2))

    expected = fitted_model(classifier).settings.recipe.cluster_prior
    np.testing.assert_allclose(expected[0], [*(0.75 * np.array([70, 30, 20]) / 120), 0.25])
    np.testing.assert_allclose(expected[1], [0.5, 0.5])
    drawn, codes = classifier.cluster_prior_, classifier.transform(X)
    np.testing.assert_allclose(drawn[0], codes[:, :4].mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(drawn[1], codes[:, 4:6].mean(axis=0), rtol=1e-4)


# -- parts -----------------------------------------------------------------------------------------


def test_assignment_is_the_best_one_to_one():
    # Class 0 likes category 1 a little, class 1 likes it a lot.
    posterior = np.array([[0.45, 0.5, 0.05], [0.05, 0.9, 0.05], [0.1, 0.8, 0.1]])

    assert assigned_categories(posterior, np.array([0, 1, 1])).tolist() == [0, 1]


def supervision(classes=(0, 0, 0, 1), prior="uniform", n_clusters=None):
    classifier = BInfoGANClassifier(n_clusters, **BUDGET, architecture=MLPArchitecture(n_heads=2))
    classifier.classes_, classifier.class_count_ = np.array([0, 1]), np.array([1, 1])
    rows = np.arange(20.0).reshape(10, 2)
    settings = classifier._settings(rows, 0)
    settings = replace(settings, recipe=replace(settings.recipe, cluster_prior=prior))
    source = Rows(rows, Layout.table(rows), "cpu")
    labels = Labels(np.array([1, 4, 5, 9]), np.array(classes))
    return Supervision(labels, source, settings, torch.Generator().manual_seed(0)), source


class Stub:
    """An encoder whose two heads know class 1 by its row, and number the classes differently."""

    n_heads, category_trunk, head = 2, torch.nn.Identity(), torch.tensor(1)

    def __init__(self, row):
        self.row = row

    def sub_head_logits(self, features):
        is_one = (features == self.row).all(dim=1).float()
        logits = torch.stack([1 - is_one, is_one], dim=1)
        return torch.stack([logits, 3 * logits.flip(1)])


def test_labelled_batches_are_balanced_and_bound():
    supervised, rows = supervision()
    the_one = rows.take(torch.tensor([9]))
    supervised.assign(Stub(the_one), learned=True)

    batch = supervised.draw()

    assert supervised.assignment.tolist() == [[0, 1], [1, 0]]
    assert len(batch.x) == 64  # a quarter of the batch for tables
    first, second = batch.categories
    assert first.sum() == 32  # as many of class 1, which has one label, as of class 0
    assert torch.equal(second, 1 - first)
    assert torch.equal(batch.x[first == 1], the_one.expand(32, -1))
    of_class_0 = {tuple(row) for row in batch.x[first == 0].tolist()}
    assert of_class_0 == {tuple(row) for row in rows.take(torch.tensor([1, 4, 5])).tolist()}


def test_classes_take_the_first_categories_where_nothing_is_learned():
    supervised, rows = supervision()

    supervised.assign(Stub(rows.take(torch.tensor([9]))), learned=False)

    assert supervised.assignment.tolist() == [[0, 1], [0, 1]]


def test_prior_follows_the_binding():
    supervised, rows = supervision(prior=((0.8, 0.2),))
    stub = Stub(rows.take(torch.tensor([9])))
    supervised.assign(stub, learned=True)

    torch.testing.assert_close(
        supervised.draw().log_prior.exp(), torch.tensor([[0.8, 0.2], [0.2, 0.8]])
    )
    assert supervised.prior(stub) == ((0.2, 0.8),)  # as its kept head, the second, numbers them


@pytest.mark.parametrize(("n_clusters", "in_use"), [(None, 2), (3, 3), (6, 3), ((5, 2), 3)])
def test_balance_asks_for_one_category_more_than_there_are_classes(n_clusters, in_use):
    supervised, rows = supervision(n_clusters=n_clusters)
    supervised.assign(Stub(rows.take(torch.tensor([9]))), learned=False)
    sizes = torch.zeros(1, supervised.spec.categories[0])
    sizes[0, :in_use] = 1 / in_use

    slack = supervised.draw().slack

    assert losses.imbalance(sizes, slack).item() == pytest.approx(0, abs=1e-6)
    assert losses.imbalance(sizes, slack - 0.01).item() > 0.005


def test_heads_are_judged_by_labelled_rows():
    supervised, rows = supervision()

    nll = supervised.head_nll(Stub(rows.take(torch.tensor([9]))))

    expected = [np.log1p(np.exp(-1.0)), np.log1p(np.exp(-3.0))]
    np.testing.assert_allclose(nll, expected, rtol=1e-5)


def test_label_nll_is_cross_entropy_over_the_heads_that_lets_a_tenth_be_wrong():
    spec = CodeSpec((3, 2), 0, 0)
    logits = torch.randn((2, 5, 5), generator=torch.Generator().manual_seed(0))
    categories = torch.tensor([[0, 1, 2, 0, 1], [2, 2, 1, 0, 0]])
    uniform = LabelledBatch(torch.empty(0), categories, torch.zeros(2, 3))

    q = 0.9 * logits[:, :, :3].softmax(dim=-1) + 0.1 / 3
    expected = sum(F.nll_loss(q[h].log(), categories[h]) for h in range(2))

    torch.testing.assert_close(label_nll(spec, logits, uniform), expected)


def test_a_label_against_all_evidence_is_let_go():
    """Gradient by the logit of the given category: that of cross-entropy would be -q(other)."""
    pulls = []
    for evidence in (0.0, 12.0):
        logits = torch.tensor([[[0.0, evidence]]], requires_grad=True)
        batch = LabelledBatch(torch.empty(0), torch.tensor([[0]]), torch.zeros(1, 2))
        (gradient,) = torch.autograd.grad(label_nll(CodeSpec((2,), 0, 0), logits, batch), logits)
        pulls.append(-gradient[0, 0, 0].item())

    assert pulls[0] > 0.4
    assert 0 < pulls[1] < 0.001


def test_label_nll_of_balanced_rows_teaches_the_posterior_under_the_prior():
    """Two classes that look the same: the best logits are then the log of their prior."""
    prior = torch.tensor([[0.9, 0.1]])
    batch = LabelledBatch(torch.empty(0), torch.tensor([[0, 1]]), prior.log())
    spec = CodeSpec((2,), 0, 0)
    logits = prior.log().expand(1, 2, 2).clone().requires_grad_()

    (gradient,) = torch.autograd.grad(label_nll(spec, logits, batch), logits)

    torch.testing.assert_close(gradient.sum(dim=1), torch.zeros(1, 2))


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


EDITS = {
    "unknown entry": lambda c: c.update(more=1),
    "missing entry": lambda c: c.pop("counts"),
    "unknown kind": lambda c: c.update(kind="complex128"),
    "structured kind": lambda c: c.update(kind="<i4,<i4"),
    "kind no string": lambda c: c.update(kind=["int64"]),
    "no classes": lambda c: c.update(values=[], counts=[]),
    "more classes than categories": lambda c: c.update(values=[0, 1, 2, 3], counts=[1] * 4),
    "not rising": lambda c: c.update(values=[1, 0, 2]),
    "twice the same": lambda c: c.update(values=[0, 0, 2]),
    "text among numbers": lambda c: c.update(values=[0, "1", 2]),
    "beyond the kind": lambda c: c.update(values=[0, 1, 2**70]),
    "no number": lambda c: c.update(values=[0, 1, None]),
    "count of 0": lambda c: c.update(counts=[1, 0, 1]),
    "counts of another length": lambda c: c.update(counts=[1, 1]),
    "counts no list": lambda c: c.update(counts="abc"),
}


@pytest.mark.parametrize("case", EDITS)
def test_invalid_classes_are_refused(case, model, tmp_path):
    path = tmp_path / "model.safetensors"
    save(model, path)
    _, document, arrays = container.read(path, [FORMAT_VERSION])
    EDITS[case](document["classes"])
    container.write(path, FORMAT_VERSION, document, arrays)

    with pytest.raises(ValueError, match="can't be loaded"):
        load(path)
