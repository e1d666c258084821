"""Bad input: a clear error before any training, and nothing changed."""

import pickle
import re
from functools import cache

import numpy as np
import pytest
import scipy.sparse
from conftest import DIGITS
from conftest import TABLE as X
from sklearn.exceptions import NotFittedError

from sklearn_binfogan import (
    AffineMove,
    BInfoGANTransformer,
    ColourMove,
    GaussianNoise,
    SwappedValues,
)

IMAGES = DIGITS[:60]
BUDGET = {"n_clusters": 3, "warmup_iter": 20, "max_iter": 20, "random_state": 0}


def with_value(value):
    bad = X.copy()
    bad[3, 1] = value
    return bad


@cache
def stored(n_clusters):
    return pickle.dumps(BInfoGANTransformer(**{**BUDGET, "n_clusters": n_clusters}).fit(X))


def fitted_anew(n_clusters=3):
    """Return a fitted model that a test may change; it is trained once."""
    return pickle.loads(stored(n_clusters))


@pytest.fixture(scope="module")
def fitted():
    return fitted_anew()


def assert_fails_and_changes_nothing(params, data, error, message, method="fit"):
    """Neither an unfitted nor a fitted estimator is changed by the failing call."""
    fresh = BInfoGANTransformer(**{**BUDGET, **params})
    state = dict(vars(fresh))
    with pytest.raises(error, match=message):
        getattr(fresh, method)(data)
    assert vars(fresh) == state
    with pytest.raises(NotFittedError):
        fresh.predict(X)

    used = fitted_anew()
    names, codes, samples = set(vars(used)), used.transform(X), used.sample(5, random_state=0)[0]
    used.set_params(**params)
    with pytest.raises(error, match=message):
        getattr(used, method)(data)
    assert set(vars(used)) == names
    used.set_params(**{name: BInfoGANTransformer(**BUDGET).get_params()[name] for name in params})
    np.testing.assert_array_equal(used.transform(X), codes)
    np.testing.assert_array_equal(used.sample(5, random_state=0)[0], samples)
    np.testing.assert_array_equal(used.labels_, used.predict(X))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        pytest.param(with_value(np.nan), ValueError, "contains NaN", id="nan"),
        pytest.param(with_value(np.inf), ValueError, "contains infinity", id="inf"),
        pytest.param(with_value(-np.inf), ValueError, "contains infinity", id="-inf"),
        pytest.param(scipy.sparse.csr_matrix(X), TypeError, r"(?i)dense", id="sparse matrix"),
        pytest.param(scipy.sparse.csr_array(X), TypeError, r"(?i)dense", id="sparse array"),
        pytest.param(X[:2], ValueError, r"n_samples=2 .* n_clusters=3", id="few rows"),
        pytest.param(X[:0], ValueError, "minimum of 1 is required", id="no rows"),
        pytest.param(X[0], ValueError, "Expected 2D array", id="one-dimensional"),
    ],
)
def test_bad_data(data, error, message, method):
    if method == "partial_fit" and len(getattr(data, "shape", ())) == 2 and data.shape[0] == 2:
        # Later calls may bring any number of rows; only the first needs one per cluster.
        with pytest.raises(error, match=message):
            BInfoGANTransformer(**BUDGET).partial_fit(data)
        return
    assert_fails_and_changes_nothing({}, data, error, message, method)


def test_fewer_rows_than_the_largest_code():
    assert_fails_and_changes_nothing(
        {"n_clusters": (2, 61)}, X, ValueError, r"n_samples=60 .* n_clusters=61"
    )


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((8, 9), r"\(8, 9\).* 72 .*64"),
        ((8, 8, 3), r"192 .*64"),
        ((64,), "image_shape"),
        ((4, 16), "at least 8 x 8"),
        ((8.0, 8.0), "image_shape"),
        ((-8, -8), "image_shape"),
        ((), "image_shape"),
        (64, "image_shape"),
        ("88", "image_shape"),
    ],
)
def test_image_shape(shape, message):
    estimator = BInfoGANTransformer(**BUDGET, image_shape=shape)
    state = dict(vars(estimator))

    with pytest.raises(ValueError, match=message):
        estimator.fit(IMAGES)

    assert vars(estimator) == state


