"""Fits that are cut off: gone on with to the same bits, and a usable model at once."""

import errno
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import DIGITS as ALL_DIGITS
from conftest import assert_same_model
from golden.cases import Cut, CutAfter
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer, GaussianNoise, _trainer
from sklearn_binfogan import _checkpoints as checkpoints
from sklearn_binfogan import _container as container
from sklearn_binfogan._architectures import MLPArchitecture
from sklearn_binfogan._base import new_training
from sklearn_binfogan._checkpoints import Checkpoints, describe
from sklearn_binfogan._model import FittedModel
from sklearn_binfogan._upgrades import FORMAT_VERSION

TABLE, CLASSES = make_blobs(70, centers=3, n_features=4, random_state=0)
DIGITS = ALL_DIGITS[:60]
BUDGET = {"n_clusters": 3, "warmup_iter": 24, "max_iter": 26, "random_state": 0}


def model(**params):
    return BInfoGANTransformer(**{**BUDGET, "batch_size": 16, **params})


@pytest.fixture
def hears_ctrl_c():
    """A shell starts what runs in its background with interrupts ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def short_epochs(monkeypatch):
    """Epochs of 10 steps: what happens between two of them is what counts here."""
    monkeypatch.setattr(_trainer, "STEPS_PER_EPOCH", 10)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def cut_off(folder, n_steps, X=TABLE, **params):
    with pytest.raises(Cut):
        model(checkpoint_dir=folder, callbacks=[CutAfter(n_steps)], **params).fit(X)


# -- going on ---------------------------------------------------

CASES = {
    "consistency phase": (TABLE, 14, {}),
    "end of the phase": (TABLE, 24, {}),
    "game": (TABLE, 36, {}),
    "end of the game": (TABLE, 49, {}),
    "consistency in the game": (TABLE, 18, {"warmup_iter": 0}),
    "no game": (TABLE, 18, {"max_iter": 0}),
    "learned prior": (TABLE, 32, {"cluster_prior": "learned"}),
    "several codes": (TABLE, 32, {"n_clusters": (2, 3)}),
    "float32": (TABLE.astype(np.float32), 32, {}),
    "starts": (TABLE, 38, {"n_init": 2}),
    "starts in the game": (TABLE, 60, {"n_init": 2}),
    "images": (DIGITS, 32, {"image_shape": (8, 8)}),
    "uint8": (DIGITS.astype(np.uint8), 32, {"image_shape": (8, 8)}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_fit_goes_on_to_the_same_bits(case, tmp_path):
    X, n_steps, params = CASES[case]
    cut_off(tmp_path, n_steps, X, **params, checkpoint_every=1)
    steps = []

    class Count(Callback):
        def on_batch_begin(self, net, training=False, **kwargs):
            steps.append(training)

    assert files(tmp_path)
    resumed = model(checkpoint_dir=tmp_path, callbacks=[Count()], checkpoint_every=1, **params)
    resumed.fit(X)
    straight = model(**params).fit(X)

    assert_same_model(resumed, straight, X)
    assert sum(steps) <= params.get("n_init", 1) * 50 - n_steps + 10
    assert files(tmp_path) == []


@pytest.mark.parametrize("n_steps", [14, 34])
@pytest.mark.parametrize("n_init", [1, 2])
def test_a_classifier_goes_on_to_the_same_bits(n_steps, n_init, tmp_path):
    y = np.where(np.arange(len(TABLE)) < 20, CLASSES, -1)

    def classifier(**params):
        budget = {**BUDGET, "n_clusters": 4, "n_init": n_init, "batch_size": 16}
        return BInfoGANClassifier(**budget, **params)

    cut = classifier(checkpoint_dir=tmp_path, checkpoint_every=1, callbacks=[CutAfter(n_steps)])
    with pytest.raises(Cut):
        cut.fit(TABLE, y)
    with pytest.raises(ValueError, match="SHA-256 of y"):
        classifier(checkpoint_dir=tmp_path).fit(TABLE, y[::-1])

    resumed, straight = (
        classifier(checkpoint_dir=tmp_path).fit(TABLE, y),
        classifier().fit(TABLE, y),
    )

    assert_same_model(resumed, straight, TABLE)
    np.testing.assert_array_equal(resumed.predict(TABLE), straight.predict(TABLE))


def test_a_fit_cut_off_twice(tmp_path):
    for n_steps in (12, 24):
        cut_off(tmp_path, n_steps, checkpoint_every=10)

    assert_same_model(model(checkpoint_dir=tmp_path).fit(TABLE), model().fit(TABLE), TABLE)


def test_the_model_of_a_fit_cut_off_when_labelling(tmp_path, monkeypatch):
    def fail(*args):
        raise Cut

    with monkeypatch.context() as patched:
        patched.setattr(BInfoGANTransformer, "_describe", fail)
        with pytest.raises(Cut):
            model(checkpoint_dir=tmp_path).fit(TABLE)

    assert_same_model(model(checkpoint_dir=tmp_path).fit(TABLE), model().fit(TABLE), TABLE)


@pytest.mark.nightly
def test_starts_side_by_side_go_on(tmp_path):
    # Epochs in the workers are of 50 steps.
    budget = {"warmup_iter": 120, "n_init": 2, "n_jobs": 2}
    cut_off(tmp_path, 70, **budget, checkpoint_every=50)

    resumed = model(checkpoint_dir=tmp_path, **budget).fit(TABLE)

    assert_same_model(resumed, model(**budget).fit(TABLE), TABLE)


def test_random_state_none_takes_the_seed_of_the_unfinished_fit(tmp_path):
    cut_off(tmp_path, 12, random_state=None, checkpoint_every=10)
    resumed = model(checkpoint_dir=tmp_path, random_state=None).fit(TABLE)

    assert len(resumed.history_) == len(model().fit(TABLE).history_)
    assert files(tmp_path) == []


def test_how_often_files_are_written(tmp_path, monkeypatch):
    written = []
    real = container.write
    monkeypatch.setattr(container, "write", lambda *args: (written.append(args), real(*args)))

    model(checkpoint_dir=tmp_path / "new" / "folder", checkpoint_every=20).fit(TABLE)

    # Of 24 + 26 steps in epochs of 10: at 20, the end of the phase, at 44 and the end.
    steps = [sum(document["steps"]["dict"].values()) for _, _, document, _ in written]
    assert steps == [20, 24, 44, 50]


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(container, "write", None)

    model().fit(TABLE)

    assert files(tmp_path) == []


def test_partial_fit_writes_none(tmp_path):
    folder = tmp_path / "folder"
    gan = model(checkpoint_dir=folder)
    gan.partial_fit(TABLE)
    assert not folder.exists()


# -- mismatches -------------------------------------------------


def changed(X):
    X = X.copy()
    X[3, 2] += 1e-9
    return X


@pytest.mark.parametrize(
    ("X", "params", "words"),
    [
        (TABLE, {"max_iter": 27}, ["max_iter was 26 and is 27"]),
        (TABLE, {"n_clusters": 4}, ["n_clusters was (3) and is (4)"]),
        (TABLE, {"random_state": 1}, ["random_state"]),
        (TABLE, {"n_init": 2}, ["n_init was 1 and is 2"]),
        (TABLE, {"random_state": None, "n_init": 2}, ["n_init was 1 and is 2"]),
        (
            TABLE,
            {"mi_weight": 0.5, "batch_size": 8},
            ["mi_weight was 1.0 and is 0.5", "batch_size"],
        ),
        (TABLE, {"augmentation": None}, ["augmentation was GaussianNoise", "is identity"]),
        (TABLE, {"architecture": MLPArchitecture((8,), (8,), (8,), (8,))}, ["architecture"]),
        (TABLE, {"cluster_prior": [0.5, 0.3, 0.2]}, ["cluster_prior was uniform and is ((0.5"]),
        (TABLE, {"n_neighbors": 3}, ["n_neighbors was 10 and is 3"]),
        (TABLE[:-1], {}, ["shape of X was (70, 4) and is (69, 4)"]),
        (changed(TABLE), {}, ["SHA-256 of X"]),
        (TABLE[::-1], {}, ["SHA-256 of X"]),
        (TABLE.astype(np.float32), {}, ["dtype of X was float64 and is float32"]),
    ],
)
def test_a_mismatch_says_what_differs(X, params, words, tmp_path):
    cut_off(tmp_path, 12, checkpoint_every=10)
    before = files(tmp_path)
    other = model(checkpoint_dir=tmp_path, **params)

    with pytest.raises(ValueError, match="unfinished fit") as refused:
        other.fit(X)

    assert not [word for word in words if word not in str(refused.value)]
    assert files(tmp_path) == before
    with pytest.raises(NotFittedError):
        other.predict(TABLE)


@pytest.mark.parametrize(
    ("name", "one", "other", "known"),
    [
        ("mi_weight", np.float32(0.25), np.float32(4), "mi_weight was 0.25 and is 4.0"),
        ("learning_rate", np.float64(0.25), 0.5, "learning_rate was 0.25 and is 0.5"),
        ("max_iter", np.int64(26), np.int64(27), "max_iter was 26 and is 27"),
        ("n_noise", np.int64(4), np.int64(5), "n_noise was 4 and is 5"),
        ("augmentation", GaussianNoise(np.float32(0.25)), GaussianNoise(0.5), "deviation=0.25"),
    ],
)
def test_a_number_of_numpy_is_compared_by_its_value(name, one, other, known, tmp_path):
    cut_off(tmp_path, 12, checkpoint_every=10, **{name: one})

    with pytest.raises(ValueError, match=known):
        model(checkpoint_dir=tmp_path, **{name: other}).fit(TABLE)


def test_equal_numbers_of_other_types_resume(tmp_path):
    whole = model(mi_weight=1.0, batch_size=16).fit(TABLE)
    cut_off(tmp_path, 12, checkpoint_every=10, mi_weight=1, batch_size=np.int64(16))

    resumed = model(mi_weight=np.float32(1), batch_size=16, checkpoint_dir=tmp_path).fit(TABLE)

    assert resumed.n_iter_ == whole.n_iter_
    np.testing.assert_array_equal(resumed.transform(TABLE), whole.transform(TABLE))


def test_equal_parameters_are_described_equally():
    def description():
        gan = BInfoGANTransformer(3, image_shape=(8, 8))
        return describe([new_training(gan, DIGITS).settings], DIGITS, None, "cpu")

    assert description() == description()
    assert " at 0x" not in str(description())


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: b"",
        lambda data: b"no checkpoint" * 50,
    ],
)
def test_a_damaged_checkpoint_is_refused(damage, tmp_path):
    cut_off(tmp_path, 12, checkpoint_every=10)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(ValueError, match="Remove it to start"):
        model(checkpoint_dir=tmp_path).fit(TABLE)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("phase", "none"),
        ("phase", []),
        ("position", -1),
        ("position", 1.5),
        ("position", 71),
        ("seeds", []),
        ("seeds", [-1]),
        ("description", []),
        ("steps", 3),
        ("steps", {"dict": {"consistency": 25, "game": 0}}),
        ("order", np.zeros(70, np.int64)),
        ("order", np.arange(5)),
        ("order", np.arange(1, 71)),
        ("rng", np.zeros(3, np.uint8)),
        ("extra", np.zeros(3)),
    ],
)
def test_a_forged_checkpoint_is_refused(name, value, tmp_path):
    cut_off(tmp_path, 12, checkpoint_every=10)
    (path,) = map(str, tmp_path.iterdir())
    _, document, arrays = container.read(path, [FORMAT_VERSION])
    (arrays if isinstance(value, np.ndarray) else document)[name] = value
    container.write(path, FORMAT_VERSION, document, arrays)

    with pytest.raises(ValueError, match="checkpoint"):
        model(checkpoint_dir=tmp_path).fit(TABLE)


def test_a_checkpoint_of_another_phase_is_refused(tmp_path):
    cut_off(tmp_path, 12, n_init=2, checkpoint_every=10)
    (path,) = map(str, tmp_path.iterdir())
    assert path.endswith("checkpoint-0-consistency.safetensors")
    _, document, arrays = container.read(path, [FORMAT_VERSION])
    container.write(path, FORMAT_VERSION, document | {"phase": "game"}, arrays)

    with pytest.raises(ValueError, match="another phase"):
        model(checkpoint_dir=tmp_path, n_init=2).fit(TABLE)


def test_other_files_are_left_alone(tmp_path):
    others = [".model.safetensors-01234567.tmp", "checkpoint-best.safetensors", "notes.txt"]
    for name in others:
        (tmp_path / name).write_text("mine")
    leftover = tmp_path / ".checkpoint-0-game.safetensors-0123456789abcdef.tmp"
    leftover.write_bytes(b"of a killed fit")

    model(checkpoint_dir=tmp_path).fit(TABLE)

    assert files(tmp_path) == others


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("checkpoint_dir", 3),
        ("checkpoint_dir", ""),
        ("checkpoint_every", 0),
        ("checkpoint_every", 1.5),
    ],
)
def test_bad_parameters(name, value):
    with pytest.raises(ValueError, match=name):
        model(**{name: value}).fit(TABLE)


def test_a_refused_fit_leaves_no_folder(tmp_path):
    with pytest.raises(ValueError, match="n_samples"):
        model(n_clusters=999, checkpoint_dir=tmp_path / "new" / "deep").fit(TABLE)

    assert files(tmp_path) == []


def test_a_folder_that_can_not_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError):  # noqa: PT011  # which one differs between systems
        model(checkpoint_dir=tmp_path / "file").fit(TABLE)


# -- SIGKILL ----------------------------------------------------

WORKER = """
import sys
from sklearn.datasets import make_blobs
from sklearn_binfogan import BInfoGANTransformer, save
X, _ = make_blobs(70, centers=3, n_features=4, random_state=0)
gan = BInfoGANTransformer(
    3, warmup_iter=300, max_iter=300, batch_size=16, random_state=0, checkpoint_every=25,
    checkpoint_dir=sys.argv[1],
)
# The first fit and the first file import parts of torch: that is no time to be killed in.
save(BInfoGANTransformer(3, warmup_iter=1, max_iter=1).fit(X), sys.argv[2] + ".first")
print("begin", flush=True)
save(gan.fit(X), sys.argv[2])
"""


def finish(folder, result):
    """Run the worker to its end; give the seconds that its fit took."""
    command = [sys.executable, "-c", WORKER, str(folder), str(result)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        start = time.perf_counter()
        assert process.wait() == 0
        return time.perf_counter() - start


def kill(folder, result, seconds):
    """Run the worker, and kill it so many seconds into its fit."""
    command = [sys.executable, "-c", WORKER, str(folder), str(result)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        time.sleep(seconds)
        process.kill()


def kill_unfinished(folder, result, seconds):
    """Kill the worker before its end: sooner, if the machine has become faster since."""
    kill(folder, result, seconds)
    while result.exists():
        result.unlink()
        seconds /= 2
        kill(folder, result, seconds)


def killed_and_resumed(folder, n_moments, seed):
    """Kill a fit at random moments of its time; give how many left checkpoints and equal finals."""
    whole = folder / "whole.safetensors"
    duration = finish(folder / "whole", whole)
    n_checkpoints, n_equal = 0, 0
    for number, share in enumerate(np.random.default_rng(seed).uniform(0.05, 0.9, n_moments)):
        checkpoints, result = folder / str(number), folder / f"{number}.safetensors"
        kill_unfinished(checkpoints, result, share * duration)
        n_checkpoints += any(checkpoints.glob("checkpoint-*"))
        finish(checkpoints, result)
        n_equal += result.read_bytes() == whole.read_bytes()
    return n_checkpoints, n_equal


@pytest.mark.parametrize(
    "n_moments", [1, pytest.param(10, marks=pytest.mark.nightly)], ids=["one", "ten"]
)
@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL on this system")
def test_killed_and_resumed_gives_the_same_file(n_moments, tmp_path):
    n_checkpoints, n_equal = killed_and_resumed(tmp_path, n_moments, seed=n_moments)

    assert n_equal == n_moments
    assert n_checkpoints > 0


# -- Ctrl-C and errors ------------------------------------------


class PressCtrlC(Callback):
    """Send this process an interrupt, as the terminal does."""

    def __init__(self, n_steps, event="on_batch_end"):
        self.n_steps, self.event = n_steps, event

    def notify(self, event):
        self.n_steps -= event == self.event
        if event == self.event and self.n_steps == 0:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            self.notify("on_batch_end")

    def on_epoch_end(self, net, **kwargs):
        self.notify("on_epoch_end")


def assert_usable(gan, n_steps, X=TABLE):
    assert gan.n_iter_ == n_steps
    assert np.isfinite(gan.transform(X)).all()
    np.testing.assert_array_equal(gan.predict(X), gan.labels_)
    assert np.isfinite(gan.sample(5, random_state=0)[0]).all()
    assert 0 <= gan.score(X) <= 1
    assert len(gan.history_) == -(-n_steps // 10)
    assert all("train_loss" in epoch for epoch in gan.history_)


@pytest.mark.parametrize(
    ("pressed", "kept", "params"),
    [
        (14, 10, {}),
        (30, 24, {}),
        (49, 44, {}),
        (26, 20, {"cluster_prior": "learned", "warmup_iter": 40}),
        (60, 34, {"n_init": 2}),
    ],
)
@pytest.mark.usefixtures("hears_ctrl_c")
@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to a process on this system")
def test_ctrl_c_leaves_the_last_whole_epoch(pressed, kept, params):
    gan = model(callbacks=[PressCtrlC(pressed)], **params)

    with pytest.raises(KeyboardInterrupt):
        gan.fit(TABLE)

    assert_usable(gan, kept)
    gan.partial_fit(TABLE)
    assert gan.n_iter_ == kept + 5


@pytest.mark.usefixtures("hears_ctrl_c")
@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to a process on this system")
def test_ctrl_c_within_a_callback_is_no_early_stopping():
    gan = model(callbacks=[PressCtrlC(2, "on_epoch_end")])
    handler = signal.getsignal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        gan.fit(TABLE)

    assert_usable(gan, 10)
    assert signal.getsignal(signal.SIGINT) is handler


class CutInTheGame(Callback):
    """Stops a fit where the game begins."""

    def on_epoch_begin(self, net, **kwargs):
        if net.training.phase.name == "game":
            raise Cut


@pytest.mark.parametrize("seed", range(3))
def test_a_fit_stopped_after_the_choice_of_a_start_is_that_start(seed):
    budget = {"n_init": 3, "n_clusters": 5, "random_state": seed}
    chosen = model(**budget).fit(TABLE)
    gan = model(callbacks=[CutInTheGame()], **budget)

    with pytest.raises(Cut):
        gan.fit(TABLE)

    np.testing.assert_array_equal(gan.labels_, chosen.labels_)


def test_before_the_first_epoch_nothing_is_left():
    gan = model(callbacks=[CutAfter(4)])
    state = dict(vars(gan))

    with pytest.raises(Cut):
        gan.fit(TABLE)

    assert vars(gan) == state


def test_the_model_before_stays_until_the_first_epoch():
    gan = model().fit(TABLE)
    codes = gan.transform(TABLE)

    with pytest.raises(Cut):
        gan.set_params(callbacks=[CutAfter(4)]).fit(TABLE * 2)

    np.testing.assert_array_equal(gan.transform(TABLE), codes)


def test_a_second_ctrl_c_gives_up(monkeypatch):
    gan = model(callbacks=[CutAfter(20)])
    state = dict(vars(gan))

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(FittedModel, "predict", interrupt)
    with pytest.raises(KeyboardInterrupt):
        gan.fit(TABLE)

    assert vars(gan) == state


def test_ctrl_c_when_labelling_leaves_the_finished_model(monkeypatch):
    gan, calls = model(), []
    real = FittedModel.predict

    def interrupt_once(self, X):
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return real(self, X)

    monkeypatch.setattr(FittedModel, "predict", interrupt_once)
    with pytest.raises(KeyboardInterrupt):
        gan.fit(TABLE)

    assert_same_model(gan, model().fit(TABLE), TABLE)


# -- a full disk ------------------------------------------------


def test_a_folder_that_can_not_be_written_is_refused_before_training(tmp_path, monkeypatch):
    def read_only(dir):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(dir))

    monkeypatch.setattr(checkpoints, "TemporaryFile", read_only)
    gan = model(checkpoint_dir=tmp_path)
    with pytest.raises(OSError, match="Read-only"):
        gan.fit(TABLE)
    assert not hasattr(gan, "labels_")


def test_a_full_disk_stops_and_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    gan = model(checkpoint_dir=tmp_path, checkpoint_every=10)
    calls, real = [], os.fsync

    def full(stream):
        calls.append(1)
        if len(calls) > 4:  # two to each file
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(stream)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space") as stopped:
            gan.fit(TABLE)

    assert stopped.value.errno == errno.ENOSPC
    assert "previous checkpoint is intact" in stopped.value.__notes__[0]
    assert files(tmp_path) == ["checkpoint-0-game.safetensors"]
    assert_usable(gan, 24)  # of the epoch whose checkpoint failed
    assert Checkpoints(tmp_path, 50).found[0]["steps"] == {"dict": {"consistency": 20, "game": 0}}
    assert_same_model(model(checkpoint_dir=tmp_path).fit(TABLE), model().fit(TABLE), TABLE)


def test_a_disk_full_from_the_start(tmp_path):
    resource = pytest.importorskip("resource", reason="not on Windows")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    gan = model(checkpoint_dir=tmp_path, checkpoint_every=10)

    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            gan.fit(TABLE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert files(tmp_path) == []
    assert_usable(gan, 10)
