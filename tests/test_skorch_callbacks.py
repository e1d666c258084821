"""Each of skorch's callbacks works, as docs/callbacks.md says, or is refused."""

import copy
import json
import pickle
import re
import threading
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
import skorch.callbacks
import torch
from sklearn.base import clone
from sklearn.datasets import make_blobs, make_circles
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochTimer,
    Freezer,
    GradientNormClipping,
    Initializer,
    MlflowLogger,
    ParamMapper,
    PassthroughScoring,
    PrintLog,
    ProgressBar,
    SacredLogger,
    TensorBoard,
    TrainEndCheckpoint,
    Unfreezer,
)

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer

PAGE = Path(__file__).resolve().parents[1] / "docs" / "callbacks.md"
X, Y = make_blobs(60, centers=3, random_state=0)
PHASES = ["consistency", "consistency", "game"]  # by epoch: 60 and 20 steps


def table(heading):
    """Return the rows of the first table below a heading, as lists of cells."""
    part = PAGE.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")]
    return rows[1:]


# Why something is refused, and what to use instead: classes, and single options of others.
REASONS = {cells[0].strip("`"): cells[1:] for cells in table("Which are refused")}
REFUSED = [name for name in REASONS if "(" not in name]
OPTIONS = [tuple(name.split("=")[0].split("(")) for name in REASONS if "(" in name]


def gan(*callbacks, **parameters):
    """Return an unfitted estimator of a small budget."""
    budget = {"n_clusters": 3, "warmup_iter": 60, "max_iter": 20, "random_state": 0}
    budget |= {"n_neighbors": 0}  # its end of the phase takes as long as many steps
    return BInfoGANTransformer(**(budget | parameters), callbacks=list(callbacks) or None)


