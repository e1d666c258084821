"""Same data and seed: bit-equal results; global state is left as found."""

import random

import numpy as np
import pytest
import torch
from conftest import DIGITS, TABLE, assert_same_model
from sklearn.model_selection import GridSearchCV

from sklearn_binfogan import BInfoGANTransformer

IMAGES = DIGITS[:80]
BUDGET = {"n_clusters": 3, "warmup_iter": 6, "max_iter": 6}
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


def test_default_dtype_of_the_user_is_kept():
    torch.set_default_dtype(torch.float64)
    try:
        estimator = BInfoGANTransformer(**BUDGET, random_state=0).fit(TABLE)
        estimator.sample(2, random_state=0)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
