"""Training in bfloat16 and with compiled networks, on the CPU; what needs a GPU is marked."""

import shutil

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, make_blobs
from sklearn.utils.estimator_checks import check_estimator
from torch import nn

from sklearn_binfogan import AffineMove, BInfoGANTransformer
from sklearn_binfogan._base import fitted_model, new_training
from sklearn_binfogan._networks import LocalContrast

X, _ = make_blobs(300, n_features=6, centers=3, random_state=0)
DIGITS = load_digits().data[:300]
SHORT = {"warmup_iter": 6, "max_iter": 6, "random_state": 0}
CASES = [(X, {"n_clusters": 3}), (DIGITS, {"image_shape": (8, 8)})]


def rng():
    return torch.Generator().manual_seed(0)


def outputs_of(network_class, gan, X):
    """Dtypes that layers of a class give while a model is fitted."""
    dtypes = set()
    handle = nn.modules.module.register_module_forward_hook(
        lambda module, _, output: (
            dtypes.add(output.dtype) if type(module) is network_class else None
        )
    )
    try:
        gan.fit(X)
    finally:
        handle.remove()
    return dtypes


@pytest.mark.parametrize(("rows", "parameters"), CASES)
def test_bf16_in_training_alone(rows, parameters):
    gan = BInfoGANTransformer(precision="bf16", **SHORT, **parameters)
    assert torch.bfloat16 in outputs_of(nn.Linear, gan, rows)
    assert gan.transform(rows.astype(np.float32)).dtype == np.float32
    weights = fitted_model(gan).trainer.players.parameters()
    assert {weight.dtype for weight in weights} == {torch.float32}
    full = BInfoGANTransformer(**SHORT, **parameters)
    assert torch.bfloat16 not in outputs_of(nn.Linear, full, rows)
    # Rounding to 8 bits tells in every step, and no more than that.
    losses = [g.history_[:, "train_loss"] for g in (gan, full)]
    np.testing.assert_allclose(*losses, rtol=0.1)
    assert losses[0] != losses[1]


@pytest.mark.parametrize("factor", [100, 300, 1000, 3000])
def test_bf16_gradients_are_finite_where_d_is_all_but_sure(factor):
    trainer = new_training(BInfoGANTransformer(3, precision="bf16", device="cpu"), X)
    players = trainer.players
    with torch.no_grad():  # for some rows verdicts then differ by about a hundred
        players.discriminator.output.weight.mul_(factor)
    trainer.consistency.n_steps = 1
    trainer.begin("game").step(trainer.rows.rows.take(torch.arange(128)))
    assert all(w.grad is None or w.grad.isfinite().all() for w in players.generator.parameters())


def test_unknown_precision():
    with pytest.raises(ValueError, match="float16"):
        BInfoGANTransformer(precision="float16").fit(X)


@pytest.mark.parametrize(("how", "mode"), [(True, None), ("reduce-overhead", "reduce-overhead")])
@pytest.mark.parametrize(("rows", "parameters"), CASES)
def test_compiled_networks(rows, parameters, how, mode, monkeypatch):
    compiled = []
    modes = set()

    def compile_function(run, mode):
        compiled.append(run)
        modes.add(mode)
        return run

    monkeypatch.setattr(torch, "compile", compile_function)
    gan = BInfoGANTransformer(compile=how, **SHORT, **parameters).fit(rows)
    assert modes == {mode}
    players = fitted_model(gan).trainer.players
    encoder = players.encoder
    expected = {encoder.category_trunk, encoder.style_trunk, players.generator}
    assert {network.forward for network in expected} == set(compiled)
    assert len(compiled) == 3


@pytest.mark.parametrize(("rows", "parameters"), CASES)
def test_later_fits_are_compiled_too(rows, parameters, monkeypatch):
    """Dynamo gives up on code after eight graphs: each network has code of its own."""
    calls = []

    def counted(graph, inputs):
        return lambda *inputs: calls.append(graph) or graph(*inputs)

    compiler = torch.compile
    monkeypatch.setattr(torch, "compile", lambda run, mode: compiler(run, backend=counted))
    n_calls = []
    for precision in ("float32", "bf16", "float32"):
        BInfoGANTransformer(compile=True, precision=precision, **SHORT, **parameters).fit(rows)
        n_calls.append(len(calls))
        calls.clear()
    assert n_calls[0] > 2 * SHORT["warmup_iter"]
    assert n_calls == [n_calls[0]] * 3


