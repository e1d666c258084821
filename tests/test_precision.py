"""Training in bfloat16 and with compiled networks, on the CPU; what needs a GPU is marked."""

import shutil

import numpy as np
import pytest
import torch
from conftest import DIGITS as ALL_DIGITS
from conftest import weights
from sklearn import config_context
from sklearn.datasets import make_blobs
from sklearn.utils.estimator_checks import check_estimator
from torch import nn

from sklearn_binfogan import BInfoGANTransformer, load, save

X, _ = make_blobs(300, n_features=6, centers=3, random_state=0)
DIGITS = ALL_DIGITS[:300]
SHORT = {"warmup_iter": 6, "max_iter": 6, "random_state": 0}
CASES = [(X, {"n_clusters": 3}), (DIGITS[:100], {"image_shape": (8, 8)})]


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
    # Quantiles of columns are stored as the bits of float64.
    trained = [w for name, w in weights(gan).items() if w.ndim and "marginals" not in name]
    assert {w.dtype for w in trained} == {np.dtype(np.float32)}
    full = BInfoGANTransformer(**SHORT, **parameters)
    assert torch.bfloat16 not in outputs_of(nn.Linear, full, rows)
    # Rounding to 8 bits tells in every step, and no more than that.
    losses = [g.history_[:, "train_loss"] for g in (gan, full)]
    np.testing.assert_allclose(*losses, rtol=0.1)
    assert losses[0] != losses[1]


def test_bf16_within_the_callers_autocast():
    """There torch would keep the rounded weights of the first step for all others."""
    alone = BInfoGANTransformer(3, precision="bf16", **SHORT).fit(X)
    with torch.autocast("cpu", torch.bfloat16):
        within = BInfoGANTransformer(3, precision="bf16", **SHORT).fit(X)
    assert within.history_[:, "train_loss"] == alone.history_[:, "train_loss"]
    np.testing.assert_array_equal(within.transform(X), alone.transform(X))


@pytest.mark.parametrize("instruction", ["avx512_bf16", "amx_bf16", None])
@pytest.mark.parametrize(("rows", "parameters"), CASES)
def test_auto_is_bf16_for_images_on_a_cpu_that_computes_in_it(
    rows, parameters, instruction, monkeypatch
):
    names = {} if instruction is None else {instruction: True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: names, raising=False)
    gan = BInfoGANTransformer(precision="auto", device="cpu", **SHORT, **parameters)

    expected = bool(names) and "image_shape" in parameters
    assert (torch.bfloat16 in outputs_of(nn.Linear, gan, rows)) == expected


def test_a_model_of_auto_goes_on_as_it_began_on_another_cpu(tmp_path, monkeypatch):
    rows, parameters = CASES[1]
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    gan = BInfoGANTransformer(precision="auto", device="cpu", **SHORT, **parameters)
    save(gan.partial_fit(rows), tmp_path / "model.safetensors")
    expected = gan.partial_fit(rows).transform(rows)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)

    there = load(tmp_path / "model.safetensors").partial_fit(rows)

    np.testing.assert_array_equal(there.transform(rows), expected)


def test_unknown_precision():
    with pytest.raises(ValueError, match="float16"):
        BInfoGANTransformer(precision="float16").fit(X)


@pytest.mark.parametrize(("rows", "parameters"), CASES)
def test_later_fits_are_compiled_too(rows, parameters, monkeypatch):
    """Dynamo gives up on code after eight graphs: each network has code of its own."""
    calls = []

    def counted(graph, inputs):
        return lambda *inputs: calls.append(graph) or graph(*inputs)

    compiler = torch.compile
    monkeypatch.setattr(torch, "compile", lambda run: compiler(run, backend=counted))
    n_calls = []
    for precision in ("float32", "bf16", "float32"):
        BInfoGANTransformer(compile=True, precision=precision, **SHORT, **parameters).fit(rows)
        n_calls.append(len(calls))
        calls.clear()
    assert n_calls[0] > 2 * SHORT["warmup_iter"]
    assert n_calls == [n_calls[0]] * 3


@pytest.mark.nightly
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_as_eager():
    eager = BInfoGANTransformer(3, **SHORT).fit(X)
    torch._dynamo.utils.counters.clear()
    compiled = BInfoGANTransformer(3, compile=True, **SHORT).fit(X)
    # Both trunks and G; some once more where gradients aren't asked for.
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 3
    np.testing.assert_allclose(compiled.transform(X), eager.transform(X), atol=1e-3)
    np.testing.assert_allclose(
        compiled.history_[:, "train_loss"], eager.history_[:, "train_loss"], rtol=1e-3
    )


@pytest.mark.parametrize("parameter", ["compile", "cuda_graph"])
def test_unknown_mode(parameter):
    with pytest.raises(ValueError, match=f"{parameter}.*max-autotune"):
        BInfoGANTransformer(**{parameter: "max-autotune"}).fit(X)


gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@gpu
@pytest.mark.gpu
def test_check_estimator_on_a_gpu():
    check_estimator(BInfoGANTransformer(device="cuda", warmup_iter=100, max_iter=20))


def close(rows):
    """How close codes are: of float32, which bytes become, cuDNN's convolutions take 10 bits."""
    return 1e-2 if rows.dtype == np.uint8 else 1e-5


@pytest.fixture(scope="module")
def scores():
    """Scores of fits on the CPU, by the identity of their rows."""
    return {}


GPU_CASES = [CASES[0], *((rows, CASES[1][1]) for rows in (DIGITS, DIGITS.astype(np.uint8)))]


@gpu
@pytest.mark.gpu
@pytest.mark.parametrize(("rows", "parameters"), GPU_CASES)
@pytest.mark.parametrize("options", [{}, {"precision": "bf16"}, {"compile": True}])
def test_gpu_agrees_with_cpu(options, rows, parameters, scores):
    if "compile" in options and rows is not X:
        pytest.skip("compiling takes long; the table is enough")
    budget = {"warmup_iter": 150, "max_iter": 150, "random_state": 0, **parameters}
    there = BInfoGANTransformer(device="cuda", **budget, **options).fit(rows)
    if id(rows) not in scores:
        scores[id(rows)] = BInfoGANTransformer(device="cpu", **budget).fit(rows).score(rows)
    assert abs(there.score(rows) - scores[id(rows)]) < 0.1
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
def test_tensors_on_a_gpu():
    gan = BInfoGANTransformer(3, **SHORT).fit(X)
    with config_context(array_api_dispatch=True):
        np.testing.assert_array_equal(gan.transform(torch.tensor(X).cuda()), gan.transform(X))
