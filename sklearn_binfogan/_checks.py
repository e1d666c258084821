"""Checks of a single value that a user gave."""

from numbers import Integral
from typing import Any

import numpy as np

LARGEST_COUNT = 2**31 - 1  # of steps, rows and clusters
LARGEST_AMOUNT = 1e38  # of weights, rates and amounts: networks compute in float32


def is_count(value: Any, low: int, high: float = float("inf")) -> bool:
    """Whether a value is an int from low to high; bools do not count."""
    integral = isinstance(value, Integral) and not isinstance(value, bool)
    return integral and low <= int(value) <= high


def check_count(name: str, value: Any) -> None:
    """Raise ValueError unless a value is an int of at least 1."""
    if not is_count(value, 1):
        raise ValueError(f"{name} must be an int >= 1; got {value!r}.")


def check_flag(name: str, value: Any) -> None:
    """Raise ValueError unless a value is a bool: the string "False" would count as True."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be a bool; got {value!r}.")
