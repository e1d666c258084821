"""The public face: shapes, dtypes, ranges, persistence, callbacks."""

import copy
import io
import pickle
import warnings
from functools import partial
from itertools import pairwise
from typing import ClassVar

import joblib
import numpy as np
import pytest
from conftest import CLASSES, TABLE, assert_same_model
from conftest import DIGITS as ALL_DIGITS
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import Pipeline
from skorch.callbacks import Callback, EarlyStopping

from sklearn_binfogan import AffineMove, BInfoGANTransformer, GaussianNoise, load, save

DIGITS = ALL_DIGITS[:100]
WIDE = np.random.default_rng(0).random((40, 9 * 13))
COLOUR = np.random.default_rng(0).random((40, 8 * 9 * 3))
BUDGET = {"n_clusters": 3, "warmup_iter": 4, "max_iter": 4, "random_state": 0}
DATA = {
    "table": (TABLE, {}),
    "digits": (DIGITS, {"image_shape": (8, 8)}),
    "9 x 13": (WIDE, {"image_shape": (9, 13)}),
    "colour": (COLOUR, {"image_shape": (8, 9, 3)}),
}
CODES = {
    "one code": {},
    "two codes": {"n_clusters": (3, 4)},
    "a tuple of one": {"n_clusters": (3,)},
    "no continuous": {"n_continuous": 0},
    "no noise": {"n_noise": 0},
    "categories alone": {"n_continuous": 0, "n_noise": 0},
    "one cluster": {"n_clusters": 1},
    "one cluster alone": {"n_clusters": 1, "n_continuous": 0, "n_noise": 0},
}


def fit(X, **params):
    return BInfoGANTransformer(**{**BUDGET, **params}).fit(X)


def sizes(estimator):
    n_clusters = estimator.n_clusters
    categories = n_clusters if isinstance(n_clusters, tuple) else (n_clusters,)
    n_noise = estimator.n_noise
    if n_noise == "auto":
        n_noise = 8 if estimator.image_shape is None else 16
    return categories, estimator.n_continuous, n_noise


@pytest.mark.parametrize("codes", CODES)
@pytest.mark.parametrize("kind", ["table", "digits"])
def test_shapes_dtypes_and_ranges(kind, codes):
    X, params = DATA[kind]
    check_everything(X, fit(X, **params, **CODES[codes]))


@pytest.mark.parametrize("kind", ["9 x 13", "colour"])
def test_images_of_any_size(kind):
    X, params = DATA[kind]
    check_everything(X, fit(X, **params, n_clusters=(3, 2)))


def check_everything(X, estimator):
    """Assert what every method gives back, for one fitted model."""
    categories, n_continuous, n_noise = sizes(estimator)
    n_categorical, n, n_codes = sum(categories), len(X), len(categories)
    width = n_categorical + n_continuous
    label_shape = (n,) if n_codes == 1 else (n, n_codes)

    codes = estimator.transform(X)
    assert codes.shape == (n, width)
    assert codes.dtype == X.dtype
    edges = np.cumsum((0, *categories))
    parts = [codes[:, a:b] for a, b in pairwise(edges)]
    assert codes[:, :n_categorical].min() >= 0
    for part in parts:
        np.testing.assert_allclose(part.sum(axis=1), 1, rtol=1e-6)

    labels = estimator.predict(X)
    assert labels.shape == label_shape
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(estimator.labels_, labels)
    modes = np.stack([part.argmax(axis=1) for part in parts], axis=1)
    np.testing.assert_array_equal(labels.reshape(n, n_codes), modes)

    proba = estimator.predict_proba(X)
    assert isinstance(proba, np.ndarray if n_codes == 1 else list)
    for given, part in zip([proba] if n_codes == 1 else proba, parts, strict=True):
        np.testing.assert_array_equal(given, part)

    estimator.set_params(include_noise=True)
    full = estimator.transform(X)
    assert full.shape == (n, width + n_noise)
    np.testing.assert_array_equal(full[:, :width], codes)
    assert codes.flags.owndata  # it does not hold the noise in memory
    assert np.abs(full[:, width:]).max(initial=0) <= 1
    assert len(estimator.get_feature_names_out()) == width + n_noise
    estimator.set_params(include_noise=False)
    assert len(estimator.get_feature_names_out()) == width

    rebuilt = check_decoding(X, estimator, codes, full)

    drawn, drawn_labels = estimator.sample(n, random_state=0)
    assert drawn.shape == X.shape
    assert drawn.dtype == X.dtype
    assert drawn_labels.shape == label_shape
    assert drawn_labels.dtype == np.int64
    assert np.isfinite(drawn).all()
    if estimator.image_shape is not None:
        for images in (rebuilt, drawn):
            assert images.min() >= X.min() - 1e-5
            assert images.max() <= X.max() + 1e-5

    assert 0 <= estimator.score(X) <= 1
    assert isinstance(estimator.score(X), float)
    assert estimator.n_features_in_ == X.shape[1]
    assert estimator.n_iter_ == 8


