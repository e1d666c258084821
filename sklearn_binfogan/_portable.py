"""Models and parameters as JSON values and arrays, and back, with every value checked.

A file may have been forged: all values are checked before anything is built, and only the classes
and functions in `RECORDS` and `FUNCTIONS` are ever called.
"""

import math
from collections.abc import Callable
from dataclasses import fields
from types import UnionType
from typing import Any, Union, get_args, get_origin

import numpy as np
import torch
from torch import nn

from ._architectures import ARCHITECTURES
from ._augmentation import AUGMENTATIONS, check_suits, identity
from ._codes import CodeSpec, Prior
from ._columns import ColumnKinds
from ._container import Arrays
from ._layout import Layout
from ._losses import ADVERSARIAL_LOSSES
from ._networks import elu, leaky_relu, relu
from ._phases import PHASES
from ._players import Players
from ._presets import PRECISIONS, AllLabels, Budget, Preset, Recipe
from ._settings import Settings
from ._state import Progress, TrainingState
from ._threads import MOST_THREADS

RECORDS = {
    cls.__name__: cls
    for cls in (
        *(*ARCHITECTURES, *AUGMENTATIONS, Preset, AllLabels, Budget, Recipe),
        *(CodeSpec, ColumnKinds, Layout, Settings),
    )
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function for function in (identity, elu, relu, leaky_relu, nn.ReLU, nn.Tanh)
}
TWISTER = 624  # words of the state of MT19937, the generator of NumPy and of torch
# Ends of arrays' names.
NEVER_NEGATIVE = (
    *("running_var", "exp_avg_sq", "step"),
    *("encoder.head", "aggregate.weight", "aggregate.spread"),
)
MAX_ITEMS = 1000  # of a tuple in a record, such as the layers of a network


def require(condition: Any, message: str) -> None:
    """Raise ValueError with the message unless the condition holds."""
    if not condition:
        raise ValueError(message)


# -- values ------------------------------------------------------------------------------------


