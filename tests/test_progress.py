"""What a fit tells its watchers: skorch's callbacks, the bar, the HTML repr."""

import importlib.util
import sys
import warnings

from sklearn.datasets import make_blobs
from skorch.callbacks import Callback, EarlyStopping, TensorBoard

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan._progress import PhaseProgress

X, _ = make_blobs(60, centers=3, random_state=0)
N_EPOCHS = 2 + 1  # 60 steps of the consistency phase, 20 of the game


def gan(**parameters):
    """Return an unfitted estimator of a small budget."""
    budget = {"n_clusters": 3, "warmup_iter": 60, "max_iter": 20, "random_state": 0}
    return BInfoGANTransformer(**(budget | parameters))


def fit(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(X)


# -- without scikit-learn's callbacks --------------------------------------------------------------


def test_older_versions_have_no_callbacks_but_fit(monkeypatch):
    """A module that is not there is how a guard sees scikit-learn before 1.9."""
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    guarded = importlib.util.find_spec("sklearn_binfogan._callbacks")
    module = importlib.util.module_from_spec(guarded)
    guarded.loader.exec_module(module)

    assert not hasattr(module.CallbackSupportMixin, "set_callbacks")
    assert module.FitTasks.of(gan(), X, None) is None


# -- skorch's callbacks ----------------------------------------------------------------------------


class Score(Callback):
    """Record the label-free score under a name of its own, higher is better."""

    def on_epoch_end(self, net, **kwargs):
        net.history.record("score", 1 - net.history[-1]["valid_loss"])


def test_early_stopping_on_the_label_free_score():
    stopping = EarlyStopping(
        "score", lower_is_better=False, patience=2, threshold=10.0, sink=lambda text: None
    )
    estimator = fit(gan(callbacks=[Score(), stopping], warmup_iter=0, max_iter=2000))

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
    estimator = fit(gan(callbacks=[TensorBoard(writer, keys_ignored="phase")]))

    valid = [value for tag, value, _ in writer.scalars if tag == "Loss/valid_loss"]
    assert valid == [row["valid_loss"] for row in estimator.history_]
    tags = {tag for tag, _, step in writer.scalars if step == N_EPOCHS}
    assert {"Loss/train_loss", "discriminator_loss"} <= tags


# -- the bar of verbose=1, the repr of notebooks ---------------------------------------------------


def test_bar_shows_phase_step_losses_and_time_left(monkeypatch):
    shown = []

    def refresh(self, *args, **kwargs):
        shown.append(str(self.bar_))

    on_epoch_end = PhaseProgress.on_epoch_end

    def then_look(self, net, **kwargs):
        on_epoch_end(self, net, **kwargs)
        refresh(self)

    monkeypatch.setattr(PhaseProgress, "on_epoch_end", then_look)
    estimator = fit(gan(verbose=1))

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