def check_decoding(X, estimator, codes, full):
    """Assert that codes of either width, hard or soft, become rows; give those of the codes."""
    categories, _, n_noise = sizes(estimator)
    zero_noise = np.hstack([codes, np.zeros((len(X), n_noise))])
    rebuilt = estimator.inverse_transform(codes)
    assert rebuilt.shape == X.shape
    assert rebuilt.dtype == X.dtype  # of the rows of fit, whatever that of the codes
    np.testing.assert_allclose(rebuilt, estimator.inverse_transform(zero_noise))
    assert estimator.inverse_transform(full.astype(np.float32)).dtype == X.dtype
    soft = np.zeros((1, codes.shape[1]))
    soft[:, : sum(categories)] = np.repeat(1 / np.array(categories), categories)
    assert np.isfinite(estimator.inverse_transform(soft)).all()
    return rebuilt


def test_defaults_of_sample():
    estimator = fit(TABLE)

    X, labels = estimator.sample()

    assert X.shape == (1, 4)
    assert labels.shape == (1,)


@pytest.fixture(scope="module")
def trained():
    return fit(TABLE, warmup_iter=200, max_iter=200)


def test_sample_of_a_cluster(trained):
    for cluster in (1, np.int64(2), (0,), [2]):
        X, labels = trained.sample(50, cluster=cluster, random_state=0)
        wanted = np.ravel(cluster)[0]
        np.testing.assert_array_equal(labels, np.full(50, wanted))
        assert np.mean(trained.predict(X) == wanted) > 0.8


def test_sample_of_clusters_of_several_codes():
    estimator = fit(TABLE, n_clusters=(3, 4))

    _, both = estimator.sample(200, cluster=(2, 1), random_state=0)
    _, first = estimator.sample(200, cluster=(2, None), random_state=0)
    _, second = estimator.sample(200, cluster=[None, 3], random_state=0)
    _, free = estimator.sample(200, cluster=(None, None), random_state=0)

    np.testing.assert_array_equal(both, np.tile([2, 1], (200, 1)))
    assert set(first[:, 0]) == {2}
    assert set(first[:, 1]) == set(range(4))
    assert set(second[:, 0]) == set(range(3))
    assert set(second[:, 1]) == {3}
    np.testing.assert_array_equal(free, estimator.sample(200, random_state=0)[1])


def test_samples_follow_the_labels_they_come_with(trained):
    X, labels = trained.sample(200, random_state=0)

    assert np.mean(trained.predict(X) == labels) > 0.8


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({"n_clusters": 2}, "cluster0 cluster1 continuous0 continuous1"),
        (
            {"n_clusters": (1, 2), "n_continuous": 0},
            "cluster0_0 cluster1_0 cluster1_1",
        ),
        (
            {"n_clusters": 1, "n_continuous": 1, "n_noise": 2, "include_noise": True},
            "cluster0 continuous0 noise0 noise1",
        ),
    ],
)
def test_feature_names(params, names):
    assert fit(TABLE, **params).get_feature_names_out().tolist() == names.split()


