"""Steps captured as a CUDA graph: their logic on the CPU; what needs a GPU is marked."""

import copy
import math
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from conftest import DIGITS, weights
from sklearn.datasets import make_blobs
from skorch.callbacks import Callback, Freezer, GradientNormClipping

from sklearn_binfogan import (
    AffineMove,
    BInfoGANClassifier,
    BInfoGANTransformer,
    ColourMove,
    GaussianNoise,
    SwappedValues,
    _phases,
    _state,
    _threads,
)
from sklearn_binfogan._base import new_training
from sklearn_binfogan._graphs import WARM_UP, CudaGraph, StepGraph, step_graph
from sklearn_binfogan._net import AdversarialNet
from sklearn_binfogan._threads import training_on

X, Y = make_blobs(300, n_features=6, centers=3, random_state=0)
SHORT = {"warmup_iter": 30, "max_iter": 12, "random_state": 0}
IMAGES = DIGITS[:300].astype(np.uint8)
CASES = {
    "table": (X, {"n_clusters": 3}),
    "images": (IMAGES, {"image_shape": (8, 8)}),
    "the paper's game": (
        X,
        {"consistency_weight": 0, "cycle_weight": 0, "adversarial_loss": "nonsaturating"},
    ),
}


class Recorded:
    """Stands for a CUDA graph on the CPU: to replay is to run the same function again."""

    made: ClassVar[list["Recorded"]] = []

    def __init__(self):
        self.made.append(self)
        self.n_replays = 0

    def capture(self, run):
        self.run = run

    def replay(self):
        self.n_replays += 1
        self.run()


class NoRoom(Recorded):
    def capture(self, run):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB.")


@pytest.fixture(autouse=True)
def _none_made():
    Recorded.made.clear()


def training(phase="consistency", rows=X, **parameters):
    trainer = new_training(BInfoGANTransformer(device="cpu", **(SHORT | parameters)), rows)
    trainer.consistency.n_steps = SHORT["warmup_iter"] * (phase == "game")
    trainer.begin(phase)
    return trainer


def batches(trainer, n_steps):
    index = trainer.rows.train_index
    return [index[torch.arange(i, i + 50) % len(index)] for i in range(n_steps)]


def state(trainer):
    arrays = trainer.state().as_arrays()
    moments = [m for each in arrays.optimizers for values in each.values() for m in values.values()]
    return [*arrays.module.values(), *moments, arrays.rng]


