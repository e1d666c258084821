"""Models and parameters as JSON values and arrays, and back again with every value checked.

Whoever wrote a file may have meant harm: nothing is built before all is checked, and only the
classes and functions listed here are ever called.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import MISSING, fields
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import nn

from ._architectures import ConvArchitecture, MLPArchitecture, PaperArchitecture
from ._augmentation import AffineMove, ColourMove, GaussianNoise, identity
from ._codes import CodeSpec, Prior
from ._layout import Layout
from ._losses import ADVERSARIAL_LOSSES
from ._networks import elu, leaky_relu, relu
from ._phases import PHASES
from ._players import Players
from ._presets import CUDA_GRAPHS, PRECISIONS, Budget, Preset, Recipe
from ._settings import Settings
from ._state import Progress, TrainingState

Arrays = dict[str, np.ndarray]

ARCHITECTURES = (MLPArchitecture, ConvArchitecture, PaperArchitecture)
RECORDS = {
    cls.__name__: cls
    for cls in (
        *ARCHITECTURES,
        AffineMove,
        Budget,
        ColourMove,
        GaussianNoise,
        CodeSpec,
        Layout,
        Preset,
        Recipe,
        Settings,
    )
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "identity": identity,
    "elu": elu,
    "relu": relu,
    "leaky_relu": leaky_relu,
    "ReLU": nn.ReLU,
    "Tanh": nn.Tanh,
}
MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # of Adam, per weight
TWISTER = 624  # words of the state of MT19937, NumPy's and torch's generator
MAX_ITEMS = 1000  # of a tuple in a record, such as the layers of a network


def require(condition: Any, message: str) -> None:
    """Raise ValueError with the message unless the condition holds."""
    if not condition:
        raise ValueError(message)


# -- values ------------------------------------------------------------------------------------


def encode(value: Any, where: str, arrays: Arrays) -> Any:
    """Turn a value into what JSON holds; its arrays are added to `arrays`.

    Parameters
    ----------
    value : object
    where : str
        What the value is, such as "parameters.random_state": names its arrays, and the value in
        errors.
    arrays : dict of ndarray

    Raises
    ------
    ValueError
        If the value is of a kind that a file can't hold.
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
    if isinstance(value, np.ndarray) and value.dtype in (np.float32, np.float64):
        arrays[where] = value
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
        f"{where} is or holds {_kind(value)}, which a file can't hold: it would take code to bring "
        "it back. Use a name such as 'auto' or a class of this package instead, or store the "
        "model with joblib or pickle."
    )


def _encode_items(content: dict[str, Any], where: str, arrays: Arrays) -> dict[str, Any]:
    return {key: encode(value, f"{where}.{key}", arrays) for key, value in content.items()}


def _kind(value: Any) -> str:
    name = getattr(value, "__qualname__", type(value).__qualname__)
    dtype = f" of {value.dtype}" if isinstance(value, np.ndarray) else ""
    return f"{name}{dtype} ({getattr(value, '__module__', type(value).__module__)})"


def _legacy_state(generator: np.random.RandomState, where: str) -> dict[str, Any]:
    state = generator.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        raise ValueError(f"{where} is a RandomState of another kind than MT19937: use an int.")
    # 32-bit words are exact in float64, which `encode` takes.
    key = state["state"]["key"].astype(np.float64)
    rest = {name: state[name] for name in ("has_gauss", "gauss")}
    return {"key": key, "pos": state["state"]["pos"], **rest}


