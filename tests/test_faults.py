"""Numbers that break models: each trains or is refused, as docs/faults.md says."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import DIGITS as ALL_DIGITS
from conftest import TABLE, weights
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from skorch.callbacks import Callback

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.exceptions import ScaleWarning

PAGE = Path(__file__).parents[1] / "docs" / "faults.md"
DIGITS = ALL_DIGITS[:40]
RARE = np.vstack([np.random.default_rng(0).normal(size=(99, 4)), np.full((1, 4), 20.0)])
IMAGE = {"image_shape": (8, 8)}
BUDGET = {"n_clusters": 3, "warmup_iter": 12, "max_iter": 12, "batch_size": 16, "random_state": 0}
TWO_EPOCHS = {"warmup_iter": 60, "max_iter": 60}  # of each phase: 50 steps and 10


def with_column(value):
    X = TABLE.copy()
    X[:, 1] = value
    return X


TRAINS = {
    "a constant column": (with_column(3.0), {}),
    "constant columns only": (np.full((60, 4), 7.0), {}),
    "a constant column of 1e30": (with_column(1e30), {}),
    "one distinct row": (np.repeat(TABLE[:1], 60, axis=0), {}),
    "duplicate rows": (np.repeat(TABLE[:6], 10, axis=0), {}),
    "values of 1e30": (TABLE * 1e30, {}),
    "values of 1e-30": (TABLE * 1e-30, {}),
    "values of 1e-170": (TABLE * 1e-170, {}),
    "float32 values of 1e30": ((TABLE * 1e30).astype(np.float32), {}),
    "columns from 1e-30 to 1e30": (TABLE * [1e30, 1, 1e-30, 0], {}),
    "one row of 1e30 among others": (np.vstack([TABLE, np.full((1, 4), 1e30)]), {}),
    "classes of 99 to 1": (RARE, {"n_clusters": 2}),
    "constant images": (np.full((40, 64), 3.0), IMAGE),
    "all-black images": (np.zeros((40, 64), np.uint8), IMAGE),
    "images, each of one grey": (np.repeat(np.arange(40.0)[:, None], 64, axis=1), IMAGE),
    "images with values of 1e30": (DIGITS * 1e30, IMAGE),
    "images with values of 1e-30": (DIGITS * 1e-30, IMAGE),
}
REFUSES = {
    "values of 1e160": (TABLE * 1e160, {}, r"1\.08e\+161; at most 1e\+37"),
    "images with values of 1e300": (-DIGITS * 1e300, IMAGE, r"1\.6e\+301; at most 1e\+37"),
    "NaN or infinity": (with_column(np.inf), {}, "infinity"),
}


def model(**params):
    return BInfoGANTransformer(**{**BUDGET, **params})


@pytest.mark.parametrize("case", TRAINS)
def test_hostile_data_that_trains(case):
    X, params = TRAINS[case]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", ScaleWarning)  # of one row of 1e30 among others
        gan = model(**params).fit(X)
        codes, (samples, _) = gan.transform(X), gan.sample(20, random_state=0)
        rows = gan.inverse_transform(codes)

    spread = np.abs(X.astype(np.float64)).max() + 10
    for numbers in (codes, samples, rows, gan.score(X), gan.predict_proba(X)):
        assert np.isfinite(numbers).all()
    assert np.abs(samples).max() < 10 * spread
    assert np.abs(rows).max() < 10 * spread
    np.testing.assert_allclose(gan.predict_proba(X).sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("case", REFUSES)
def test_hostile_data_that_is_refused(case):
    X, params, message = REFUSES[case]
    gan = model(**params)

    with pytest.raises(ValueError, match=message):
        gan.fit(X)
    with pytest.raises(NotFittedError):
        gan.predict(X)


def test_the_page_lists_these_cases():
    rows = re.findall(r"^\| ([^|]+) \| (trains|refuses)", PAGE.read_text(), flags=re.M)

    assert {name for name, what in rows if what == "trains"} == set(TRAINS)
    assert {name for name, what in rows if what == "refuses"} == set(REFUSES)


@pytest.mark.parametrize("exponent", [100, -100])
def test_the_unit_of_a_table_does_not_matter(exponent):
    here, there = model().fit(TABLE), model().fit(TABLE * 2.0**exponent)

    np.testing.assert_array_equal(here.labels_, there.labels_)
    np.testing.assert_array_equal(here.transform(TABLE), there.transform(TABLE * 2.0**exponent))


def test_a_large_constant_comes_back():
    gan = model().fit(with_column(1e30))

    rows = gan.inverse_transform(gan.transform(with_column(1e30)))

    np.testing.assert_allclose(rows[:, 1], 1e30, rtol=1e-6)


@pytest.mark.parametrize("params", [{}, IMAGE])
def test_a_fitted_model_takes_any_finite_row(params):
    X = DIGITS if params else TABLE
    gan = model(**params).fit(X)
    far = np.full((2, X.shape[1]), [[1.7e308], [-1.7e308]])

    for dtype in (np.float64, np.float32):
        rows = far.clip(np.finfo(dtype).min, np.finfo(dtype).max).astype(dtype)
        assert np.isfinite(gan.transform(rows)).all()
        assert gan.predict(rows).shape == (2,)


# -- NaN and infinity in training ----------------------------------------------------------------


class Spoil(Callback):
    """Put a value into a weight, or a statistic, just after a step."""

    def __init__(self, n_steps, name, value):
        self.n_steps, self.name, self.value = n_steps, name, value

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self.n_steps -= 1
        if self.n_steps == 0:
            with torch.no_grad():
                net.module_.state_dict()[self.name].view(-1)[0] = self.value


WEIGHT = "encoder.category_head.weight"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_weight_is_caught_at_its_step(value):
    gan = model(**TWO_EPOCHS, callbacks=[Spoil(53, WEIGHT, value)])

    message = rf"{re.escape(WEIGHT)} became NaN or infinite at step 53 of the consistency"
    with pytest.raises(FloatingPointError, match=message):
        gan.fit(TABLE)

    assert gan.n_iter_ == 50  # the last whole epoch
    assert np.isfinite(gan.transform(TABLE)).all()


@pytest.mark.parametrize("player", ["generator", "discriminator", "encoder"])
def test_a_weight_of_each_player_is_caught_in_the_game(player):
    names = list(weights(model().fit(TABLE)))
    # Those of the encoder's categories are frozen in the game.
    name = [n for n in names if n.startswith(player) and "category" not in n][-1]
    # D and (G, E): two a step.
    gan = model(warmup_iter=12, max_iter=60, callbacks=[Spoil(12 + 2 * 52, name, np.nan)])

    with pytest.raises(FloatingPointError, match="at step 52 of the game"):
        gan.fit(TABLE)

    assert gan.n_iter_ == 62
    assert np.isfinite(gan.sample(5, random_state=0)[0]).all()


def test_a_moment_is_caught_at_the_end_of_its_epoch(tmp_path):
    class SpoilMoment(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            phase = net.training.consistency
            if training and phase.n_steps == 57:
                state = next(iter(phase.optimizer.state.values()))
                state["exp_avg_sq"].view(-1)[0] = np.inf

    gan = model(
        **TWO_EPOCHS, callbacks=[SpoilMoment()], checkpoint_dir=tmp_path, checkpoint_every=1
    )

    with pytest.raises(FloatingPointError, match=r"optimizers\.0\.\d+\.exp_avg_sq"):
        gan.fit(TABLE)

    assert gan.n_iter_ == 50
    # The checkpoint before is whole: the fit goes on from it.
    gone_on = model(**TWO_EPOCHS, checkpoint_dir=tmp_path).fit(TABLE)
    whole = model(**TWO_EPOCHS).fit(TABLE)
    np.testing.assert_array_equal(gone_on.transform(TABLE), whole.transform(TABLE))


def test_an_augmentation_that_fails_leaves_a_usable_model():
    def nan_from_now_on(x, rng):
        calls.append(1)
        return x * np.nan if len(calls) > 55 else x

    calls = []
    gan = model(augmentation=nan_from_now_on, cluster_prior="learned", max_iter=0, warmup_iter=60)

    with pytest.raises(FloatingPointError, match="consistency_loss became nan"):
        gan.fit(TABLE)

    assert gan.n_iter_ == 50
    assert np.isfinite(gan.transform(TABLE)).all()


def test_partial_fit_stays_at_the_model_before():
    gan = model().partial_fit(TABLE)
    codes = gan.transform(TABLE)
    gan.set_params(callbacks=[Spoil(2, WEIGHT, np.nan)])

    with pytest.raises(FloatingPointError):
        gan.partial_fit(TABLE)

    np.testing.assert_array_equal(gan.transform(TABLE), codes)