def assert_same(one, other):
    for ours, theirs in zip(state(one), state(other), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert one.steps == other.steps


# -- on the CPU ------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["consistency", "game"])
@pytest.mark.parametrize("case", CASES)
def test_replayed_steps_are_those_of_the_phase(case, phase):
    rows, parameters = CASES[case]
    one, other = (training(phase, rows, **parameters) for _ in range(2))
    graph = StepGraph(one.phase, one.rows, Recorded)

    for numbers in batches(one, 12):
        replayed = graph.step(numbers)
        expected = other.phase.step(other.rows.take(numbers))

        assert {k: float(v) for k, v in replayed.items()} == {
            k: float(v.detach()) for k, v in expected.items()
        }
    assert_same(one, other)
    assert sum(graph.n_replays for graph in Recorded.made) >= 12 - 2 * WARM_UP


def test_another_stage_is_captured_anew():
    """After a third of the phase, batches need no longer be balanced each."""
    one, other = training(), training()
    graph = StepGraph(one.phase, one.rows, Recorded)

    for numbers in batches(one, SHORT["warmup_iter"]):
        graph.step(numbers)
        other.phase.step(other.rows.take(numbers))

    third = SHORT["warmup_iter"] // 3
    n_replays = [each.n_replays for each in Recorded.made]
    assert n_replays == [third - WARM_UP, SHORT["warmup_iter"] - third - WARM_UP]
    assert_same(one, other)


def test_a_stage_that_changes_during_the_warm_up_gets_a_warm_up_of_its_own():
    third = SHORT["warmup_iter"] // 3
    trainer = training()
    trainer.phase.n_steps = third - 2
    graph = StepGraph(trainer.phase, trainer.rows, Recorded)

    for numbers in batches(trainer, 2 + WARM_UP):
        graph.step(numbers)

    assert Recorded.made == []
    graph.step(numbers)
    assert [each.n_replays for each in Recorded.made] == [1]


def test_a_step_is_captured_anew_when_details_begin_to_count():
    rows = np.random.default_rng(0).random((60, 256)).astype(np.float32)
    n_steps = 24
    parameters = {"rows": rows, "image_shape": (16, 16), "max_iter": n_steps}
    one, other = (training("game", **parameters) for _ in range(2))
    graph = StepGraph(one.phase, one.rows, Recorded)

    for numbers in batches(one, n_steps):
        replayed = set(graph.step(numbers))
        assert replayed == set(other.phase.step(other.rows.take(numbers)))

    before = n_steps // 4
    n_replays = [each.n_replays for each in Recorded.made]
    assert n_replays == [before - WARM_UP, n_steps - before - WARM_UP]
    assert "detail_loss" in replayed
    assert_same(one, other)


def test_moments_that_a_callback_has_replaced():
    trainer = training("game")
    graph = StepGraph(trainer.phase, trainer.rows, Recorded)
    steps = batches(trainer, 8)
    before, after = steps[:4], steps[4:]
    for numbers in before:
        graph.step(numbers)
    optimizer = trainer.game.optimizer
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    graph.must_check = True

    for numbers in after:
        graph.step(numbers)

    assert [each.n_replays for each in Recorded.made] == [1, 1]


def stop_statistics(trainer):
    trainer.players.generator.eval()


def set_option(trainer):
    trainer.game.optimizer.param_groups[0]["weight_decay"] = 0.1


def replace_statistic(trainer):
    encoder = trainer.players.encoder
    encoder.head = encoder.head.clone()


@pytest.mark.parametrize("change", [stop_statistics, set_option, replace_statistic])
def test_what_a_callback_has_changed_of_a_step(change):
    trainer = training("game")
    graph = StepGraph(trainer.phase, trainer.rows, Recorded)
    before, after = batches(trainer, 8)[:4], batches(trainer, 8)[4:]
    take_steps(graph, before)
    change(trainer)
    graph.must_check = True
    take_steps(graph, after)
    assert [each.n_replays for each in Recorded.made] == [1, 1]


def test_a_callback_that_looks_at_steps_may_change_them():
    trainer = training("game")
    trainer.graph = StepGraph(trainer.phase, trainer.rows, Recorded)
    trainer.net.history.new_epoch()
    for numbers in batches(trainer, 5):
        trainer.net.history.new_batch()
        trainer.net.train_step(numbers)
    weight = trainer.players.generator.output.weight.requires_grad_(False)
    before = weight.clone()
    for numbers in batches(trainer, 5):
        trainer.net.history.new_batch()
        trainer.net.train_step(numbers)
    assert torch.equal(weight, before)
    assert len(Recorded.made) == 2


def test_a_rate_that_a_callback_has_set(monkeypatch):
    """A captured step would read the rate's tensor, which nobody would write to any more."""
    monkeypatch.setattr(_phases, "number_on", lambda device, value: torch.tensor(value))
    trainer = training("game")
    group = trainer.game.optimizer.param_groups[0]
    trainer.game.set_rates()
    read_by_the_graph = group["lr"]
    group["lr"] = 1.0

    trainer.game.n_steps += 6
    trainer.game.set_rates()

    assert group["lr"] is read_by_the_graph
    assert float(group["lr"]) == pytest.approx(
        trainer.settings.recipe.learning_rate * trainer.game.rate_factor(0.5)
    )


def test_batches_of_another_size():
    trainer = training("game")
    graph = StepGraph(trainer.phase, trainer.rows, Recorded)
    for size in (20, 10):
        for _ in range(WARM_UP + 1):
            graph.step(trainer.rows.train_index[:size])
    assert [each.n_replays for each in Recorded.made] == [1, 1]


def take_steps(graph, batches):
    for numbers in batches:
        graph.step(numbers)


def test_a_gpu_without_room_goes_on_with_one_warning():
    one, other = training("game"), training("game")
    graph = StepGraph(one.phase, one.rows, NoRoom)

    with pytest.warns(RuntimeWarning, match="CUDA out of memory") as caught:
        take_steps(graph, batches(one, 8))
    for numbers in batches(other, 8):
        other.phase.step(other.rows.take(numbers))

    assert len(caught) == len(Recorded.made) == 1
    assert "cuda_graph=False" in str(caught[0].message)
    assert "\n" not in str(caught[0].message)
    assert_same(one, other)


class Looks(Callback):
    def on_batch_end(self, net, **kwargs):
        pass


class Clips(GradientNormClipping):
    pass


def made(callbacks=(), resident=True, device="cuda", shared=False, can=True, **parameters):
    """Whether steps would be captured on a GPU."""
    trainer = training(**parameters)
    common = SimpleNamespace(
        can_be_captured=can,
        rng=SimpleNamespace(device=torch.device(device)),
        settings=trainer.settings,
        sharing=SimpleNamespace(is_shared=shared),
    )
    phase = SimpleNamespace(common=common)
    rows = SimpleNamespace(resident=torch.zeros(1) if resident else None)
    found = step_graph(phase, rows, [(str(i), each) for i, each in enumerate(callbacks)])
    return found is not None


OF_IMAGES = {"rows": IMAGES, "image_shape": (8, 8)}


def own_move(x, rng):
    return x


class OwnMove(GaussianNoise):
    pass


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, True),
        ({"callbacks": [Callback(), Freezer("generator.*"), Looks()]}, True),
        ({"cuda_graph": False}, False),
        ({"callbacks": [Clips(1.0)]}, False),
        ({"callbacks": [Clips(1.0)], "cuda_graph": True}, False),
        ({"resident": False}, False),
        ({"device": "cpu", "cuda_graph": True}, False),
        ({"shared": True}, False),
        ({"can": False, "cuda_graph": True}, False),
        ({"augmentation": None}, True),
        ({"augmentation": own_move}, False),
        ({"augmentation": OwnMove(0.1)}, False),
        ({"augmentation": ColourMove(AffineMove()), **OF_IMAGES}, True),
        ({"augmentation": ColourMove(own_move), **OF_IMAGES}, False),
        ({"augmentation": SwappedValues(GaussianNoise(0.1), (1,) * X.shape[1])}, True),
        ({"augmentation": SwappedValues(OwnMove(0.1), (1,) * X.shape[1])}, False),
        ({"augmentation": own_move, "cuda_graph": True}, True),
    ],
)
def test_when_steps_are_captured(options, expected):
    assert made(**options) == expected


