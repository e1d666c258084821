"""scikit-learn's callbacks (`sklearn.callback`, from 1.9 on): a fit is a task, an epoch a subtask.

The protocol is experimental. With older versions, which lack it, estimators have no
`set_callbacks`.
"""

import math
from collections.abc import Callable
from typing import Any

from skorch.callbacks import Callback

from ._model import FittedModel
from ._settings import STEPS_PER_EPOCH
from ._trainer import Trainer

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef] # stands in for the missing class
        """Without scikit-learn's callbacks there is nothing to support."""


class FitTasks(Callback):
    """Notify scikit-learn's callbacks of the tasks of a fit: the whole fit, and its epochs.

    Parameters
    ----------
    estimator : estimator
        The one whose `set_callbacks` was called.
    X, y : array-like
        As given to `fit`.

    Attributes
    ----------
    numbered : callable
        Puts the categories of a model in the order that the fit gives them at its end.
    """

    def __init__(self, estimator: Any, X: Any, y: Any) -> None:
        self.estimator, self.X, self.y = estimator, X, y
        self.context = estimator._init_callback_context(max_subtasks=None)
        self.epoch: Any = None
        self.begun = False
        self.numbered: Callable[[FittedModel], FittedModel] = lambda model: model

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Begin the fit with its first phase."""
        recipe = net.settings.recipe
        phases = (recipe.warmup_iter, recipe.max_iter)
        self._begin(sum(math.ceil(n_steps / STEPS_PER_EPOCH) for n_steps in phases))

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Begin an epoch."""
        self.epoch = self.context.subcontext(task_name=f"epoch of the {net.training.phase.name}")
        self.epoch.call_on_fit_task_begin(estimator=self.estimator, X=self.X, y=self.y)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """End an epoch; a callback that asks to stop ends the running phase."""
        stop = self.epoch.call_on_fit_task_end(
            estimator=self.estimator,
            X=self.X,
            y=self.y,
            reconstruction_attributes=lambda: {"_model": self.numbered(_stopped_now(net))},
        )
        if stop:
            raise KeyboardInterrupt

    def end(self) -> None:
        """End the fit, and release its data: the net must not hold them."""
        self._begin(0)  # several starts report no epochs: they may train in other processes
        self.context.call_on_fit_task_end(
            estimator=self.estimator, X=self.X, y=self.y, reconstruction_attributes={}
        )
        self.estimator = self.X = self.y = self.context = self.epoch = None
        self.numbered = lambda model: model

    def _begin(self, n_epochs: int) -> None:
        if self.begun:
            return
        self.begun = True
        self.context.max_subtasks = n_epochs
        self.context.call_on_fit_task_begin(estimator=self.estimator, X=self.X, y=self.y)


def _stopped_now(net: Any) -> FittedModel:
    """Return the model of a training that had stopped now."""
    training = net.training
    snapshot = Trainer(training.settings, training.device, state=training.state().as_arrays())
    return FittedModel(snapshot)