@pytest.mark.nightly
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("how", [True, "reduce-overhead"])
def test_compiled_as_eager(how):
    eager = BInfoGANTransformer(3, **SHORT).fit(X)
    torch._dynamo.utils.counters.clear()
    compiled = BInfoGANTransformer(3, compile=how, **SHORT).fit(X)
    # Both trunks and G; some once more where gradients aren't asked for.
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 3
    np.testing.assert_allclose(compiled.transform(X), eager.transform(X), atol=1e-3)
    np.testing.assert_allclose(
        compiled.history_[:, "train_loss"], eager.history_[:, "train_loss"], rtol=1e-3
    )


def test_unknown_compile_mode():
    with pytest.raises(ValueError, match="max-autotune"):
        BInfoGANTransformer(compile="max-autotune").fit(X)


@pytest.mark.parametrize("seen", [lambda x: AffineMove(warp=0.1)._grid(x, rng()), LocalContrast()])
def test_places_and_contrasts_are_not_rounded(seen):
    """In bfloat16 a pixel's place would be off by a tenth of a pixel and more."""
    x = torch.rand(4, 3, 64, 64, generator=rng())
    with torch.autocast("cpu", torch.bfloat16):
        rounded = seen(x)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, seen(x))


gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@gpu
@pytest.mark.gpu
def test_check_estimator_on_a_gpu():
    check_estimator(BInfoGANTransformer(device="cuda"))


def close(rows):
    """How close codes are: of float32, which bytes become, cuDNN's convolutions take 10 bits."""
    return 1e-2 if rows.dtype == np.uint8 else 1e-5


GPU_CASES = [*CASES, (DIGITS.astype(np.uint8), {"image_shape": (8, 8)})]


@gpu
@pytest.mark.gpu
@pytest.mark.parametrize(("rows", "parameters"), GPU_CASES)
@pytest.mark.parametrize(
    "options", [{}, {"precision": "bf16"}, {"compile": True}, {"compile": "reduce-overhead"}]
)
def test_gpu_agrees_with_cpu(options, rows, parameters):
    budget = {"warmup_iter": 300, "max_iter": 300, "random_state": 0, **parameters}
    there = BInfoGANTransformer(device="cuda", **budget, **options).fit(rows)
    here = BInfoGANTransformer(device="cpu", **budget).fit(rows)
    assert abs(there.score(rows) - here.score(rows)) < 0.1
    moved = BInfoGANTransformer(device="cpu", **budget)
    moved.__setstate__({**there.__getstate__(), "device": "cpu"})
    np.testing.assert_allclose(moved.transform(rows), there.transform(rows), atol=close(rows))


@gpu
@pytest.mark.gpu
@pytest.mark.parametrize(("rows", "parameters"), GPU_CASES)
def test_a_model_moves_both_ways(rows, parameters):
    here = BInfoGANTransformer(device="cpu", **SHORT, **parameters).fit(rows)
    there = BInfoGANTransformer()
    there.__setstate__({**here.__getstate__(), "device": "cuda"})
    back = BInfoGANTransformer()
    back.__setstate__({**there.__getstate__(), "device": "cpu"})
    np.testing.assert_array_equal(back.transform(rows), here.transform(rows))
    np.testing.assert_allclose(there.transform(rows), here.transform(rows), atol=close(rows))


@gpu
@pytest.mark.gpu
@pytest.mark.parametrize("prior", ["uniform", np.array([0.5, 0.3, 0.2])])
@pytest.mark.parametrize("phase", ["consistency", "game"])
def test_a_step_waits_for_the_gpu_once(phase, prior):
    trainer = new_training(BInfoGANTransformer(3, cluster_prior=prior, device="cuda"), X)
    trainer.consistency.n_steps = int(phase == "game")
    trainer.begin(phase)
    net = trainer.net
    net.history.new_epoch()

    def step():
        net.history.new_batch()
        net.train_step(trainer.rows.rows.take(trainer.rows.train_index[:128]))

    step()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with pytest.warns(UserWarning, match="synchroniz") as waits:
            step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert sum("synchroniz" in str(wait.message) for wait in waits) == 1