@pytest.mark.parametrize("cuda_graph", [True, False, "auto"])
def test_nothing_changes_on_a_cpu(cuda_graph):
    asked, default = (
        BInfoGANTransformer(3, **SHORT, **options).fit(X)
        for options in ({"cuda_graph": cuda_graph}, {})
    )
    np.testing.assert_array_equal(asked.transform(X), default.transform(X))


def numbers_of(history):
    """All of a history but the seconds."""
    return [{k: v for k, v in epoch.items() if k != "dur"} for epoch in history]


@pytest.mark.parametrize("case", CASES)
def test_losses_that_are_read_late(case, monkeypatch):
    rows, parameters = CASES[case]
    at_once = BInfoGANTransformer(**SHORT, **parameters).fit(rows)
    monkeypatch.setattr(AdversarialNet, "_reads_late", True)
    late = BInfoGANTransformer(**SHORT, **parameters).fit(rows)
    assert numbers_of(late.history_) == numbers_of(at_once.history_)
    assert not any(math.isnan(loss) for loss in late.history_[:, "train_loss"])


def test_a_loss_that_breaks_is_told_with_its_step(monkeypatch):
    monkeypatch.setattr(AdversarialNet, "_reads_late", True)
    trainer = training("game")
    net = trainer.net
    net.history.new_epoch()
    for numbers in batches(trainer, 3):
        net.history.new_batch()
        net.train_step(trainer.rows.take(numbers))
        if trainer.game.n_steps == 1:
            with torch.no_grad():
                trainer.players.generator.output.bias.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="step 2 of the game phase"):
        net._read_losses()


def test_weights_that_break_at_the_end_of_an_epoch(monkeypatch):
    monkeypatch.setattr(AdversarialNet, "_reads_late", True)
    trainer = training("game")
    trainer.net.history.new_epoch()
    trainer.net.history.new_batch()
    trainer.net.train_step(trainer.rows.take(batches(trainer, 1)[0]))
    with torch.no_grad():
        trainer.players.generator.output.bias[0] = torch.inf
    with pytest.raises(FloatingPointError, match=r"generator\.output\.bias became NaN"):
        trainer.net._read_losses()


