"""Same data and seed: bit-equal results; global state is left as found."""

import random

import numpy as np
import pytest
import torch
from conftest import DIGITS, TABLE, assert_same_model, tiny
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback

from sklearn_binfogan import BInfoGANTransformer

IMAGES = DIGITS[:80]
BUDGET = {"n_clusters": 3, "warmup_iter": 3, "max_iter": 3}
KINDS = [
    pytest.param(TABLE, {}, id="table"),
    pytest.param(IMAGES, {"image_shape": (8, 8)}, id="images"),
    pytest.param(IMAGES.astype(np.uint8), {"image_shape": (8, 8)}, id="uint8"),
]


@pytest.mark.parametrize(("X", "params"), KINDS)
def test_same_seed_gives_the_same_bits(X, params):
    one, other = (BInfoGANTransformer(**BUDGET, **params, random_state=5).fit(X) for _ in range(2))

    assert_same_model(one, other, X)


def test_the_thread_count_does_not_matter():
    before = torch.get_num_threads()
    try:
        fits = []
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            estimator = BInfoGANTransformer(**BUDGET, image_shape=(8, 8), random_state=0)
            fits.append(estimator.fit(IMAGES))
            assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)
    assert_same_model(*fits, IMAGES)


class RecordThreads(Callback):
    """Note torch's number of threads at each step."""

    def __init__(self, found):
        self.found = found

    def on_batch_begin(self, net, **kwargs):
        self.found.append(torch.get_num_threads())


def threaded(n_threads, found=None, **params):
    callbacks = None if found is None else [RecordThreads(found)]
    params = {**BUDGET, "image_shape": (8, 8), "random_state": 0, "callbacks": callbacks, **params}
    return BInfoGANTransformer(n_threads=n_threads, **params)


