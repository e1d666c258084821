"""What a fit tells its watchers: skorch's callbacks, the bar, the HTML repr."""

import importlib
import sys

import pytest
import tqdm.auto
from sklearn.datasets import make_blobs
from skorch.callbacks import Callback, EarlyStopping, TensorBoard

from sklearn_binfogan import BInfoGANTransformer

X, _ = make_blobs(60, centers=3, random_state=0)
N_EPOCHS = 2 + 1  # 60 steps of the consistency phase, 20 of the game


def gan(**parameters):
    """Return an unfitted estimator of a small budget."""
    budget = {"n_clusters": 3, "warmup_iter": 60, "max_iter": 20, "random_state": 0}
    return BInfoGANTransformer(**(budget | parameters))


# -- without scikit-learn's callbacks --------------------------------------------------------------


def modules_of_ours():
    return [name for name in sys.modules if name.partition(".")[0] == "sklearn_binfogan"]


@pytest.fixture
def package_beside_an_older_scikit_learn(monkeypatch):
    """A module that is not there is how the package sees scikit-learn before 1.9."""
    for name in modules_of_ours():
        monkeypatch.delitem(sys.modules, name)
    with monkeypatch.context() as patched:  # not for scikit-learn's own modules, imported later
        patched.setitem(sys.modules, "sklearn.callback", None)
        package = importlib.import_module("sklearn_binfogan")
    yield package
    for name in modules_of_ours():
        del sys.modules[name]


def test_older_versions_have_no_callbacks_but_fit(package_beside_an_older_scikit_learn):
    older = package_beside_an_older_scikit_learn.BInfoGANTransformer

    assert older is not BInfoGANTransformer
    assert not hasattr(older, "set_callbacks")
    assert older(3, warmup_iter=3, max_iter=3, random_state=0).fit(X).n_iter_ == 6


# -- skorch's callbacks ----------------------------------------------------------------------------


class Score(Callback):
    """Record the label-free score under a name of its own, higher is better."""

    def on_epoch_end(self, net, **kwargs):
        net.history.record("score", 1 - net.history[-1]["valid_loss"])


def test_early_stopping_on_the_label_free_score():
    stopping = EarlyStopping(
        "score", lower_is_better=False, patience=2, threshold=10.0, sink=lambda text: None
    )
    estimator = gan(callbacks=[Score(), stopping], warmup_iter=0, max_iter=2000).fit(X)

    scores = [row["score"] for row in estimator.history_]
    assert len(scores) == 3  # the first is the best, as none is better by a factor of 11
    assert estimator.n_iter_ == 150


class Writer:
    """A stand-in for torch.utils.tensorboard.SummaryWriter: keeps scalars."""

    def __init__(self):
        self.scalars = []

    def add_scalar(self, tag, scalar_value, global_step):
        self.scalars.append((tag, float(scalar_value), global_step))

    def close(self):
        pass


def test_tensorboard_gets_the_losses_of_each_epoch():
    writer = Writer()
    estimator = gan(callbacks=[TensorBoard(writer, keys_ignored="phase")]).fit(X)

    valid = [value for tag, value, _ in writer.scalars if tag == "Loss/valid_loss"]
    assert valid == [row["valid_loss"] for row in estimator.history_]
    tags = {tag for tag, _, step in writer.scalars if step == N_EPOCHS}
    assert {"Loss/train_loss", "discriminator_loss"} <= tags


# -- the bar of verbose=1, the repr of notebooks ---------------------------------------------------


def test_bar_shows_phase_step_losses_and_time_left(monkeypatch):
    shown = []
    set_postfix = tqdm.auto.tqdm.set_postfix

    def then_look(bar, *args, **kwargs):
        set_postfix(bar, *args, **kwargs)
        shown.append(str(bar))

    monkeypatch.setattr(tqdm.auto.tqdm, "set_postfix", then_look)
    estimator = gan(verbose=1).fit(X)

    assert [line.split(":")[0] for line in shown] == ["consistency", "consistency", "game"]
    assert "50/80 [" in shown[0]
    assert "<" in shown[0].split("[")[1]  # elapsed<left
    last = estimator.history_[-1]
    assert f"train={last['train_loss']:.3g}" in shown[-1]
    assert f"discriminator={last['discriminator_loss']:.3g}" in shown[-1]
    assert f"valid={last['valid_loss']:.3g}" in shown[-1]


def test_html_repr_links_to_the_documentation():
    html = BInfoGANTransformer()._repr_html_()

    page = "generated/sklearn_binfogan.BInfoGANTransformer.html"
    assert f"https://sklearn-binfogan.readthedocs.io/en/stable/{page}" in html