def test_the_clutter_moves_by_three_to_five_eighths():
    x = torch.zeros(2, 3, 16, 16)
    x[:, :, 0, 0] = 1
    still = AffineMove(rotation=0, scale=0, shear=0, shift=0)
    cluttered = ColourMove(still, contrast=0, brightness=0, cast=0, clutter=1.0)
    for seed in range(20):
        ground = cluttered(x, torch.Generator().manual_seed(seed)) - x
        row, column = divmod(int(ground[0, 0].argmax()), 16)
        assert 6 <= row <= 10
        assert 6 <= column <= 10


def test_rules_for_gpus_are_left_as_found():
    def rules():
        cudnn = torch.backends.cudnn
        return torch.backends.cuda.matmul.allow_tf32, cudnn.deterministic, cudnn.benchmark

    before = rules()
    with _threads._RULES:
        with _threads._RULES:  # another thread
            assert rules() == (True, True, False)
        assert rules() == (True, True, False)
    assert rules() == before


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_the_callers_precision_of_products_is_left_as_found(precision):
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        with _threads._RULES:
            assert torch.backends.cuda.matmul.allow_tf32
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision(before)


def test_rules_that_can_not_be_set_are_all_left_as_found(monkeypatch):
    def frozen(undo, rules, name, value):
        if name == "benchmark":
            raise RuntimeError("frozen")
        return settable(undo, rules, name, value)

    settable, before = _threads._set, torch.backends.cuda.matmul.allow_tf32
    monkeypatch.setattr(_threads, "_set", frozen)
    with pytest.raises(RuntimeError, match="frozen"), _threads._RULES:
        pass
    assert torch.backends.cuda.matmul.allow_tf32 == before


def test_no_rules_for_a_cpu():
    before = torch.backends.cuda.matmul.allow_tf32
    with training_on("cpu"):
        assert torch.backends.cuda.matmul.allow_tf32 == before


def test_each_thread_has_one_stream(monkeypatch):
    monkeypatch.setattr(torch.cuda, "Stream", object)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(_threads, "_STREAMS", threading.local())
    own = _threads._own_stream()
    with ThreadPoolExecutor(1) as pool:
        other, again = (pool.submit(_threads._own_stream).result() for _ in range(2))
    assert _threads._own_stream() is own
    assert other is again is not own
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert _threads._own_stream() is not own


def test_a_training_without_rows_holds_no_graph():
    trainer = training()
    trainer.graph = StepGraph(trainer.phase, trainer.rows, Recorded)
    assert trainer.forget_rows().graph is None


def test_a_state_copied_and_checked_as_on_a_gpu(monkeypatch):
    """Tensors of a GPU are copied and checked together."""
    trainer = training("game")
    trainer.phase.step(trainer.rows.take(batches(trainer, 1)[0]))
    expected = trainer.state().copied()
    monkeypatch.setattr(_state, "_is_on_gpu", lambda array: isinstance(array, torch.Tensor))

    found = trainer.state().copied()

    for (name, ours), (same, theirs) in zip(
        found.named_arrays(), expected.named_arrays(), strict=True
    ):
        assert name == same
        assert torch.equal(ours, theirs)
        assert ours.stride() == theirs.stride()
    assert found.first_not_finite() is None
    weight = "module.generator.output.weight"
    for broken in (torch.nan, -torch.inf):
        dict(found.named_arrays())[weight].view(-1)[3] = broken
        assert found.first_not_finite() == weight
    assert trainer.state().first_not_finite() is None


def test_an_empty_array_checked_as_on_a_gpu(monkeypatch):
    """The largest of no values is not defined; a user's networks may have such a buffer."""
    monkeypatch.setattr(_state, "_is_on_gpu", lambda array: isinstance(array, torch.Tensor))
    state = training().state()
    state.module["empty"] = torch.empty(0, 3)
    assert state.copied().first_not_finite() is None


# -- on a GPU --------------------------------------------------------------------------------------

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture
def replays(monkeypatch):
    """A list that grows with every replay."""
    seen = []
    replay = CudaGraph.replay
    monkeypatch.setattr(CudaGraph, "replay", lambda graph: (seen.append(1), replay(graph)))
    return seen


