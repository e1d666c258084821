"""Which of skorch's callbacks can't work here, and why; copies of the user's callbacks."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sklearn.base import clone
from skorch import callbacks as skorch_callbacks
from skorch.callbacks import Callback, MlflowLogger, SacredLogger, TensorBoard

PAGE = "The documentation's page on callbacks says more."
# They log every value of the history as a number, but the phase's name is not one.
LOGGERS_OF_NUMBERS = (MlflowLogger, SacredLogger, TensorBoard)


class Refusal(NamedTuple):
    """Why something can't work here, and what to use instead."""

    why: str
    instead: str


_SCORING = Refusal(
    "it scores predictions of skorch's net against y: here the net predicts nothing, and there "
    "is no y",
    "`valid_loss` in the history; scikit-learn's `ScoringMonitor`, by `set_callbacks`; or a "
    "callback of your own",
)
_RATES = Refusal(
    "the phases set the learning rates themselves at every step",
    "`learning_rate` and `discriminator_learning_rate`, which decay over `max_iter`; or "
    "`partial_fit` with `set_params(learning_rate=...)` between calls",
)

# By the name of the class in skorch.callbacks; subclasses are refused too.
REFUSED = {
    "BatchScoring": _SCORING,
    "EpochScoring": _SCORING,
    "LRScheduler": _RATES,
    "WarmRestartLR": _RATES,
    "InputShapeSetter": Refusal(
        "the networks take their shape from X",
        "`image_shape` for images, nothing for tables",
    ),
    "LoadInitState": Refusal(
        "it would load the same weights into every phase and start, without the steps and the "
        "optimisers of the phases",
        "`checkpoint_dir`, which goes on to the bit, or `partial_fit`",
    ),
    "NeptuneLogger": Refusal(
        "it writes down the learning rate, batch size and epochs of skorch's net, which are not "
        "those of the training, and ends its run with the first phase",
        "a callback of your own",
    ),
    "WandbLogger": Refusal(
        "it lets wandb watch the networks at the beginning of every phase, and wandb takes them "
        "only once",
        "a callback of your own that calls `run.log`",
    ),
}

_PICKLED_NET = Refusal("skorch's net is no model by itself", "`joblib.dump` or `save` after `fit`")
REFUSED_OPTIONS = {
    "Checkpoint": {
        "load_best": Refusal(
            "it would take back the history too, or load weights of an earlier phase or start",
            "`EarlyStopping(load_best=True)`",
        ),
        "f_pickle": _PICKLED_NET,
    },
    "TrainEndCheckpoint": {"f_pickle": _PICKLED_NET},
}


def check_callbacks(callbacks: Sequence[Any] | None) -> None:
    """Check that callbacks can work here.

    Parameters
    ----------
    callbacks : list of skorch callbacks or None
        Objects, classes, or pairs of a name and one of them.

    Raises
    ------
    TypeError
        If something is not a skorch callback.
    ValueError
        If one is refused.
    """
    for callback in _unnamed(callbacks):
        made = callback if isinstance(callback, type) else type(callback)
        for name, refusal in REFUSED.items():
            if issubclass(made, getattr(skorch_callbacks, name)):
                raise _error(made.__name__, refusal)
        if not issubclass(made, Callback):
            raise TypeError(_no_callback(callback))
        for name, options in REFUSED_OPTIONS.items():
            if isinstance(callback, getattr(skorch_callbacks, name)):
                for option in options:
                    if value := getattr(callback, option):
                        raise _error(f"{made.__name__}({option}={value!r})", options[option])


def _unnamed(callbacks: Sequence[Any] | None) -> Iterator[Any]:
    """Yield callbacks without their names, and without None, which skorch ignores."""
    for item in callbacks or ():
        callback = item[1] if isinstance(item, tuple | list) and len(item) == 2 else item
        if callback is not None:
            yield callback


def _error(what: str, refusal: Refusal) -> ValueError:
    return ValueError(
        f"callbacks: {what} can't work here: {refusal.why}. Use instead: {refusal.instead}. {PAGE}"
    )


def _no_callback(given: Any) -> str:
    if hasattr(given, "on_fit_task_begin"):
        return (
            f"callbacks: {type(given).__name__} is a callback of scikit-learn: pass it to "
            "set_callbacks. The parameter callbacks takes those of skorch."
        )
    return (
        f"callbacks: {given!r} is not a skorch callback: pass objects or classes that inherit "
        f"from skorch.callbacks.Callback, or pairs of a name and one of them. {PAGE}"
    )


def copied_callbacks(callbacks: Sequence[Any]) -> list[Any]:
    """Copy callbacks for a clone: by their parameters, or by a deep copy where that fails.

    Raises
    ------
    TypeError
        If one can't be copied.
    """
    return [
        (item[0], _copied(item[1])) if isinstance(item, tuple | list) else _copied(item)
        for item in callbacks
    ]


def _copied(callback: Any) -> Any:
    try:
        return clone(callback, safe=False)
    except Exception:  # the constructor may not accept the object's parameters
        check_copyable([callback])
        return copy.deepcopy(callback)


def check_copyable(callbacks: Sequence[Any] | None) -> None:
    """Raise a TypeError that names the first callback that can't be copied, if there is one."""
    for callback in _unnamed(callbacks):
        try:
            copy.deepcopy(callback)
        except Exception as error:
            raise TypeError(
                f"callbacks: {type(callback).__name__} can't be copied or pickled: {error}. "
                "clone, searches, n_jobs and joblib need that. Pass a class instead of an object, "
                "so that each fit makes its own; or remove it after fit with "
                f"set_params(callbacks=None). {PAGE}"
            ) from error