@pytest.mark.parametrize(
    "n_clusters", [0, -1, 2.0, 2.5, "3", "auto", None, (), (3, 0), (3, 2.0), (3, "2"), True, [3, 4]]
)
def test_n_clusters(n_clusters):
    assert_fails_and_changes_nothing({"n_clusters": n_clusters}, X, ValueError, "n_clusters")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_continuous", -1),
        ("n_continuous", 1.5),
        ("n_noise", -1),
        ("mi_weight", -0.1),
        ("mi_weight", np.nan),
        ("mi_weight", np.inf),
        pytest.param("mi_weight", 10**400, id="mi_weight, too large for a float"),
        ("mi_weight", "auto"),
        ("consistency_weight", -1),
        ("consistency_weight", np.nan),
        ("cycle_weight", -1.0),
        ("cycle_weight", np.inf),
        ("warmup_iter", -1),
        ("max_iter", -1),
        ("max_iter", 2.5),
        ("batch_size", 0),
        ("batch_size", -4),
        ("learning_rate", 0),
        ("learning_rate", -1e-3),
        ("learning_rate", np.nan),
        ("discriminator_learning_rate", -1e-3),
        ("discriminator_learning_rate", np.inf),
        ("discriminator_learning_rate", 1e39),
        ("n_init", 0),
        ("n_init", 10**9),
        ("n_noise", 10**9),
        ("n_continuous", 2**62),
        pytest.param("max_iter", 10**400, id="max_iter, too large for a float"),
        ("adversarial_loss", "hinge"),
        ("include_noise", "yes"),
        ("random_state", "seed"),
        ("callbacks", 3),
        ("device", None),
        ("n_jobs", "two"),
    ],
)
def test_parameter_values(name, value):
    assert_fails_and_changes_nothing({name: value}, X, ValueError, name)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("architecture", ["auto", "mlp", "conv"]),
        ("device", ["auto", "cpu", "cuda", "mps"]),
        ("augmentation", ["auto", "affine", "noise"]),
        ("adversarial_loss", ["auto", "nonsaturating", "relativistic"]),
    ],
)
def test_unknown_name_lists_the_known_ones(name, known):
    assert_fails_and_changes_nothing({name: "nonsense"}, X, ValueError, "nonsense")
    with pytest.raises(ValueError, match=name) as caught:
        BInfoGANTransformer(**BUDGET).set_params(**{name: "nonsense"}).fit(X)
    assert all(f"'{word}" in str(caught.value) for word in known)


@pytest.mark.parametrize("device", ["cuda:x", "cuda:99", "cpu:x", "cpu:", "gpu", ""])
def test_device_that_is_not_there(device):
    assert_fails_and_changes_nothing({"device": device}, X, ValueError, "device")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("architecture", "conv"),
        ("augmentation", "affine"),
        ("augmentation", AffineMove()),
        ("augmentation", ColourMove(AffineMove())),
    ],
)
def test_image_options_need_images(name, value):
    assert_fails_and_changes_nothing({name: value}, X, ValueError, "image_shape")


def test_architecture_without_build():
    assert_fails_and_changes_nothing({"architecture": object()}, X, ValueError, "build")


@pytest.mark.parametrize("built", [(1, 2), (1, 2, 3), None])
def test_architecture_that_builds_something_else(built):
    class Own:
        def build(self, spec, shape):
            return built

    message = f"encoder, generator and discriminator; got {re.escape(repr(built))}"
    assert_fails_and_changes_nothing({"architecture": Own()}, X, ValueError, message)