def on_gpu(**parameters):
    return BInfoGANTransformer(device="cuda", **SHORT | parameters)


@gpu
@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("case", CASES)
def test_a_graph_gives_what_its_steps_give(case, precision, replays):
    rows, parameters = CASES[case]
    parameters = {"precision": precision, "n_continuous": 2, **parameters}
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "The GPU could not capture")
        replayed = on_gpu(**parameters).fit(rows)
        n_replays = len(replays)
        eager = on_gpu(cuda_graph=False, **parameters).fit(rows)
    assert n_replays == len(replays) > SHORT["max_iter"] - WARM_UP - 1
    for name in ("train_loss", "valid_loss"):
        np.testing.assert_allclose(
            replayed.history_[:, name], eager.history_[:, name], rtol=1e-3, atol=1e-3
        )


@gpu
@pytest.mark.gpu
@pytest.mark.usefixtures("replays")
@pytest.mark.parametrize("case", CASES)
def test_the_same_bits_in_every_run(case):
    rows, parameters = CASES[case]
    one, other = (weights(on_gpu(**parameters).fit(rows)) for _ in range(2))
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


@gpu
@pytest.mark.gpu
def test_labels_in_a_captured_step(replays):
    some = np.where(np.arange(len(Y)) % 5, -1, Y)
    budget = {"warmup_iter": 200, "max_iter": 100, "random_state": 0}
    classifier = BInfoGANClassifier(device="cuda", **budget).fit(X, some)
    assert len(replays) > 250
    assert classifier.score(X, Y) > 0.9


@gpu
@pytest.mark.gpu
def test_moves_of_colour_in_a_captured_step(replays):
    colour = np.random.default_rng(0).integers(0, 256, (60, 16 * 16 * 3), np.uint8)
    move = ColourMove(AffineMove(warp=0.1), mirror=True, invert=True, clutter=0.5)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "The GPU could not capture")
        on_gpu(image_shape=(16, 16, 3), augmentation=move, n_clusters=(3, 2)).fit(colour)
    assert replays


def looks_at_values(x, rng):
    return x + 0 * float(x.sum())  # waits for the GPU


@gpu
@pytest.mark.gpu
def test_what_can_not_be_captured_goes_on_as_it_would_have(replays):
    parameters = {"augmentation": looks_at_values, "n_clusters": 3, "max_iter": 0}
    with pytest.warns(RuntimeWarning, match="could not capture") as caught:
        tried = on_gpu(cuda_graph=True, **parameters).fit(X)
    assert sum("could not capture" in str(each.message) for each in caught) == 1
    assert not replays
    never = on_gpu(cuda_graph=False, **parameters).fit(X)
    np.testing.assert_allclose(tried.transform(X), never.transform(X), atol=1e-4)


class Interrupts(Callback):
    def on_epoch_end(self, net, **kwargs):
        if sum(net.training.steps.values()) == 100:
            raise RuntimeError("cut off")


@gpu
@pytest.mark.gpu
def test_a_fit_that_was_cut_off_goes_on_to_the_bit(tmp_path, replays):
    budget = {"n_clusters": 3, "warmup_iter": 50, "max_iter": 150, "random_state": 0}
    parameters = {**budget, "checkpoint_dir": tmp_path, "checkpoint_every": 1}
    whole = BInfoGANTransformer(device="cuda", **budget).fit(X)
    with pytest.raises(RuntimeError, match="cut off"):
        BInfoGANTransformer(device="cuda", callbacks=[Interrupts()], **parameters).fit(X)
    resumed = BInfoGANTransformer(device="cuda", **parameters).fit(X)
    assert len(replays) > 300
    for name, value in weights(whole).items():
        np.testing.assert_array_equal(weights(resumed)[name], value)


@gpu
@pytest.mark.gpu
def test_settings_of_torch_are_left_as_found():
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.deterministic
    stream = torch.cuda.current_stream()
    state = torch.cuda.get_rng_state()
    on_gpu(n_clusters=3).fit(X)
    assert before == (
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.deterministic,
    )
    assert torch.cuda.current_stream() == stream
    assert torch.equal(torch.cuda.get_rng_state(), state)
