"""What a fit tells scikit-learn's callbacks."""

import gc
import pickle
import warnings
import weakref

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer

sklearn_callback = pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 brought it")

X, Y = make_blobs(60, centers=3, random_state=0)
N_EPOCHS = 2 + 1  # 60 steps of the consistency phase, 20 of the game


def gan(**parameters):
    """Return an unfitted estimator of a small budget."""
    budget = {"n_clusters": 3, "warmup_iter": 60, "max_iter": 20, "random_state": 0}
    return BInfoGANTransformer(**(budget | parameters))


def fit(estimator, y=Y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(X, y)


# The `valid_loss` of an epoch is judged by fewer draws than `score`.
NEAR = {"rtol": 0, "atol": 0.03}


class Recorder:
    """A callback of scikit-learn's protocol that writes down what it is told."""

    max_propagation_depth = None

    def __init__(self, stop_at=None):
        self.stop_at = stop_at
        self.events, self.contexts, self.fitted = [], [], []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.events.append(f"end {context.task_name}")
        self.contexts.append(context)
        self.fitted.append(fitted_estimator)
        return context.task_name == self.stop_at


def test_a_fit_is_a_task_with_an_epoch_each_for_a_subtask():
    recorder = Recorder()
    fit(gan().set_callbacks(recorder))

    phases = ["consistency", "consistency", "game"]
    epochs = [f"{verb} epoch of the {phase}" for phase in phases for verb in ("begin", "end")]
    assert recorder.events == ["setup", "begin fit", *epochs, "end fit", "teardown"]
    assert recorder.contexts[-1].max_subtasks == N_EPOCHS
    assert [context.task_id for context in recorder.contexts[:-1]] == [0, 1, 2]


def test_callbacks_see_estimators_as_if_training_had_stopped():
    recorder = Recorder()
    # Without T the score doesn't depend on the order of rows.
    estimator = fit(gan(augmentation=None).set_callbacks(recorder))

    scores = [fitted.score(X) for fitted in recorder.fitted]
    expected = [1 - row["valid_loss"] for row in estimator.history_]
    np.testing.assert_allclose(scores[:-1], expected, **NEAR)
    assert np.ptp(expected) > 0.04  # more than that
    assert recorder.fitted[-1].score(X) == estimator.score(X)
    assert not np.array_equal(recorder.fitted[0].transform(X), estimator.transform(X))


def test_watching_changes_no_result():
    plain, watched = fit(gan()), fit(gan().set_callbacks(Recorder()))

    np.testing.assert_array_equal(plain.transform(X), watched.transform(X))


def test_a_watched_model_holds_no_data():
    class Silent(Recorder):
        """Keep nothing of what is told."""

        def on_fit_task_end(self, estimator, context, **kwargs):
            return False

    rows = X.copy()
    seen = weakref.ref(rows)
    estimator = gan().set_callbacks(Silent()).fit(rows, Y)
    del rows
    gc.collect()

    assert estimator.n_iter_ == 80
    assert seen() is None


def test_a_refit_is_watched_anew():
    recorder = Recorder()
    estimator = fit(gan().set_callbacks(recorder))
    fit(estimator)

    assert recorder.events.count("begin fit") == recorder.events.count("teardown") == 2


def test_a_callback_that_asks_to_stop_ends_the_running_phase():
    recorder = Recorder(stop_at="epoch of the consistency")
    estimator = fit(gan(warmup_iter=200).set_callbacks(recorder))

    assert estimator.n_iter_ == 50 + 20
    assert recorder.events.count("end epoch of the game") == 1
    assert recorder.events[-2:] == ["end fit", "teardown"]


def test_a_failing_fit_tears_callbacks_down():
    recorder = Recorder()
    estimator = gan(learning_rate=1e30).set_callbacks(recorder)

    with pytest.raises(FloatingPointError):
        fit(estimator)
    assert recorder.events[-1] == "teardown"
    assert "end fit" not in recorder.events
    assert not hasattr(estimator, "_callback_fit_ctx")


def test_several_starts_are_one_task():
    recorder = Recorder()
    fit(gan(n_init=2, warmup_iter=5, max_iter=5).set_callbacks(recorder))

    assert recorder.events == ["setup", "begin fit", "end fit", "teardown"]


def score_of(estimator, X, y):
    """Label-free score, as a scorer."""
    return estimator.score(X)


def test_scoring_monitor_logs_the_score_of_each_epoch():
    monitor = sklearn_callback.ScoringMonitor(scoring={"score": score_of})
    estimator = fit(gan(augmentation=None).set_callbacks(monitor))

    log = monitor.get_logs().data
    assert len(log) == N_EPOCHS + 1  # and the whole fit
    by_path = {row["task_id_path"]: row for row in log}
    assert by_path[(0,)]["score"] == estimator.score(X)
    expected = [1 - row["valid_loss"] for row in estimator.history_]
    scores = [by_path[(0, i)]["score"] for i in range(N_EPOCHS)]
    np.testing.assert_allclose(scores, expected, **NEAR)


def test_scoring_monitor_sees_classes_in_their_order():
    few = np.where(np.arange(len(X)) % 5 == 0, Y, -1)
    monitor = sklearn_callback.ScoringMonitor(scoring={"accuracy": lambda e, *_: e.score(X, Y)})
    budget = {"warmup_iter": 60, "max_iter": 20, "random_state": 0}
    classifier = fit(BInfoGANClassifier(**budget).set_callbacks(monitor), few)

    log = {row["task_id_path"]: row["accuracy"] for row in monitor.get_logs().data}
    assert log[(0,)] == log[(0, N_EPOCHS - 1)] == classifier.score(X, Y) > 0.8


def search():
    """Return a search over a pipeline, not watched yet."""
    pipe = Pipeline([("gan", gan(max_iter=10)), ("clf", LogisticRegression())])
    return GridSearchCV(pipe, {"gan__mi_weight": [0.1, 1]}, cv=2)


def test_scoring_monitor_inside_a_pipeline_and_a_search():
    monitor = sklearn_callback.ScoringMonitor(scoring={"score": score_of})
    searched = search()
    searched.estimator.named_steps["gan"].set_callbacks(monitor)
    fit(searched)

    log = monitor.get_logs().data
    assert len(log) == (2 * 2 + 1) * (N_EPOCHS + 1)  # candidates times folds, and the refit
    assert {row["estimator_name"] for row in log} == {"BInfoGANTransformer"}
    assert all(0 <= row["score"] <= 1 for row in log)


def test_callbacks_reach_the_epochs_through_a_pipeline_and_a_search():
    recorder = Recorder()
    fit(search().set_callbacks(recorder))

    assert recorder.events.count("end epoch of the game") == 2 * 2 + 1
    assert recorder.events.count("setup") == recorder.events.count("teardown") == 1
    epoch = next(c for c in recorder.contexts if c.task_name == "epoch of the game")
    assert epoch.parent.source_estimator_name == "Pipeline"


@pytest.mark.parametrize("make", [gan, search])
def test_progress_bar_of_scikit_learn(make, capsys):
    pytest.importorskip("rich", reason="scikit-learn's ProgressBar draws with it")
    bar = sklearn_callback.ProgressBar(max_propagation_depth=None)

    fit(make().set_callbacks(bar))

    shown = capsys.readouterr().out
    assert "BInfoGANTransformer - fit" in shown
    assert "100%" in shown


def test_clones_keep_callbacks_and_watched_models_pickle():
    recorder = Recorder()
    estimator = clone(gan().set_callbacks(recorder))
    fit(estimator)
    estimator.set_callbacks()  # a recorder holds what can't be pickled; none is left after this

    again = pickle.loads(pickle.dumps(estimator))
    assert recorder.events[-1] == "teardown"
    np.testing.assert_array_equal(again.transform(X), estimator.transform(X))