def decode(value: Any, arrays: Arrays) -> Any:
    """Turn what `encode` gave back into the value; its arrays are taken out of `arrays`.

    Raises
    ------
    ValueError
        If it is nothing that `encode` gives.
    """
    if isinstance(value, list):
        return [decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    require(len(value) == 1, "a value has no kind, or two")
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
    """NumPy takes any `pos` and then reads beyond its state."""
    fits = isinstance(key, np.ndarray) and key.shape == (TWISTER,)
    fits = fits and bool(np.all((key >= 0) & (key < 2**32)))
    fits = fits and _fits(pos, int) and pos <= TWISTER and has_gauss in (0, 1)
    require(fits and _fits(gauss, float), "the state of a RandomState is not valid")
    generator = np.random.RandomState()
    generator.set_state(("MT19937", key.astype(np.uint32), pos, has_gauss, gauss))
    return generator


def _record(cls: type, items: dict[str, Any]) -> Any:
    """Build a dataclass; a field that an older version did not know keeps its default."""
    hints = get_type_hints(cls)
    unknown = sorted(items.keys() - hints.keys())
    require(not unknown, f"{cls.__name__} has unknown fields: {unknown!r:.200}")
    for field in fields(cls):
        name = f"{cls.__name__}.{field.name}"
        if field.name in items:
            fits = _fits(items[field.name], hints[field.name])
            require(fits, f"{name} is out of range, or of a wrong type")
        else:
            require(field.default is not MISSING, f"{name} is missing")
    return cls(**items)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of the type of a record's field; ints are counts, floats are finite."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, option) for option in inner)
    if origin is tuple:
        if not isinstance(value, tuple | list) or len(value) > MAX_ITEMS:
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
    """Take an array out of `arrays`: a copy of finite values, writable.

    Parameters
    ----------
    arrays : dict of ndarray
    name : str
    dtype : str or None
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
    """Turn a state of NumPy arrays into JSON values; its arrays go to `arrays`."""
    arrays |= {f"module.{name}": array for name, array in state.module.items()}
    for number, optimizer in enumerate(state.optimizers):
        for index, moments in optimizer.items():
            arrays |= {f"optimizers.{number}.{index}.{m}": moments[m] for m in MOMENTS}
    arrays["rng"] = state.rng
    if state.balance is not None:
        arrays["balance"] = state.balance
    return {key: encode(getattr(state, key), key, arrays) for key in STATE_KEYS}


def encode_progress(progress: Progress, arrays: Arrays) -> dict[str, Any]:
    """Turn the place of a training in a phase into JSON values; its arrays go to `arrays`."""
    arrays["order"] = progress.order
    if progress.assignment is not None:
        arrays["assignment"] = progress.assignment
    return {"phase": progress.phase, "position": progress.position}


def decode_progress(
    document: dict[str, Any], state: TrainingState, settings: Settings, arrays: Arrays
) -> TrainingState:
    """Give a state that says where its phase stands.

    Raises
    ------
    ValueError
        If a training of these settings can't stand there.
    """
    order = take(arrays, "order", "int64")
    assignment = take(arrays, "assignment", "int64") if "assignment" in arrays else None
    phase, position = document["phase"], document["position"]
    require(phase in PHASES, "its phase is unknown")
    budget = [settings.recipe.warmup_iter, settings.recipe.max_iter][PHASES.index(phase)]
    require(state.steps[phase] <= budget, "it has taken too many steps")
    require(order.ndim == 1, "its order of rows is not valid")
    fits = type(position) is int and 0 <= position <= len(order)
    require(fits, "its place among the rows is not valid")
    return state.in_phase(Progress(phase, order, position, assignment))


def decode_settings(value: Any, arrays: Arrays) -> Settings:
    """Bring back encoded settings, as `fit` might have made them.

    Raises
    ------
    ValueError
        If `fit` could not have made them.
    """
    settings = decode(value, arrays)
    require(isinstance(settings, Settings), "the settings are not valid")
    spec, layout, recipe = settings.spec, settings.layout, settings.recipe
    require(spec.categories and min(spec.categories) >= 1, "a code has no categories")
    is_image = len(layout.shape) == 3
    require(is_image or len(layout.shape) == 1, f"the shape of rows is {layout.shape!r:.80}")
    require(min(layout.shape) >= 1, f"the shape of rows is {layout.shape!r:.80}")
    for array in (layout.center, layout.scale):
        fits = array.dtype == np.float64 and array.shape == (() if is_image else layout.shape)
        require(fits, "the scaling of rows does not fit their shape")
    require((layout.scale > 0).all(), "the scale of a column is not above 0")
    for far in (layout.limits, layout.stand_in):
        fits = far is None or (far.dtype == np.float64 and far.shape == (2, *layout.shape))
        require(fits, "the limits of columns do not fit the shape of rows")
    require((layout.limits is None) == (layout.stand_in is None), "a part of the limits is missing")
    require(type(settings.architecture) in ARCHITECTURES, "the architecture is not valid")
    augment = settings.augment
    fits = isinstance(augment, GaussianNoise) or augment is identity
    require(
        fits or (isinstance(augment, AffineMove | ColourMove) and is_image),
        "the augmentation is not valid",
    )
    require(recipe.adversarial_loss in ADVERSARIAL_LOSSES, "the adversarial loss is not valid")
    require(recipe.batch_size >= 1, "the batch size is 0")
    require(recipe.precision in PRECISIONS, "the precision is not valid")
    require(recipe.compile in (False, True, CUDA_GRAPHS), "the mode of compilation is not valid")
    prior = recipe.cluster_prior
    if isinstance(prior, str):
        require(prior in ("uniform", "learned"), "the prior is not valid")
    else:
        check_prior(prior, spec)
    return settings


def check_prior(prior: Any, spec: CodeSpec) -> None:
    """Raise ValueError unless it gives the probability of each category of each code."""
    fits = _fits(prior, Prior) and [len(part) for part in prior] == list(spec.categories)
    fits = fits and all(min(part) >= 0 and abs(sum(part) - 1) < 1e-3 for part in prior)
    require(fits, "the prior does not fit the categories")


def decode_state(values: dict[str, Any], settings: Settings, arrays: Arrays) -> TrainingState:
    """Bring back what `encode_state` was given.

    Parameters
    ----------
    values : dict
        With the keys `STATE_KEYS`, at least.
    settings : Settings
    arrays : dict of ndarray

    Raises
    ------
    ValueError
        If it is not the state of a training of these settings.
    """
    players = _outline(settings)
    steps, prior, history = (decode(values[k], arrays) for k in ("steps", "prior", "history"))
    fits = isinstance(steps, dict) and steps.keys() == set(PHASES)
    require(fits and all(_fits(n, int) for n in steps.values()), "the steps are not valid")
    if prior is not None:
        check_prior(prior, settings.spec)
    _check_history(history)
    shape = (players.encoder.n_heads, settings.spec.n_categorical)
    has_balance = "balance" in arrays
    balance = take(arrays, "balance", "float32", shape) if has_balance else None
    rng, module = _take_generator(arrays), _take_module(players, arrays)
    optimizers = [
        _take_moments(weights, f"optimizers.{number}", arrays)
        for number, weights in enumerate(players.by_optimizer())
    ]
    return TrainingState(module, optimizers, rng, balance, steps, prior, history)


def _outline(settings: Settings) -> Players:
    """Networks without memory for their weights, whatever sizes the settings ask for."""
    try:
        with torch.device("meta"):
            players = Players(settings).float()
            rows = players.generator(torch.empty(2, settings.spec.width))
    except Exception as error:  # sizes that make no network: torch and Python raise many kinds
        raise ValueError(f"the architecture does not suit the data: {error}") from error
    require(rows.shape[1:] == settings.layout.shape, "the generator's rows have a wrong shape")
    return players


def _take_module(players: Players, arrays: Arrays) -> dict[str, np.ndarray]:
    module = {
        name: take(arrays, f"module.{name}", _dtype(tensor), tuple(tensor.shape))
        for name, tensor in players.state_dict().items()
    }
    for name, array in module.items():
        is_head = name.endswith("encoder.head")
        require(not is_head or 0 <= array < players.encoder.n_heads, "the head does not exist")
        require("running_var" not in name or (array >= 0).all(), "a variance is below 0")
    return module


def _take_moments(
    weights: list[nn.Parameter], name: str, arrays: Arrays
) -> dict[int, dict[str, np.ndarray]]:
    """Adam's state by number of the weight; one that was never trained has none."""
    moments = {}
    for i, weight in enumerate(weights):
        if f"{name}.{i}.step" in arrays:
            shape = tuple(weight.shape)
            moments[i] = {
                moment: take(
                    arrays, f"{name}.{i}.{moment}", "float32", () if moment == "step" else shape
                )
                for moment in MOMENTS
            }
            require((moments[i]["step"] >= 0).all(), "a number of steps is below 0")
            require((moments[i]["exp_avg_sq"] >= 0).all(), "a second moment is below 0")
    return moments


def _take_generator(arrays: Arrays) -> np.ndarray:
    """Take the state of torch's generator; a GPU's is shorter and serves no CPU."""
    state = take(arrays, "rng", "uint8")
    longest = torch.Generator().get_state().numel()
    require(state.ndim == 1 and state.size <= longest, "the state of the generator is not valid")
    if state.size == longest:
        # torch trusts that no more than `left` - 1 words are read from position `position` on.
        left, seeded = state[8:16].view(np.int32).tolist()
        position = int(state[16:24].view(np.uint64)[0])
        fits = seeded == 1 and 1 <= left <= TWISTER and position + left <= TWISTER + 1
        require(fits, "the state of the generator is not valid")
    return state


def _check_history(history: Any) -> None:
    fits = isinstance(history, list) and all(
        isinstance(epoch, dict)
        and epoch.get("phase") in PHASES
        and isinstance(epoch.get("batches"), list)
        and all(isinstance(batch, dict) for batch in epoch["batches"])
        for epoch in history
    )
    require(fits, "the history is not valid")


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