@pytest.mark.parametrize(
    ("augmentation", "message"),
    [
        (lambda x, rng: x.double(), "must return a tensor of .*float32 on cpu; got .*float64"),
        (
            lambda x, rng: x[:5],
            r"a tensor of shape \(8, 4\).*; got one of shape \(5, 4\)",
        ),
        (lambda x, rng: None, "must return a tensor .*; got None"),
        (lambda x, rng: x.numpy(), "must return a tensor .*; got array"),
        (lambda x, rng: x.add_(1), "changes its input"),
        (lambda x: x, r"must be a function \(x, rng\).*takes 1 positional argument"),
        (GaussianNoise, r"GaussianNoise'> is a class: pass an object"),
        (AffineMove, r"AffineMove'> is a class: pass an object"),
    ],
)
def test_augmentation_with_another_result(augmentation, message):
    with pytest.raises(ValueError, match=message):
        BInfoGANTransformer(**BUDGET).set_params(augmentation=augmentation).fit(X)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianNoise("much"), "deviation of GaussianNoise .* got 'much'"),
        (lambda: GaussianNoise(float("inf")), "deviation of GaussianNoise .* got inf"),
        (lambda: GaussianNoise(10**400), r"number from 0 to 1e\+38; got 1000"),
        (lambda: AffineMove(rotation=-1), r"rotation of AffineMove .* from 0 to 1e\+38; got -1"),
        (lambda: AffineMove(warp=float("nan")), "warp of AffineMove .* got nan"),
        (lambda: ColourMove(AffineMove(), clutter=-1), "clutter of ColourMove .* got -1"),
        (lambda: ColourMove(3), r"move of ColourMove must be an AffineMove\(\); got 3"),
        (lambda: ColourMove(AffineMove), r"must be an AffineMove\(\); got <class .*AffineMove'>"),
    ],
)
def test_numbers_of_augmentations(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_codes_for_which_rows_overflow():
    gan = BInfoGANTransformer(**BUDGET).fit(X.astype(np.float32))
    codes = np.full((2, gan.transform(X).shape[1]), 1e39)
    with pytest.raises(ValueError, match=r"infinite rows for codes of magnitude 1e\+39"):
        gan.inverse_transform(codes)


def test_strings_are_no_flags(fitted):
    with pytest.raises(ValueError, match="from_prior must be a bool; got 'False'"):
        fitted.sample(3, from_prior="False")


@pytest.mark.parametrize(
    ("groups", "share", "noise"),
    [
        ((1,), 0.3, GaussianNoise(0.1)),
        ((0, 0, 0, 0, 1), 0.3, GaussianNoise(0.1)),
        ((0, 0, -1, 1), 0.3, GaussianNoise(0.1)),
        ((0, 0, 5, 1), 0.3, GaussianNoise(0.1)),
        ((0, 0, 0.5, 1), 0.3, GaussianNoise(0.1)),
        ([0, 0, 1, 1], 0.3, GaussianNoise(0.1)),
        ((0, 0, 1, 1), 1.5, GaussianNoise(0.1)),
        ((0, 0, 1, 1), float("nan"), GaussianNoise(0.1)),
        ((0, 0, 1, 1), 0.3, None),
    ],
)
def test_swaps_that_do_not_suit_the_table(groups, share, noise):
    swaps = SwappedValues(noise, groups, share)
    message = f"{re.escape(repr(swaps))} does not suit X"
    assert_fails_and_changes_nothing({"augmentation": swaps}, X, ValueError, message)


def test_swaps_need_a_table():
    swaps = SwappedValues(GaussianNoise(0.1), (1,) * 64)
    options = {"augmentation": swaps, "image_shape": (8, 8)}
    assert_fails_and_changes_nothing(options, DIGITS[:20], ValueError, "for tables")


def test_nothing_to_train():
    assert_fails_and_changes_nothing(
        {"warmup_iter": 0, "max_iter": 0}, X, ValueError, "warmup_iter and max_iter"
    )


@pytest.mark.parametrize("method", ["transform", "predict", "predict_proba", "score"])
@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        pytest.param(X[:, :3], ValueError, "3 features.* expecting 4 features", id="width"),
        pytest.param(with_value(np.nan), ValueError, "contains NaN", id="nan"),
        pytest.param(with_value(np.inf), ValueError, "contains infinity", id="inf"),
        pytest.param(scipy.sparse.csr_matrix(X), TypeError, r"(?i)dense", id="sparse"),
        pytest.param(X[:0], ValueError, "minimum of 1 is required", id="no rows"),
    ],
)
def test_bad_rows_for_a_fitted_model(fitted, method, data, error, message):
    with pytest.raises(error, match=message):
        getattr(fitted, method)(data)