def fit(estimator, *y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(X, *y)


def column(estimator, name):
    return [row.get(name) for row in estimator.history_]


class Watch(Callback):
    """Keep the weights at the end of each epoch, and the networks."""

    def __init__(self):
        self.seen = []

    def on_train_begin(self, net, **kwargs):
        self.networks = net.module_

    def on_epoch_end(self, net, **kwargs):
        self.seen.append(copy.deepcopy(net.module_.state_dict()))

    def weights(self, name):
        return [state[name] for state in self.seen]


def a_weight(prefix):
    """Return the name of a network's first weight."""
    watch = Watch()
    fit(gan(watch, warmup_iter=1, max_iter=1))
    return next(name for name in watch.seen[0] if name.startswith(prefix))


GENERATOR = a_weight("generator.")
CATEGORIES = a_weight("encoder.category_trunk.")


# -- those that work -------------------------------------------------------------------------------


def test_epoch_timer():
    assert all(seconds > 0 for seconds in column(fit(gan(EpochTimer())), "dur"))


def test_print_log_prints_a_heading_for_each_phase(capsys):
    estimator = fit(gan(PrintLog()))

    lines = capsys.readouterr().out.splitlines()
    headings = [line.split() for line in lines if "train_loss" in line]
    assert len(headings) == 2
    assert "discriminator_loss" not in headings[0]
    assert "discriminator_loss" in headings[1]
    row = lines[-1].split()
    at = headings[1].index("discriminator_loss")
    assert float(row[at]) == pytest.approx(column(estimator, "discriminator_loss")[-1], abs=1e-4)


def test_progress_bar(capsys):
    fit(gan(ProgressBar(detect_notebook=False)))
    assert "0/51 [" in "".join(capsys.readouterr())


def test_passthrough_scoring():
    estimator = fit(gan(PassthroughScoring("players_loss", on_train=True)))
    assert column(estimator, "players_loss")[:2] == [None, None]
    assert column(estimator, "players_loss")[2] == pytest.approx(column(estimator, "train_loss")[2])


def test_early_stopping_brings_back_the_best_epoch_of_a_phase():
    class Worse(Callback):
        """Record a number that is best at the first epoch."""

        def on_epoch_end(self, net, **kwargs):
            net.history.record("worse", len(net.history))

    watch = Watch()
    stopping = EarlyStopping("worse", patience=2, load_best=True, sink=lambda text: None)
    estimator = fit(gan(Worse(), watch, stopping, warmup_iter=500, max_iter=500))

    assert column(estimator, "phase") == ["consistency"] * 3 + ["game"] * 3
    weights = watch.networks.state_dict()
    assert torch.equal(weights[GENERATOR], watch.weights(GENERATOR)[3])
    average = GENERATOR.replace("generator", "averaged_generator", 1)
    assert torch.equal(weights[average], watch.weights(average)[3])


def test_what_the_end_of_a_phase_decides_follows_the_callbacks():
    class Spoil(Callback):
        def on_train_end(self, net, **kwargs):
            net.module_.averaged_encoder.head.fill_(99)

    watch = Watch()
    fit(gan(Spoil(), watch, max_iter=0))
    players = watch.networks

    assert int(players.averaged_encoder.head) < players.averaged_encoder.n_heads


def test_checkpoint_writes_what_the_best_epoch_was(tmp_path):
    watch = Watch()
    estimator = fit(gan(watch, Checkpoint(dirname=str(tmp_path))))

    best = int(np.argmin(column(estimator, "valid_loss")))
    assert column(estimator, "event_cp") == column(estimator, "valid_loss_best")
    saved = torch.load(tmp_path / "params.pt")
    assert torch.equal(saved[GENERATOR], watch.weights(GENERATOR)[best])
    assert len(json.loads((tmp_path / "history.json").read_text())) == best + 1
    assert {"state", "param_groups"} <= torch.load(tmp_path / "optimizer.pt").keys()


def test_train_end_checkpoint_writes_the_end_of_the_last_phase(tmp_path):
    watch = Watch()
    fit(gan(watch, TrainEndCheckpoint(dirname=str(tmp_path))))

    saved = torch.load(tmp_path / "train_end_params.pt")
    ours = watch.networks.state_dict()
    assert torch.equal(saved[GENERATOR], ours[GENERATOR])
    assert len(json.loads((tmp_path / "train_end_history.json").read_text())) == 3


@pytest.mark.parametrize("patterns", ["generator.*", ["encoder.*", "generator.*"], "*"])
def test_freezer_and_unfreezer(patterns):
    watch = Watch()
    fit(
        gan(
            Freezer(patterns, at=2),
            Unfreezer(patterns, at=4),
            watch,
            warmup_iter=0,
            max_iter=250,
        )
    )

    moved = [
        not torch.equal(*pair)
        for pair in zip(watch.weights(GENERATOR), watch.weights(GENERATOR)[1:], strict=False)
    ]
    assert moved == [False, False, True, True]


def test_freezer_in_the_consistency_phase():
    watch = Watch()
    fit(gan(Freezer("encoder.category*", at=2), watch, warmup_iter=150))

    first, second, third, _ = watch.weights(CATEGORIES)
    assert torch.equal(second, third)
    assert torch.equal(first, second)


def test_an_interrupt_as_a_phase_begins_ends_the_phase():
    class NoGame(Callback):
        def on_train_begin(self, net, X=None, y=None, **kwargs):
            if net.training.phase.name == "game":
                raise KeyboardInterrupt

    try:
        model = fit(gan(NoGame(), max_iter=20))
    except KeyboardInterrupt:  # pytest would stop
        pytest.fail("The interrupt ended the fit.")
    assert model.n_iter_ == 60


def test_a_frozen_encoder_learns_no_partition_of_neighbours():
    X, _ = make_circles(200, factor=0.3, noise=0.02, random_state=0)  # its gap is seen at once
    watch = Watch()
    gan(Freezer("encoder.*"), watch, n_clusters=2, n_neighbors="auto").fit(X)

    first, *others = watch.weights(CATEGORIES)
    assert all(torch.equal(first, later) for later in others)


def test_initializer_and_param_mapper():
    seen = []
    fill = Initializer(GENERATOR, fn=lambda weight: weight.detach().fill_(7.0))
    look = ParamMapper(GENERATOR, fn=lambda weight: seen.append(weight.detach().clone()))
    fit(gan(fill, look))

    assert len(seen) == 1
    assert (seen[0] == 7).all()


def test_gradient_norm_clipping():
    class Norms(Callback):
        def __init__(self):
            self.norms = []

        def on_grad_computed(self, net, named_parameters, **kwargs):
            grads = [w.grad.norm() for _, w in named_parameters if w.grad is not None]
            self.norms.append(float(torch.stack(grads).norm()))

    before, after = Norms(), Norms()
    fit(gan(before, GradientNormClipping(0.5), ("after", after)))

    assert max(before.norms) > 0.6
    assert max(after.norms) < 0.5001
    assert len(after.norms) == 60 + 2 * 20  # once before each optimiser's step


class Writer:
    """A stand-in for loggers' own objects: keeps what it is given, and takes numbers alone."""

    def __init__(self):
        self.info = self
        self.run_id = "run"
        self.values, self.ended, self.files = {}, 0, set()

    def add_scalar(self, tag, scalar_value, global_step):
        self.values.setdefault(tag, []).append((global_step, float(scalar_value)))

    def log_scalar(self, name, value, step=None):
        self.add_scalar(name, value, step)

    def log_metric(self, run_id, name, value, step):
        self.add_scalar(name, value, step)

    def log_artifact(self, run_id, path):
        self.files.add(path.name)

    def close(self):
        self.ended += 1

    def set_terminated(self, run_id):
        self.close()


@pytest.mark.parametrize("kind", ["board", "sacred", "mlflow"])
def test_loggers_get_every_number_of_every_epoch(kind):
    writer = Writer()
    logger = {
        "board": TensorBoard(writer),
        "sacred": SacredLogger(writer),
        "mlflow": MlflowLogger(writer, writer),
    }[kind]
    estimator = fit(gan(logger))

    name = "Loss/valid_loss" if kind == "board" else "valid_loss"
    expected = list(enumerate(column(estimator, "valid_loss"), start=1))
    assert writer.values[name] == expected
    assert writer.values["discriminator_loss"][0][0] == 3
    assert writer.ended == (0 if kind == "sacred" else 2)
    assert ("params.pth" in writer.files) == (kind == "mlflow")


def test_golden_weights_do_not_depend_on_watching():
    watched = [EpochTimer(), PrintLog(sink=lambda row: None), Watch(), TensorBoard(Writer())]
    np.testing.assert_array_equal(fit(gan()).transform(X), fit(gan(*watched)).transform(X))


# -- those that are refused ------------------------------------------------------------------------


def made(name):
    """Return an object of a refused class, as far as it can be made without a training."""
    kind = getattr(skorch.callbacks, name)
    return kind if name == "WarmRestartLR" else kind.__new__(kind)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("how", ["object", "class", "named", "subclass"])
def test_refused_before_training(name, how):
    kind = getattr(skorch.callbacks, name)
    sub = type(f"My{name}", (kind,), {})
    given = {"object": made(name), "class": kind, "named": ("mine", kind), "subclass": sub}[how]
    estimator = gan(given)

    with pytest.raises(ValueError, match=name) as error:
        estimator.fit(X)
    assert all(part in str(error.value) for part in REASONS[name])
    assert not hasattr(estimator, "n_features_in_")


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_refused_options(name, option, tmp_path):
    value = True if option == "load_best" else "net.pkl"
    callback = getattr(skorch.callbacks, name)(dirname=str(tmp_path / "new"), **{option: value})

    with pytest.raises(ValueError, match=re.escape(f"{name}({option}={value!r})")):
        gan(callback).fit(X)
    assert not (tmp_path / "new").exists()


def test_a_class_that_sets_a_refused_option_is_refused():
    class Best(Checkpoint):
        def __init__(self):
            super().__init__(load_best=True)

    with pytest.raises(ValueError, match="load_best"):
        gan(Best).fit(X)


def test_refused_in_every_way_to_train():
    scheduler = skorch.callbacks.LRScheduler("StepLR", step_size=1)
    with pytest.raises(ValueError, match="LRScheduler"):
        gan(scheduler).partial_fit(X)
    with pytest.raises(ValueError, match="LRScheduler"):
        BInfoGANClassifier(callbacks=[scheduler]).fit(X, Y)
    begun = gan().partial_fit(X)
    with pytest.raises(ValueError, match="LRScheduler"):
        begun.set_params(callbacks=[scheduler]).partial_fit(X)


@pytest.mark.parametrize("given", [3, print, object(), int])
def test_what_is_no_callback(given):
    with pytest.raises(TypeError, match=r"skorch\.callbacks\.Callback"):
        gan(given).fit(X)


def test_callbacks_of_scikit_learn_go_elsewhere():
    sklearn_callback = pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 brought it")
    with pytest.raises(TypeError, match="set_callbacks"):
        gan(sklearn_callback.ProgressBar()).fit(X)


# -- clones, searches, files, starts ---------------------------------------------------------------


class Held(Callback):
    """Holds what can't be copied, as a writer of TensorBoard does."""

    def __init__(self, lock):
        self.lock = lock


class Makes(Held):
    """Makes it itself."""

    made = 0

    def __init__(self):
        super().__init__(threading.Lock())
        type(self).made += 1


def test_what_can_not_be_copied_is_named():
    estimator = fit(gan(Held(threading.Lock())))

    with pytest.raises(TypeError, match="Held can't be copied"):
        clone(estimator)
    with pytest.raises(TypeError, match="Held can't be copied"):
        GridSearchCV(estimator, {"mi_weight": [1]}, cv=2).fit(X)
    with pytest.raises(TypeError, match="Held can't be copied"):
        pickle.dumps(estimator)
    again = pickle.loads(pickle.dumps(estimator.set_params(callbacks=None)))
    np.testing.assert_array_equal(again.transform(X), estimator.transform(X))


def test_a_class_makes_what_can_not_be_copied(tmp_path):
    search = fit(GridSearchCV(gan(Makes), {"mi_weight": [0.5, 1]}, cv=2))
    assert Makes.made == 2 * 2 + 1

    joblib.dump(search.best_estimator_, tmp_path / "model")
    again = joblib.load(tmp_path / "model")
    again.transform(X)
    assert Makes.made == 2 * 2 + 1  # a model in use needs none
    again.partial_fit(X)
    assert Makes.made == 2 * 2 + 2


def test_clones_copy_own_callbacks_of_any_class():
    watch, stopping = Watch(), EarlyStopping(patience=3)
    estimator = fit(gan(watch, ("stop", stopping)))
    twin = clone(estimator)

    copied, (name, stop) = twin.callbacks
    assert type(copied) is Watch
    assert copied is not watch
    assert (name, stop.patience) == ("stop", 3)
    assert stop is not stopping
    assert twin.n_clusters == 3
    assert not hasattr(twin, "labels_")
    assert clone(gan(EpochTimer()).set_output(transform="pandas"))._sklearn_output_config


class Diary(Callback):
    """Keep what happens; leave a file for each phase of each start."""

    def __init__(self, folder):
        self.folder = folder
        self.events = []

    def initialize(self):
        self.events.append("initialize")
        return super().initialize()

    def on_train_end(self, net, **kwargs):
        steps = net.training.steps[net.training.phase.name]
        self.events.append((net.settings.seed, net.training.phase.name, steps))
        (self.folder / f"{net.settings.seed}_{net.training.phase.name}").touch()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_several_starts(n_jobs, tmp_path):
    diary = Diary(tmp_path)
    fit(gan(diary, n_init=2, n_jobs=n_jobs))

    assert len(list(tmp_path.glob("*_consistency"))) == 2
    assert len(list(tmp_path.glob("*_game"))) == 1
    if n_jobs == 1:
        assert diary.events.count("initialize") == 3
        ends = [event[1:] for event in diary.events if event != "initialize"]
        assert ends == [("consistency", 60), ("consistency", 60), ("game", 20)]
    else:  # the last start, alone, trains here
        assert [e[1:] for e in diary.events if e != "initialize"] == [("game", 20)]


# -- the page --------------------------------------------------------------------------------------


def test_the_page_names_every_callback_of_skorch():
    works = {cells[0].strip("`") for cells in table("Which work")}
    assert works | set(REFUSED) == set(skorch.callbacks.__all__)
    assert not works & set(REFUSED)


def code_of(text):
    """Blocks of code of a page, or of a part of it."""
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def of_guide():
    """Give the part of the guide on callbacks of one's own."""
    guide = (PAGE.parent / "guide" / "extending.md").read_text(encoding="utf-8")
    return guide.partition("## Your own callback")[2].partition("\n## ")[0]


@pytest.mark.parametrize("read", [lambda: PAGE.read_text(encoding="utf-8"), of_guide])
def test_the_code_of_a_page_runs(read):
    blocks = code_of(read())
    assert blocks
    for block in blocks:
        names = {"BInfoGANTransformer": BInfoGANTransformer}
        exec(compile(block, "page", "exec"), names)
        estimator = fit(names["gan"].set_params(warmup_iter=60, max_iter=20, n_clusters=3))
        assert column(estimator, "phase") == PHASES
        if "generator_norm" in block:
            assert all(norm > 0 for norm in column(estimator, "generator_norm"))


def test_the_names_of_the_page_are_there():
    class Look(Callback):
        def on_epoch_end(self, net, **kwargs):
            networks = re.findall(r"`(\w+)`", table("Your own")[0][1])
            assert len(networks) == 5
            assert all(isinstance(getattr(net.module_, n), torch.nn.Module) for n in networks)
            assert net.training.phase.name == net.history[-1]["phase"]
            assert set(net.training.steps) == {"consistency", "game"}
            net.history.record("seed", net.settings.seed)

    assert len(set(column(fit(gan(Look())), "seed"))) == 1