@pytest.mark.parametrize(
    ("dtype", "out"),
    [(np.uint8, np.float32), (np.float32, np.float32), (np.float64, np.float64)],
)
@pytest.mark.parametrize("image_shape", [None, (8, 8)])
def test_input_dtypes(dtype, out, image_shape):
    X = DIGITS.astype(dtype)

    estimator = fit(X, image_shape=image_shape)

    assert estimator.transform(X).dtype == out
    assert estimator.inverse_transform(estimator.transform(X)).dtype == out
    np.testing.assert_allclose(
        estimator.transform(X), estimator.transform(DIGITS), rtol=1e-3, atol=1e-4
    )


def test_uint8_trains_as_float32_does():
    one, other = (fit(DIGITS.astype(t), image_shape=(8, 8)) for t in (np.uint8, np.float32))

    np.testing.assert_allclose(one.transform(DIGITS), other.transform(DIGITS), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_read_only_and_strided_input(dtype):
    X = DIGITS.astype(dtype)
    expected = fit(X, image_shape=(8, 8)).transform(X)
    frozen = X.copy()
    frozen.setflags(write=False)
    strided = np.asfortranarray(X)

    for given in (frozen, strided):
        estimator = fit(given, image_shape=(8, 8))
        # Strides may move the last bit of an inference, but not the training.
        np.testing.assert_array_equal(estimator.transform(X), expected)
        np.testing.assert_allclose(estimator.transform(given), expected, rtol=1e-4, atol=1e-5)
        estimator.partial_fit(given)
        np.testing.assert_array_equal(given, X)


def test_clusters_are_numbered_by_falling_size():
    X = np.vstack(
        [
            center + 0.1 * np.random.default_rng(0).normal(size=(n, 2))
            for center, n in (((0, 0), 10), ((9, 0), 20), ((0, 9), 50))
        ]
    )

    estimator = fit(X, warmup_iter="auto", max_iter="auto")

    counts = np.bincount(estimator.labels_, minlength=3)
    assert (np.diff(counts) <= 0).all()
    assert counts.tolist() == estimator.diagnostics_["cluster_sizes"]
    several = fit(X, n_clusters=(3, 4))
    for column, k, found in zip(
        several.labels_.T, (3, 4), several.diagnostics_["cluster_sizes"], strict=True
    ):
        counts = np.bincount(column, minlength=k)
        assert (np.diff(counts) <= 0).all()
        assert counts.tolist() == found


def test_clone_is_unfitted_and_trains_alike():
    estimator = fit(TABLE, image_shape=None, mi_weight=0.5)

    twin = clone(estimator)

    assert not hasattr(twin, "labels_")
    assert twin.get_params() == estimator.get_params()
    np.testing.assert_array_equal(twin.fit(TABLE).transform(TABLE), estimator.transform(TABLE))


def test_a_subclass_may_fix_parameters():
    class Short(BInfoGANTransformer):
        def __init__(self, n_clusters=3, random_state=None):
            super().__init__(n_clusters, warmup_iter=6, max_iter=4, random_state=random_state)

    gan = Short(random_state=0).fit(TABLE)
    assert gan.n_iter_ == 10
    assert_same_model(
        gan, BInfoGANTransformer(3, warmup_iter=6, max_iter=4, random_state=0).fit(TABLE), TABLE
    )
    assert gan.partial_fit(TABLE).n_iter_ == 11


def test_a_second_fit_takes_other_data():
    estimator = fit(TABLE)
    estimator.set_params(image_shape=(8, 8), n_clusters=2).fit(DIGITS)

    assert estimator.transform(DIGITS).shape == (100, 4)
    assert estimator.n_features_in_ == 64
    assert estimator.n_iter_ == 8


def test_y_is_ignored():
    one, other = fit(TABLE), BInfoGANTransformer(**BUDGET).fit(TABLE, CLASSES)

    np.testing.assert_array_equal(one.transform(TABLE), other.transform(TABLE))
    np.testing.assert_array_equal(BInfoGANTransformer(**BUDGET).fit_predict(TABLE), one.labels_)
    np.testing.assert_array_equal(
        BInfoGANTransformer(**BUDGET).fit_transform(TABLE, CLASSES), one.transform(TABLE)
    )


def test_pipeline():
    pipe = Pipeline(
        [
            ("binfogan", BInfoGANTransformer(3, random_state=0)),
            ("clf", LogisticRegression()),
        ]
    )

    assert pipe.fit(TABLE, CLASSES).score(TABLE, CLASSES) > 0.8


def test_partial_fit_goes_through_both_phases():
    estimator = BInfoGANTransformer(**{**BUDGET, "warmup_iter": 10}, batch_size=15)

    for call in range(1, 5):
        assert estimator.partial_fit(TABLE) is estimator
        assert estimator.n_iter_ == 4 * call

    phases = [epoch["phase"] for epoch in estimator.history_]
    assert phases == sorted(phases)
    assert set(phases) == {"consistency", "game"}
    codes = estimator.transform(TABLE)
    estimator.partial_fit(TABLE[:2])
    assert estimator.n_iter_ == 17
    assert not np.array_equal(estimator.transform(TABLE), codes)
    with pytest.raises(ValueError, match="expecting 4 features"):
        estimator.partial_fit(TABLE[:, :2])


def test_an_untrained_generator_warns():
    gan = BInfoGANTransformer(3, warmup_iter=2, random_state=0).partial_fit(TABLE)
    codes = gan.transform(TABLE)
    for use in (gan.sample, partial(gan.inverse_transform, codes)):
        with pytest.warns(ConvergenceWarning, match="game has had no step, .* had 1 of 2"):
            use()

    gan.partial_fit(TABLE).partial_fit(TABLE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gan.sample()
        gan.inverse_transform(codes)


def test_partial_fit_goes_on_after_fit_and_keeps_numbers():
    estimator = fit(TABLE, warmup_iter=300, max_iter=100)
    labels = estimator.labels_

    estimator.partial_fit(TABLE[::-1].copy())

    assert estimator.n_iter_ == 401
    assert np.mean(estimator.predict(TABLE) == labels) > 0.9


@pytest.mark.parametrize("n_clusters", [3, (3, 2)])
def test_clusters_keep_their_numbers_between_calls_of_partial_fit(n_clusters):
    X, _ = make_blobs(300, centers=3, random_state=0)
    estimator = BInfoGANTransformer(
        n_clusters, warmup_iter=24, max_iter=5, batch_size=50, random_state=0
    ).partial_fit(X)

    for _ in range(5):
        before = estimator.labels_
        after = estimator.partial_fit(X).labels_
        assert np.mean(after == before) > 0.8
        np.testing.assert_array_equal(after, estimator.predict(X))


def test_partial_fit_after_a_round_trip_is_bit_equal():
    one = fit(TABLE)
    other = pickle.loads(pickle.dumps(one))

    one.partial_fit(TABLE)
    other.partial_fit(TABLE)

    np.testing.assert_array_equal(one.transform(TABLE), other.transform(TABLE))


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize(("n_rows", "batch_size"), [(3, 1), (5, 128), (60, 1), (7, 4)])
def test_small_batches(kind, n_rows, batch_size):
    X, params = DATA[kind]

    estimator = fit(X[:n_rows], **params, batch_size=batch_size)

    assert np.isfinite(estimator.transform(X)).all()
    assert estimator.transform(X[:1]).shape == (1, 5)


@pytest.mark.parametrize("kind", ["table", "digits"])
def test_one_row(kind):
    X, params = DATA[kind]

    estimator = fit(X[:1], **params, n_clusters=1)

    assert np.isfinite(estimator.transform(X[:1])).all()
    assert np.isfinite(estimator.sample(2, random_state=0)[0]).all()


def dump_pickle(estimator):
    return pickle.loads(pickle.dumps(estimator))


def dump_joblib(estimator):
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


@pytest.fixture(scope="module", params=["table", "digits"])
def of_two_codes(request):
    X, params = DATA[request.param]
    return X, fit(X, **params, n_clusters=(2, 3))


@pytest.mark.parametrize("copied", [dump_pickle, dump_joblib, copy.deepcopy, copy.copy])
def test_round_trips(of_two_codes, copied):
    X, estimator = of_two_codes

    twin = copied(estimator)

    codes = estimator.transform(X)
    np.testing.assert_array_equal(twin.transform(X), codes)
    np.testing.assert_array_equal(twin.inverse_transform(codes), estimator.inverse_transform(codes))
    np.testing.assert_array_equal(
        twin.sample(4, random_state=1)[0], estimator.sample(4, random_state=1)[0]
    )
    np.testing.assert_array_equal(twin.labels_, estimator.labels_)
    assert twin.history_[:, "train_loss"] == estimator.history_[:, "train_loss"]
    assert twin.diagnostics_ == estimator.diagnostics_
    assert twin.score(X) == estimator.score(X)


def test_unfitted_estimator_pickles():
    assert dump_pickle(BInfoGANTransformer(4)).get_params()["n_clusters"] == 4


def test_state_holds_no_tensors():
    seen = []

    class Finder(pickle.Unpickler):
        def find_class(self, module, name):
            seen.append(f"{module}.{name}")
            return super().find_class(module, name)

    estimator = fit(DIGITS, image_shape=(8, 8))
    Finder(io.BytesIO(pickle.dumps(estimator))).load()

    assert seen
    assert not [name for name in seen if name.startswith(("torch", "skorch"))]


# -- callbacks, history, progress ------------------------------------------------------------------


class Counter(Callback):
    """A user's own callback."""

    def __init__(self):
        self.events = []

    def on_train_begin(self, net, **kwargs):
        self.events.append("begin")

    def on_epoch_end(self, net, **kwargs):
        self.events.append(net.history[-1]["phase"])

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            self.events.append("step")

    def on_train_end(self, net, **kwargs):
        self.events.append("end")


def test_a_users_callback():
    counter = Counter()

    estimator = fit(TABLE, callbacks=[counter], warmup_iter=60, max_iter=40)

    assert counter.events.count("step") == 100 == estimator.n_iter_
    assert counter.events.count("consistency") == 2
    assert counter.events.count("game") == 1
    assert counter.events[0] == "begin"
    assert counter.events[-1] == "end"


def test_named_callbacks():
    counter = Counter()

    fit(TABLE, callbacks=[("counter", counter)])

    assert counter.events.count("step") == 8


def test_early_stopping():
    stopping = EarlyStopping(patience=2, threshold=10.0, sink=lambda text: None)

    estimator = fit(TABLE, callbacks=[stopping], warmup_iter=50, max_iter=2000)

    assert estimator.n_iter_ < 600
    assert np.isfinite(estimator.transform(TABLE)).all()


def test_verbose_shows_a_bar(capsys):
    fit(TABLE, verbose=1)

    shown = "".join(capsys.readouterr())
    assert "8/8" in shown
    assert "Game" in shown


@pytest.mark.parametrize(("n_init", "end"), [(1, "8/8"), (2, "4/4")])
def test_verbose_with_restarts(capsys, n_init, end):
    """One bar over both phases; with several starts one per phase, as not all go on."""
    fit(TABLE, verbose=1, n_init=n_init)

    assert end in "".join(capsys.readouterr())


def test_silent_by_default(capsys):
    fit(TABLE)

    assert "".join(capsys.readouterr()) == ""


def test_history():
    estimator = fit(TABLE, warmup_iter=120, max_iter=60)

    history = estimator.history_
    assert [e["phase"] for e in history] == ["consistency"] * 3 + ["game"] * 2
    assert np.isfinite(history[:, "train_loss"]).all()
    valid = history[:, "valid_loss"]
    assert all(0 <= loss <= 1 for loss in valid)
    assert [e["epoch"] for e in history] == [1, 2, 3, 4, 5]


def test_generator_scores_after_its_start():
    """An untrained G, however lucky, is not part of what the consistency phase is judged by."""
    estimator = fit(TABLE, warmup_iter=50, max_iter=50)

    before, after = (1 - np.array(estimator.history_[:, "valid_loss"])).tolist()
    sure = 12 / 14 * np.log(1 + 3) / np.log(1 + 100)  # of three categories, without G's parts
    assert 0.2 < before <= sure < after


# -- budgets, architectures, scores ----------------------------------------------------------------


def test_no_game():
    estimator = fit(TABLE, max_iter=0)

    assert estimator.n_iter_ == 4
    assert {e["phase"] for e in estimator.history_} == {"consistency"}
    assert np.isfinite(estimator.sample(3, random_state=0)[0]).all()


@pytest.mark.parametrize("kind", DATA)
def test_no_consistency_phase(kind):
    X, params = DATA[kind]

    estimator = fit(X, **params, warmup_iter=0)

    assert estimator.n_iter_ == 4
    assert {e["phase"] for e in estimator.history_} == {"game"}
    assert np.isfinite(estimator.transform(X)).all()


@pytest.mark.parametrize(
    ("kind", "augmentation"),
    [
        ("table", None),
        ("table", "noise"),
        ("table", GaussianNoise(0.1)),
        ("table", lambda x, rng: x * 1.01),
        ("digits", None),
        ("digits", "affine"),
        ("digits", "noise"),
        ("digits", AffineMove(rotation=0.1)),
    ],
)
def test_augmentations(kind, augmentation):
    X, params = DATA[kind]

    assert np.isfinite(fit(X, **params, augmentation=augmentation).transform(X)).all()


@pytest.mark.parametrize(
    "params", [{"cycle_weight": 0}, {"consistency_weight": 0}, {"mi_weight": 0}]
)
def test_weights_of_zero(params):
    assert np.isfinite(fit(TABLE, **params).transform(TABLE)).all()


def test_training_raises_the_score():
    untrained = fit(TABLE, warmup_iter=1, max_iter=1)
    trained = fit(TABLE, warmup_iter="auto", max_iter="auto")

    assert 0 <= untrained.score(TABLE) < trained.score(TABLE) <= 1
    assert trained.diagnostics_["score"] == pytest.approx(trained.score(TABLE))


def test_distinctness_counts_twelve_times_in_the_score():
    measures = fit(TABLE).diagnostics_
    parts = [measures[part] for part in ("distinctness", "recovery", "reconstruction")]

    assert measures["score"] == pytest.approx((12 * parts[0] + parts[1] + max(parts[2], 0)) / 14)


def test_restarts_keep_the_best():
    seeds = np.random.RandomState(0).randint(2**31 - 1, size=3)
    assert len(set(seeds)) == 3

    several = fit(TABLE, n_init=3)

    assert several.n_iter_ == 8
    assert several.score(TABLE) >= fit(TABLE).score(TABLE) - 0.05


def test_a_bool_is_a_number_of_starts_as_in_scikit_learn():
    np.testing.assert_array_equal(fit(TABLE, n_init=True).labels_, fit(TABLE).labels_)


class CountPhases(Callback):
    """Counts how often each phase ends, over all starts; copied with them, so kept in the class."""

    ended: ClassVar[list[str]] = []

    def on_train_end(self, net, **kwargs):
        self.ended.append(net.training.phase.name)


def test_only_the_best_start_plays_the_game():
    CountPhases.ended.clear()

    fit(TABLE, n_init=5, callbacks=[CountPhases()])

    assert CountPhases.ended == ["consistency"] * 5 + ["game"]


@pytest.mark.parametrize("made", [{"n_init": 2}, {"n_init": 1}])
def test_image_codes_do_not_depend_on_the_batch(made):
    """A model that was rebuilt from its state must be in evaluation mode, too."""
    estimator = fit(DIGITS, image_shape=(8, 8), **made)

    for model in (estimator, dump_pickle(estimator)):
        codes = model.transform(DIGITS)
        np.testing.assert_allclose(model.transform(DIGITS[:5]), codes[:5], rtol=1e-6, atol=1e-9)


def test_tables_keep_their_units():
    X = TABLE * [1e-3, 1, 1e3, 1e6] + [5, -100, 1e4, 0]
    estimator = fit(X, warmup_iter="auto", max_iter="auto", include_noise=True, n_noise=4)

    rebuilt = estimator.inverse_transform(estimator.transform(X))
    drawn = estimator.sample(300, random_state=0)[0]

    for column in range(4):
        assert np.corrcoef(X[:, column], rebuilt[:, column])[0, 1] > 0.7
    np.testing.assert_allclose(rebuilt.mean(axis=0), X.mean(axis=0), atol=X.std(axis=0).max())
    assert (np.abs(drawn.mean(axis=0) - X.mean(axis=0)) < X.std(axis=0)).all()
    assert adjusted_rand_score(CLASSES, estimator.labels_) > 0.4


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (100, 355)])
def test_images_keep_their_range(low, high):
    X = DIGITS / 16 * (high - low) + low
    estimator = fit(X, image_shape=(8, 8), warmup_iter=10, max_iter=60)

    rebuilt = estimator.inverse_transform(estimator.transform(X))

    for images in (rebuilt, estimator.sample(50, random_state=0)[0]):
        assert images.min() >= low - 1e-4 * (high - low)
        assert images.max() <= high + 1e-4 * (high - low)
    assert np.corrcoef(X.ravel(), rebuilt.ravel())[0, 1] > 0.4