@pytest.fixture
def three_threads():
    """The caller's number of torch's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize(("n_threads", "used"), [(1, 1), (2, 2), ("auto", 3)])
def test_threads_that_were_asked_for_are_used_and_repeat_the_bits(n_threads, used):
    found = []
    one, other = (threaded(n_threads, found).fit(IMAGES) for _ in range(2))

    assert set(found) == {used}
    assert_same_model(one, other, IMAGES)


@pytest.mark.usefixtures("three_threads")
def test_methods_and_further_pieces_use_the_threads_that_are_set_now():
    found = []
    gan = threaded(1).partial_fit(IMAGES)
    handle = torch.nn.modules.module.register_module_forward_hook(
        lambda *_: found.append(torch.get_num_threads())
    )
    try:
        for n_threads in (2, 1):
            gan.set_params(n_threads=n_threads)
            for use in (
                gan.partial_fit,
                gan.transform,
                gan.predict,
                gan.predict_proba,
                gan.score,
                lambda X: gan.inverse_transform(gan.transform(X)),
                lambda _: gan.sample(5, random_state=0),
            ):
                use(IMAGES)
                assert set(found) == {n_threads}
                found.clear()
    finally:
        handle.remove()


@pytest.mark.usefixtures("three_threads")
def test_another_model_in_a_callback_leaves_the_fits_threads():
    found, other = [], threaded(1).fit(IMAGES)

    class Use(Callback):
        def on_batch_begin(self, net, **kwargs):
            other.transform(IMAGES[:2])

    threaded(2, callbacks=[Use(), RecordThreads(found)]).fit(IMAGES)

    assert set(found) == {2}


@pytest.mark.usefixtures("three_threads")
def test_starts_of_two_threads_give_the_same_bits_side_by_side():
    one, other = (threaded(2, n_init=2, n_jobs=n_jobs).fit(IMAGES) for n_jobs in (1, 2))

    assert_same_model(one, other, IMAGES)


@pytest.mark.parametrize("n_threads", [0, 1.5, 100_000, "all", None])
def test_a_bad_number_of_threads_is_refused_before_training(n_threads):
    found = []
    with pytest.raises(ValueError, match=rf"'n_threads' .* must be .*'auto'.* Got {n_threads!r}"):
        threaded(n_threads, found).fit(IMAGES)
    assert found == []


@pytest.mark.parametrize("n_threads", [0, True, 1.5, 100_000, "all"])
def test_a_fitted_model_quotes_a_bad_number_of_threads(n_threads):
    model = threaded(1).fit(IMAGES)
    before = torch.get_num_threads(), model.transform(IMAGES)

    model.set_params(n_threads=n_threads)
    for use in (model.transform, model.predict, model.score):
        with pytest.raises(ValueError, match=f"from 1 to 1024 or 'auto'. Got {n_threads!r}"):
            use(IMAGES)

    assert torch.get_num_threads() == before[0]
    np.testing.assert_array_equal(model.set_params(n_threads=1).transform(IMAGES), before[1])


def test_an_unfinished_fit_is_not_gone_on_with_by_other_threads(tmp_path):
    class Cut(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 2:  # after the first checkpoint
                raise MemoryError

    stored = {"checkpoint_dir": tmp_path, "checkpoint_every": 1}
    with pytest.raises(MemoryError):
        threaded(1, warmup_iter=60, callbacks=[Cut()], **stored).fit(IMAGES)
    with pytest.raises(ValueError, match="n_threads was 1 and is 2"):
        threaded(2, warmup_iter=60, **stored).fit(IMAGES)


def test_the_seed_matters():
    one, other = (BInfoGANTransformer(**BUDGET, random_state=seed).fit(TABLE) for seed in range(2))

    assert not np.array_equal(one.transform(TABLE), other.transform(TABLE))


def test_random_state_instance_is_drawn_from():
    instance = np.random.RandomState(0)
    one = BInfoGANTransformer(**BUDGET, random_state=instance).fit(TABLE)
    twin = BInfoGANTransformer(**BUDGET, random_state=np.random.RandomState(0)).fit(TABLE)
    second = BInfoGANTransformer(**BUDGET, random_state=instance).fit(TABLE)

    assert_same_model(one, twin, TABLE)
    assert not np.array_equal(one.transform(TABLE), second.transform(TABLE))


def test_a_second_fit_starts_anew():
    estimator = BInfoGANTransformer(**BUDGET, random_state=1).fit(TABLE[:40] * 3)
    estimator.fit(TABLE)

    assert_same_model(estimator, BInfoGANTransformer(**BUDGET, random_state=1).fit(TABLE), TABLE)


def test_sample_is_drawn_from_its_own_seed():
    estimator = BInfoGANTransformer(**BUDGET, random_state=0).fit(TABLE)

    one, other = estimator.sample(4, random_state=0)[0], estimator.sample(4, random_state=1)[0]

    assert not np.array_equal(one, other)


def test_search_in_two_processes_gives_the_same_scores():
    def search(n_jobs):
        estimator = BInfoGANTransformer(**BUDGET, random_state=0)
        grid = {"mi_weight": [0.1, 1.0]}
        return GridSearchCV(estimator, grid, cv=2, n_jobs=n_jobs, refit=True).fit(TABLE)

    one, two = search(1), search(2)

    for key in ("split0_test_score", "split1_test_score", "mean_test_score"):
        np.testing.assert_array_equal(one.cv_results_[key], two.cv_results_[key])
    assert one.best_params_ == two.best_params_
    assert_same_model(one.best_estimator_, two.best_estimator_, TABLE)


@pytest.mark.parametrize(("X", "params"), KINDS[:2])
def test_restarts_in_two_processes_give_the_same_model(X, params):
    one, two = (
        BInfoGANTransformer(**BUDGET, **params, n_init=2, n_jobs=n_jobs, random_state=0).fit(X)
        for n_jobs in (1, 2)
    )

    assert_same_model(one, two, X)


def test_partial_fit_is_deterministic():
    one, other = (BInfoGANTransformer(**BUDGET, batch_size=8, random_state=0) for _ in range(2))
    for _ in range(4):
        one.partial_fit(TABLE)
        other.partial_fit(TABLE)

    assert_same_model(one, other, TABLE)


@pytest.mark.parametrize(("n_init", "seed"), [(1, 0), (2, 0), (1, None)])
@pytest.mark.parametrize(("X", "params"), KINDS[:2])
def test_global_state_is_left_as_found(X, params, n_init, seed):
    estimator = BInfoGANTransformer(**BUDGET, **params, n_init=n_init, random_state=seed)

    def global_state():
        return {
            "python": random.getstate(),
            "torch": torch.get_rng_state().tolist(),
            "threads": torch.get_num_threads(),
            "interop": torch.get_num_interop_threads(),
            "dtype": torch.get_default_dtype(),
            "grad": torch.is_grad_enabled(),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
        }

    def numpy_state():
        # The legacy global state is what must be left alone.
        name, keys, *rest = np.random.get_state()  # noqa: NPY002  # the global state is meant
        return [name, keys.tolist(), *rest]

    before, numpy_before = global_state(), numpy_state()
    estimator.fit(X)
    estimator.score(X)
    codes = estimator.transform(X)
    estimator.inverse_transform(codes)
    estimator.sample(3, random_state=0)
    estimator.partial_fit(X)

    assert global_state() == before
    # random_state=None is scikit-learn's word for "draw from numpy's global generator".
    if seed is not None:
        assert numpy_state() == numpy_before


@pytest.mark.parametrize("device", ["cpu:0", "cpu:1"])
def test_the_cpu_has_one_name(device):
    fits = [tiny(n_clusters=3, device=each).fit(TABLE) for each in ("cpu", device)]

    np.testing.assert_array_equal(*(fit.transform(TABLE) for fit in fits))
    assert fits[0].diagnostics_["reconstruction"] == fits[1].diagnostics_["reconstruction"]


def test_default_dtype_of_the_user_is_kept():
    torch.set_default_dtype(torch.float64)
    try:
        estimator = BInfoGANTransformer(**BUDGET, random_state=0).fit(TABLE)
        estimator.sample(2, random_state=0)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