def encode(value: Any, where: str, arrays: Arrays) -> Any:
    """Turn a value into JSON values; its arrays are added to `arrays`.

    Parameters
    ----------
    value : object
    where : str
        Name of the value, such as "random_state", for its arrays and for errors.
    arrays : dict of ndarray

    Raises
    ------
    ValueError
        If a file can't store the value.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, list | tuple):
        items = [encode(item, f"{where}.{i}", arrays) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": _encode_items(value, where, arrays)}
    floats = _as_floats(value)
    if floats is not None:
        arrays[where] = floats
        return {"array": where}
    if isinstance(value, np.random.RandomState):
        return {"RandomState": _encode_items(_legacy_state(value, where), where, arrays)}
    if type(value) in RECORDS.values():
        content = {field.name: getattr(value, field.name) for field in fields(value)}
        return {type(value).__name__: _encode_items(content, where, arrays)}
    for name, function in FUNCTIONS.items():
        if value is function:
            return {"function": name}
    raise ValueError(
        f"{where} is or holds {_kind(value)}. A file can't store it, since only code can rebuild "
        "it. Use a name such as 'auto' or a class of this package instead, or store the model "
        "with joblib or pickle."
    )


def _as_floats(value: Any) -> np.ndarray | None:
    """Numbers of any kind of array, such as a Series of probabilities; None of other values."""
    if isinstance(value, np.ndarray) and value.dtype in (np.float32, np.float64):
        return value
    if not hasattr(value, "__array__"):
        return None
    try:
        return np.asarray(value).astype(np.float64)
    except (TypeError, ValueError):
        return None


def _encode_items(content: dict[str, Any], where: str, arrays: Arrays) -> dict[str, Any]:
    return {key: encode(value, f"{where}.{key}", arrays) for key, value in content.items()}


def _kind(value: Any) -> str:
    name = getattr(value, "__qualname__", type(value).__qualname__)
    dtype = f" of {value.dtype}" if isinstance(value, np.ndarray) else ""
    return f"{name}{dtype} ({getattr(value, '__module__', type(value).__module__)})"


def _legacy_state(generator: np.random.RandomState, where: str) -> dict[str, Any]:
    state = generator.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        raise ValueError(
            f"{where} is a RandomState of {state['bit_generator']}; only MT19937 can be stored. "
            "Use an int."
        )
    # 32-bit words are exact in float64, which `encode` takes.
    key = state["state"]["key"].astype(np.float64)
    rest = {name: state[name] for name in ("has_gauss", "gauss")}
    return {"key": key, "pos": state["state"]["pos"], **rest}


def decode(value: Any, arrays: Arrays) -> Any:
    """Invert `encode`; arrays are taken out of `arrays`.

    Raises
    ------
    ValueError
        If `encode` can't have returned the value.
    """
    if isinstance(value, list):
        return [decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    require(len(value) == 1, "a value has no kind, or several")
    ((kind, content),) = value.items()
    if kind == "float" and content in ("nan", "inf", "-inf"):
        return float(content)
    if kind == "tuple" and isinstance(content, list):
        return tuple(decode(content, arrays))
    if kind == "array" and isinstance(content, str):
        return take(arrays, content)
    if kind == "function" and isinstance(content, str) and content in FUNCTIONS:
        return FUNCTIONS[content]
    require(isinstance(content, dict), f"a value is of an unknown kind, {kind!r:.40}")
    items = {key: decode(item, arrays) for key, item in content.items()}
    if kind == "dict":
        return items
    if kind == "RandomState":
        return _random_state(**items)
    require(kind in RECORDS, f"a value is of an unknown kind, {kind!r:.40}")
    return _record(RECORDS[kind], items)


def _random_state(key: Any, pos: Any, has_gauss: Any, gauss: Any) -> np.random.RandomState:
    """Check `pos`, because NumPy does not and would read beyond the state."""
    require(_fits(pos, int) and pos <= TWISTER, "the position of a RandomState is out of range")
    generator = np.random.RandomState()
    generator.set_state(("MT19937", key.astype(np.uint32), pos, has_gauss, gauss))
    return generator


def _record(cls: type, items: dict[str, Any]) -> Any:
    """Build a dataclass; a field that an older version lacked keeps its default."""
    record = cls(**items)  # Python refuses missing and unknown fields
    for field in fields(record):
        fits = _fits(getattr(record, field.name), field.type)
        require(fits, f"{cls.__name__}.{field.name} is out of range, or of a wrong type")
    return record


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value has the type of a field; ints must not be negative, floats be finite."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, option) for option in inner)
    if origin is tuple:
        if not isinstance(value, tuple | list):
            return False
        if len(value) > MAX_ITEMS and inner[0] is not float:  # probabilities of many categories
            return False
        hints = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return len(hints) == len(value) and all(map(_fits, value, hints))
    if origin is not None:  # Callable[...]
        return isinstance(value, origin)
    if hint is int:
        return isinstance(value, int) and 0 <= value < 2**63
    if hint is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, hint)


def take(
    arrays: Arrays, name: str, dtype: str | None = None, shape: tuple[int, ...] | None = None
) -> np.ndarray:
    """Take an array out of `arrays`, as a writable copy.

    Parameters
    ----------
    arrays : dict of ndarray
    name : str
    dtype : str or None
        None: any.
    shape : tuple of int or None
        None: any.

    Raises
    ------
    ValueError
        If it is missing, of another dtype or shape, or holds NaN or infinity.
    """
    require(name in arrays, f"array {name!r:.80} is missing")
    array = arrays.pop(name)
    require(
        dtype in (None, array.dtype.name) and shape in (None, array.shape),
        f"array {name!r:.80} is {array.dtype} {array.shape}; expected {dtype} {shape}",
    )
    require(
        array.dtype.kind != "f" or np.isfinite(array).all(),
        f"array {name!r:.80} holds NaN or infinity",
    )
    return np.array(array)


# -- trainings ---------------------------------------------------------------------------------


STATE_KEYS = ("steps", "prior", "history")


def encode_state(state: TrainingState, arrays: Arrays) -> dict[str, Any]:
    """Turn a state of NumPy arrays into JSON values; its arrays are added to `arrays`."""
    arrays |= dict(state.named_arrays())
    return {key: encode(getattr(state, key), key, arrays) for key in STATE_KEYS}


def encode_progress(progress: Progress, arrays: Arrays) -> dict[str, Any]:
    """Turn the progress of a phase into JSON values; its arrays are added to `arrays`."""
    arrays["order"] = progress.order
    if progress.assignment is not None:
        arrays["assignment"] = progress.assignment
    return {"phase": progress.phase, "position": progress.position}


def decode_progress(
    document: dict[str, Any], steps: dict[str, int], settings: Settings, arrays: Arrays
) -> Progress:
    """Decode the progress of a phase, after some steps.

    Raises
    ------
    ValueError
        If a training with these settings can't have this progress.
    """
    order = take(arrays, "order", "int64")
    assignment = take(arrays, "assignment", "int64") if "assignment" in arrays else None
    phase, position = document["phase"], document["position"]
    require(phase in PHASES, f"its phase is {phase!r:.40}; it must be one of {PHASES}")
    budget = [settings.recipe.warmup_iter, settings.recipe.max_iter][PHASES.index(phase)]
    require(steps[phase] <= budget, "it has taken too many steps")
    fits = order.ndim == 1 and type(position) is int and 0 <= position <= len(order)
    require(fits, "its position in the order of rows is not valid")
    return Progress(phase, order, position, assignment)


def decode_settings(value: Any, arrays: Arrays) -> Settings:
    """Decode settings, and check that `fit` could have made them.

    Raises
    ------
    ValueError
        If not.
    """
    settings = decode(value, arrays)
    require(isinstance(settings, Settings), "the settings are of another kind")
    spec, augment = settings.spec, settings.augment
    require(spec.categories and min(spec.categories) >= 1, "a code has no categories")
    _check_layout(settings.layout)
    is_known = augment is identity or type(augment) in AUGMENTATIONS
    require(is_known, "the augmentation is unknown")
    check_suits(augment, settings.layout)
    _check_recipe(settings.recipe, spec)
    return settings


def _check_layout(layout: Layout) -> None:
    """Raise ValueError unless `fit` could have learned this layout."""
    fits = len(layout.shape) in (1, 3) and min(layout.shape) >= 1
    require(fits, f"the shape of rows is {layout.shape!r:.80}; it must be (n,) or (C, H, W)")
    for array in (layout.center, layout.scale):
        shape = () if layout.is_image else layout.shape
        fits = array.dtype == np.float64 and array.shape == shape
        require(fits, "the scaling of rows does not fit their shape")
    # A negative one is that of images on a bright background.
    signed = np.abs(layout.scale) if layout.is_image else layout.scale
    require((signed > 0).all(), "the scale of a column is not above 0")
    for far in (layout.limits, layout.stand_in):
        fits = far is None or (far.dtype == np.float64 and far.shape == (2, *layout.shape))
        require(fits, "the limits of columns do not fit the shape of rows")
    require((layout.limits is None) == (layout.stand_in is None), "a part of the limits is missing")
    if layout.limits is not None:
        require((layout.limits[0] <= layout.limits[1]).all(), "the limits of a column are swapped")
    if layout.kinds is not None:
        require(not layout.is_image, "columns of images have no kinds")
        _check_kinds(layout.kinds, layout.n_features)
    require(layout.row_dtype in ("float32", "float64"), "the dtype of rows is unknown")


def _check_recipe(recipe: Recipe, spec: CodeSpec) -> None:
    """Raise ValueError unless a training of this code can have these numbers."""
    require(recipe.adversarial_loss in ADVERSARIAL_LOSSES, "the adversarial loss is unknown")
    require(recipe.batch_size >= 1, "the batch size is 0")
    require(recipe.density_components >= 1, "the density has no components")
    require(recipe.precision in PRECISIONS, "the precision is unknown")
    require(1 <= recipe.n_threads <= MOST_THREADS, "the number of threads is out of range")
    require(recipe.cuda_graph in (False, True, "auto"), "the use of CUDA graphs is unknown")
    prior = recipe.cluster_prior
    if isinstance(prior, str):
        require(prior in ("uniform", "learned"), "the prior is unknown")
    else:
        check_prior(prior, spec)


def _check_kinds(kinds: ColumnKinds, n_features: int) -> None:
    """Raise ValueError unless these kinds are valid for rows of this width."""
    of_columns = (kinds.low, kinds.high, kinds.whole, kinds.n_values, kinds.groups)
    fits = all(array.shape == (n_features,) for array in of_columns)
    fits = fits and kinds.values.ndim == 2 and kinds.values.shape[1] > 0
    fits = fits and kinds.values.shape[0] == n_features
    require(fits, "the kinds of columns do not fit the shape of rows")
    dtypes = {array.dtype for array in (*of_columns, kinds.values)}
    require(dtypes == {np.dtype(np.float64)}, "the kinds of columns are of a wrong dtype")
    require((kinds.low <= kinds.high).all(), "the bounds of a column are swapped")
    n_values, groups = kinds.n_values, kinds.groups
    fits = bool(((n_values >= 0) & (n_values <= kinds.values.shape[1])).all())
    require(fits, "a column has more values than are listed")
    for count in (n_values, groups):
        require((count == np.rint(count)).all(), "the kinds of columns are not whole numbers")
    grouped = groups > 0
    in_range = groups.min() >= 0 and groups.max() <= n_features
    require(in_range and (n_values[grouped] == 2).all(), "a one-hot group is not one")
    on_and_off = kinds.values[grouped, :2]
    require((on_and_off[:, :1] < on_and_off[:, 1:]).all(), "a one-hot group is not one")
    present = np.unique(groups[grouped])
    require((present == np.arange(1, len(present) + 1)).all(), "a one-hot group is empty")


def check_prior(prior: Any, spec: CodeSpec) -> None:
    """Raise ValueError unless it gives the probability of each category of each code."""
    fits = _fits(prior, Prior) and [len(part) for part in prior] == list(spec.categories)
    fits = fits and all(min(part) >= 0 and abs(sum(part) - 1) < 1e-3 for part in prior)
    require(fits, "the prior does not fit the categories")


def decode_state(values: dict[str, Any], settings: Settings, arrays: Arrays) -> TrainingState:
    """Decode a state, and check that a training with these settings could have made it.

    Parameters
    ----------
    values : dict
        Has the keys `STATE_KEYS`, and possibly others.
    settings : Settings
    arrays : dict of ndarray

    Raises
    ------
    ValueError
        If not.
    """
    players = _outline(settings)
    steps, prior, history = (decode(values[key], arrays) for key in STATE_KEYS)
    fits = isinstance(steps, dict) and steps.keys() == set(PHASES)
    fits = fits and all(_fits(n, int) for n in steps.values())
    require(fits, "the steps are not a count per phase")
    if prior is not None:
        check_prior(prior, settings.spec)
    _check_history(history)
    balance_shape = (players.encoder.n_heads, settings.spec.n_categorical)
    state = TrainingState(
        module={
            name: take(arrays, f"module.{name}", _dtype(tensor), tuple(tensor.shape))
            for name, tensor in players.state_dict().items()
        },
        optimizers=[
            _take_moments(weights, f"optimizers.{number}", arrays)
            for number, weights in enumerate(players.by_optimizer())
        ],
        rng=_take_generator(arrays),
        balance=take(arrays, "balance", "float32", balance_shape) if "balance" in arrays else None,
        steps=steps,
        prior=prior,
        history=history,
    )
    for name, array in state.named_arrays():
        require(not name.endswith(NEVER_NEGATIVE) or (array >= 0).all(), f"{name} is below 0")
        exists = not name.endswith("encoder.head") or array < players.encoder.n_heads
        require(exists, f"{name} is {array}, but there are {players.encoder.n_heads} heads")
    require((state.module["aggregate.weight"].sum(axis=1) > 0).all(), "a density has no weight")
    for name in ("marginals.drawn", "marginals.real"):
        quantiles = state.module.get(name, np.zeros((2, 1), np.int64)).view(np.float64)
        rises = np.isfinite(quantiles).all() and (np.diff(quantiles, axis=0) >= 0).all()
        require(rises, f"{name} falls, or is not finite")
    return state


def _outline(settings: Settings) -> Players:
    """Build the networks without memory for weights, since a file may ask for any size."""
    try:
        with torch.device("meta"):
            players = Players(settings).float()
            rows = players.generator(torch.empty(2, settings.spec.width))
    except Exception as error:  # impossible sizes raise errors of many kinds
        raise ValueError(f"the architecture does not suit the data: {error}") from error
    require(rows.shape[1:] == settings.layout.shape, "the generator's rows have a wrong shape")
    return players


def _take_moments(
    weights: list[nn.Parameter], name: str, arrays: Arrays
) -> dict[int, dict[str, np.ndarray]]:
    """Adam's state by number of the weight; a weight that was never trained has none."""
    found = {}
    for i, weight in enumerate(weights):
        if f"{name}.{i}.step" in arrays:
            shapes = {"step": (), "exp_avg": weight.shape, "exp_avg_sq": weight.shape}
            found[i] = {
                moment: take(arrays, f"{name}.{i}.{moment}", "float32", tuple(shape))
                for moment, shape in shapes.items()
            }
    return found


def _take_generator(arrays: Arrays) -> np.ndarray:
    """Take the state of torch's generator; the state of a GPU's has another length."""
    state = take(arrays, "rng", "uint8")
    require(state.ndim == 1, "the state of the generator is not one-dimensional")
    if state.size == torch.Generator().get_state().numel():
        # torch does not check that `position` + `left` - 1 lies within the state.
        left, seeded = state[8:16].view(np.int32).tolist()
        position = int(state[16:24].view(np.uint64)[0])
        fits = seeded == 1 and 1 <= left <= TWISTER and position + left <= TWISTER + 1
        require(fits, "the state of the generator is out of range")
    return state


def _check_history(history: Any) -> None:
    fits = isinstance(history, list) and all(
        isinstance(epoch, dict)
        and epoch.get("phase") in PHASES
        and isinstance(epoch.get("batches"), list)
        and all(isinstance(batch, dict) for batch in epoch["batches"])
        for epoch in history
    )
    require(fits, "the history is not a list of epochs with a phase and batches")


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