@pytest.mark.parametrize("width", [1, 4, 6, 12, 14])
def test_codes_of_the_wrong_width(fitted, width):
    with pytest.raises(ValueError, match=rf"{width} columns.* 5 .* 13"):
        fitted.inverse_transform(np.zeros((2, width)))


def test_codes_with_nan(fitted):
    with pytest.raises(ValueError, match="contains NaN"):
        fitted.inverse_transform(np.full((2, 5), np.nan))


@pytest.mark.parametrize("cluster", [3, -1, 1.0, "1", [0, 1], [], (3,), True])
def test_sample_of_a_cluster_that_does_not_exist(fitted, cluster):
    with pytest.raises(ValueError, match=r"cluster.* 0 to 2"):
        fitted.sample(2, cluster=cluster)


@pytest.mark.parametrize("cluster", [0, (0,), (0, 3), (None, -1), (0, 1, 2), "01"])
def test_sample_of_a_cluster_that_does_not_exist_in_several_codes(cluster):
    estimator = fitted_anew((2, 3))

    with pytest.raises(ValueError, match="0 to 1, 0 to 2"):
        estimator.sample(2, cluster=cluster)


@pytest.mark.parametrize("n_samples", [0, -1, 1.5, "2", None, True])
def test_sample_without_rows(fitted, n_samples):
    with pytest.raises(ValueError, match="n_samples must be an int >= 1"):
        fitted.sample(n_samples)


@pytest.mark.parametrize(
    "use",
    [
        lambda e: e.transform(X),
        lambda e: e.predict(X),
        lambda e: e.predict_proba(X),
        lambda e: e.inverse_transform(np.zeros((1, 5))),
        lambda e: e.sample(1),
        lambda e: e.score(X),
        lambda e: e.get_feature_names_out(),
    ],
)
def test_use_before_fit(use):
    with pytest.raises(NotFittedError):
        use(BInfoGANTransformer(**BUDGET))


class NanAfter:
    """An augmentation that gives NaN from some call on; one call is the check before training."""

    def __init__(self, n_calls):
        self.n_calls = n_calls

    def __call__(self, x, rng):
        self.n_calls -= 1
        return x * np.nan if self.n_calls < 0 else x


@pytest.mark.parametrize("n_init", [1, 2])
def test_nan_loss_names_the_step(n_init):
    estimator = BInfoGANTransformer(**BUDGET, augmentation=NanAfter(6), n_init=n_init)
    state = dict(vars(estimator))

    with pytest.raises(FloatingPointError, match="step 6 of the consistency phase"):
        estimator.fit(X)

    assert vars(estimator) == state
    with pytest.raises(NotFittedError):
        estimator.transform(X)


def test_nan_loss_in_the_game_names_the_step():
    params = {**BUDGET, "warmup_iter": 0, "max_iter": 30, "consistency_weight": 1.0}
    estimator = BInfoGANTransformer(**params, augmentation=NanAfter(8))

    with pytest.raises(FloatingPointError, match="step 8 of the game"):
        estimator.fit(X)

    assert not hasattr(estimator, "labels_")


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_nan_loss_keeps_the_model_before(method):
    estimator = BInfoGANTransformer(**{**BUDGET, "warmup_iter": 100}, augmentation=NanAfter(10**6))
    getattr(estimator, method)(X)
    codes, labels, history = estimator.transform(X), estimator.labels_, len(estimator.history_)
    # The net of partial_fit holds this same object; only a new fit checks it once more.
    estimator.augmentation.n_calls = 1 if method == "fit" else 0

    with pytest.raises(FloatingPointError, match="of the consistency phase"):
        getattr(estimator, method)(X * 2)

    np.testing.assert_array_equal(estimator.transform(X), codes)
    np.testing.assert_array_equal(estimator.labels_, labels)
    assert len(estimator.history_) == history


def test_interrupt_leaves_the_estimator_unfitted():
    def interrupt(x, rng):
        raise KeyboardInterrupt

    estimator = BInfoGANTransformer(**BUDGET, augmentation=interrupt)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X)
    with pytest.raises(NotFittedError):
        estimator.predict(X)
