"""The aggregate posterior: samples are drawn where E puts real rows."""

import copy

import numpy as np
import pytest
import torch

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan._aggregate import AggregatePosterior
from sklearn_binfogan._base import fitted_model
from sklearn_binfogan._codes import CodeSpec

SPEC = CodeSpec(categories=(3,), n_continuous=2, n_noise=1)


def rng():
    return torch.Generator().manual_seed(0)


def correlated_codes(n=4000):
    """Codes of the first two categories; within each, the last columns depend on each other."""
    codes = SPEC.draw(n, rng())
    category = torch.arange(n) % 2
    codes[:, :3] = torch.nn.functional.one_hot(category, 3)
    codes[:, 4] = torch.where(category == 0, codes[:, 3], -codes[:, 3]) * 0.5 + 0.1
    return codes, category


def test_before_fit_it_is_as_wide_as_the_prior():
    aggregate = AggregatePosterior(SPEC)
    drawn = aggregate.draw(SPEC.draw(20_000, rng())[:, :3], rng())

    assert drawn.shape == (20_000, 3)
    np.testing.assert_allclose(drawn.mean(dim=0), 0, atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), np.eye(3) / 3, atol=0.02)


def test_draws_have_each_category_s_mean_and_covariance():
    codes, category = correlated_codes()
    aggregate = AggregatePosterior(SPEC)
    aggregate.fit(codes)

    drawn = aggregate.draw(codes[:, :3], rng())

    for k in (0, 1):
        real, ours = codes[category == k, 3:], drawn[category == k]
        np.testing.assert_allclose(ours.mean(dim=0), real.mean(dim=0), atol=0.05)
        np.testing.assert_allclose(np.cov(ours.T), np.cov(real.T), atol=0.03)


def test_a_category_without_rows_keeps_the_prior():
    aggregate = AggregatePosterior(SPEC)
    aggregate.fit(correlated_codes()[0])

    np.testing.assert_array_equal(aggregate.mean[2], 0)
    np.testing.assert_allclose(aggregate.root[2] @ aggregate.root[2].T, np.eye(3) / 3, atol=1e-6)


@pytest.mark.parametrize("n_rows", [0, 1, 2])
def test_few_rows_are_no_reason_to_fail(n_rows):
    aggregate = AggregatePosterior(SPEC)
    aggregate.fit(correlated_codes()[0][:n_rows])

    assert aggregate.draw(SPEC.draw(50, rng())[:, :3], rng()).isfinite().all()


def test_several_codes_share_one_gaussian():
    spec = CodeSpec(categories=(3, 4), n_continuous=1, n_noise=1)
    codes = spec.draw(4000, rng())
    codes[:, -1] = codes[:, -2] + 0.3
    aggregate = AggregatePosterior(spec)
    aggregate.fit(codes)

    drawn = aggregate.draw(codes[:, :7], rng())

    np.testing.assert_allclose(drawn.mean(dim=0), codes[:, 7:].mean(dim=0), atol=0.03)
    assert np.corrcoef(drawn.T)[0, 1] > 0.99


def test_codes_without_continuous_columns_and_noise():
    spec = CodeSpec(categories=(2,), n_continuous=0, n_noise=0)
    aggregate = AggregatePosterior(spec)
    codes = spec.draw(10, rng())
    aggregate.fit(codes)

    assert aggregate.draw(codes, rng()).shape == (10, 0)


@pytest.fixture(scope="module")
def fitted():
    X = np.random.default_rng(0).normal(size=(90, 3)).astype(np.float32)
    X[:50] += 4
    return BInfoGANTransformer(
        n_clusters=3, n_continuous=1, n_noise=2, warmup_iter=20, max_iter=20, random_state=0
    ).fit(X)


def test_sample_draws_given_the_category(fitted):
    """Each category's codes are set to a value of its own: rows must be that code's."""
    clone = copy.deepcopy(fitted)
    aggregate = fitted_model(clone).trainer.players.aggregate
    aggregate.root.zero_()
    aggregate.mean.copy_(torch.arange(3)[:, None] / 3)
    fitted_model(clone).order = np.array([1, 2, 0])  # where the net keeps each public category

    rows, labels = clone.sample(60, random_state=0)

    codes = np.zeros((60, 6), dtype=np.float32)
    codes[np.arange(60), labels] = 1
    codes[:, 3:] = fitted_model(clone).order[labels][:, None] / 3
    clone.include_noise = True
    np.testing.assert_allclose(rows, clone.inverse_transform(codes), atol=1e-5)


def test_sample_from_the_prior_does_not_look_at_the_data(fitted):
    clone = copy.deepcopy(fitted)
    fitted_model(clone).trainer.players.aggregate.mean.fill_(5)

    there, here = (g.sample(20, random_state=0, from_prior=True)[0] for g in (clone, fitted))

    np.testing.assert_array_equal(there, here)
    assert (clone.sample(20, random_state=0)[0] != fitted.sample(20, random_state=0)[0]).any()


def test_training_finds_where_real_rows_lie(fitted):
    fresh = AggregatePosterior(fitted_model(fitted).spec)

    assert not torch.equal(fitted_model(fitted).trainer.players.aggregate.mean, fresh.mean)
    assert not torch.equal(fitted_model(fitted).trainer.players.aggregate.root, fresh.root)
