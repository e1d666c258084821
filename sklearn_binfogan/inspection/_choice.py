"""Which codes and which rows of X a display shows."""

from typing import Any, NamedTuple

import numpy as np

from .._checks import is_count
from .._codes import CodeSpec
from ._view import View


def category_slice(spec: CodeSpec, categorical_code: Any) -> slice:
    """Columns of one categorical code."""
    n_codes = len(spec.categories)
    if not is_count(categorical_code, 0, n_codes - 1):
        raise ValueError(
            f"categorical_code must be an int from 0 to {n_codes - 1}; got {categorical_code!r}."
        )
    return spec.category_slices[categorical_code]


def continuous_column(spec: CodeSpec, code: Any) -> tuple[int, str]:
    """Column and name of a continuous code or of a part of the noise."""
    names = spec.feature_names(include_noise=True)[spec.n_categorical :]
    name = f"continuous{code}" if is_count(code, 0) else code
    if name not in names:
        kinds = {
            "continuous codes ('continuous0', ...)": spec.n_continuous,
            "parts of the noise ('noise0', ...)": spec.n_noise,
        }
        known = " and ".join(f"{n} {kind}" for kind, n in kinds.items() if n)
        raise ValueError(
            f"There is no code {code!r}: give the number or the name of one of this model's "
            f"{known or 'continuous codes; it has none'}."
        )
    return spec.n_categorical + names.index(name), name


class Members(NamedTuple):
    """Rows of X with their codes, and for each category the ascending numbers of its rows."""

    rows: Any
    codes: np.ndarray
    posterior: np.ndarray  # of one categorical code, (n, n_categories)
    groups: list[np.ndarray]


def members(view: View, X: Any, categorical_code: Any) -> Members:
    """Encode X and group its rows by the most likely category of one code."""
    part = category_slice(view.model.spec, categorical_code)
    rows = view.rows(X)
    codes = view.model.encode(rows)
    posterior = codes[:, part]
    labels = posterior.argmax(axis=1)
    groups = [np.flatnonzero(labels == k) for k in range(posterior.shape[1])]
    return Members(rows, codes, posterior, groups)


def sorted_by(key: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Sort row numbers by the key of their rows, in ascending order."""
    return numbers[np.argsort(key[numbers], kind="stable")]


def filled(numbers: np.ndarray, n: int) -> np.ndarray:
    """Extend row numbers to n entries with -1."""
    return np.pad(numbers, (0, n - len(numbers)), constant_values=-1)


def taken(rows: Any, indices: np.ndarray) -> np.ndarray:
    """Rows of a grid of row numbers, float64; NaN where the number is -1."""
    flat = indices.ravel()
    found = np.full((len(flat), rows.shape[1]), np.nan)
    found[flat >= 0] = rows[flat[flat >= 0]]
    return found.reshape(*indices.shape, -1)