def test_images_are_fitted_where_transformers_give_data_frames():
    expected = fit(DIGITS, image_shape=(8, 8)).labels_
    with config_context(transform_output="pandas"):
        np.testing.assert_array_equal(fit(DIGITS, image_shape=(8, 8)).labels_, expected)


@pytest.mark.parametrize("prior", ["uniform", "learned"])
def test_dark_images_on_white_are_treated_as_bright_ones_on_black(prior, tmp_path):
    images = DIGITS.astype(np.uint8)
    on_black, on_white = (
        fit(X, image_shape=(8, 8), warmup_iter=8, cluster_prior=prior)
        for X in (images, 255 - images)
    )

    np.testing.assert_array_equal(on_white.labels_, on_black.labels_)
    codes = on_white.transform(255 - images)
    np.testing.assert_array_equal(codes, on_black.transform(images))
    rebuilt = on_white.inverse_transform(codes)
    np.testing.assert_allclose(rebuilt, 255 - on_black.inverse_transform(codes), atol=1e-3)
    assert on_white.score(255 - images) == on_black.score(images)
    save(on_white, tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.inverse_transform(codes), rebuilt)


def test_a_network_without_bounds_draws_no_pixels_outside_the_range():
    estimator = fit(DIGITS, image_shape=(8, 8), architecture="mlp", warmup_iter=40, max_iter=100)

    images, _ = estimator.sample(50, random_state=0)

    assert images.min() == 0
    assert images.max() == 16


def test_modes_of_numpy_change_nothing():
    X = np.random.default_rng(0).normal(size=(120, 4))
    with np.errstate(all="raise"):
        one = fit(X)

    np.testing.assert_array_equal(one.transform(X), fit(X).transform(X))


def test_memory_maps(tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, TABLE)
    mapped = np.load(path, mmap_mode="r")

    np.testing.assert_array_equal(fit(mapped).transform(mapped), fit(TABLE).transform(TABLE))
