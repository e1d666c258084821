"""Parameters of an estimator: those left to "auto", those of this machine, and changes of them."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch

from ._codes import is_auto
from ._presets import SETTLED, Recipe, consistent
from ._settings import Settings
from ._threads import has_bfloat16

RECIPE = tuple(field.name for field in fields(Recipe))
FLOATS = tuple(field.name for field in fields(Recipe) if field.type is float)


def without_auto(values: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters that are not left to the package, numbers in Python's own types.

    Files and checkpoints then hold equal values in one form only.
    """
    return {name: _plain(name, value) for name, value in values.items() if not is_auto(value)}


def _plain(name: str, value: Any) -> Any:
    if name in FLOATS:
        return float(value)
    return value.item() if isinstance(value, np.generic) else value


def given_to_recipe(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters that are fields of a recipe, unless they are left to the package."""
    return without_auto({name: parameters[name] for name in RECIPE if name in parameters})


def chosen_by_machine(parameters: Mapping[str, Any], is_image: bool) -> dict[str, Any]:
    """Give what "auto" takes from this machine: threads and precision."""
    chosen: dict[str, Any] = {}
    if is_auto(parameters["n_threads"]):
        chosen["n_threads"] = torch.get_num_threads()
    if is_auto(parameters["precision"]):
        on_cpu = torch.device(resolve_device(parameters["device"])).type == "cpu"
        chosen["precision"] = "bf16" if is_image and on_cpu and has_bfloat16() else "float32"
    return chosen


def settled_values(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters that `partial_fit` compares with those of the call before."""
    return {
        # Using a generator changes it: it counts as None, since no seed stands for it.
        name: None if isinstance(value, np.random.RandomState) else value
        for name, value in parameters.items()
        if name in {*SETTLED, *RECIPE}
    }


def changed_settings(
    settings: Settings, before: Mapping[str, Any], now: Mapping[str, Any]
) -> Settings:
    """Return the settings with what the user has changed since the last training.

    Parameters
    ----------
    settings : Settings
    before, now : dict
        `settled_values` of the last training, and those of now.

    Raises
    ------
    ValueError
        If a change is not allowed, or if parameters contradict each other.
    """
    changed = {k: v for k, v in now.items() if not _is_same(before.get(k, v), v)}
    for name in SETTLED:
        if name in changed:
            raise ValueError(
                f"{name} was {before[name]!r} in the first call of partial_fit and is "
                f"{now[name]!r}: it can't change between calls. Set it back, or start over "
                "with fit or a clone."
            )
    if "consistency_weight" in changed:
        changed["warmup_iter"] = now["warmup_iter"]  # a weight of 0 had switched the phase off
    return replace(settings, recipe=consistent(replace(settings.recipe, **without_auto(changed))))


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values of a parameter mean the same."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        one, other = list(one), list(other)
    try:
        return one is other or bool(np.all(one == other))
    except ValueError:  # lists of arrays
        return repr(one) == repr(other)


def resolve_device(device: str) -> str:
    """Check a device name; "auto" is CUDA if there is a GPU, else the CPU."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, colon, index = device.partition(":")
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if kind not in available or (colon and not index.isdigit()):
        raise ValueError(
            f"Unknown device {device!r}: use 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'."
        )
    if not available[kind] or (kind == "cuda" and int(index or 0) >= torch.cuda.device_count()):
        raise ValueError(f"device={device!r} is not available on this machine; use 'auto'.")
    # torch would copy tensors of "cpu" to "cpu:0", and weights of the two would not be shared.
    return "cpu" if kind == "cpu" else device
