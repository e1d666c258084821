"""Mistakes in X: errors that say what to do, and warnings that show the user's own line."""

import math
import sys
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from datetime import timedelta
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import validate_data

from ._arrays import computed, extremes, subsample
from ._codes import is_auto
from ._far_values import far_pixels, far_values
from ._layout import SMALLEST_SIDE, Layout, has_channels_first, misfits, other_kinds
from .exceptions import ImageShapeWarning, ScaleWarning

DTYPES = [np.float64, np.float32, np.uint8]
UNLABELLED = -1  # in y
MOST_EXAMINED = 1000  # rows
LIKENESS = 0.15  # adjacent pixels' correlation, minus that of pixels half a row apart
MOST_NAMED = 5  # columns, or values, in a message
OURS = ("sklearn_binfogan", "sklearn", "joblib")


def validated(estimator: Any, X: Any, reset: bool) -> np.ndarray:
    """Validate X as scikit-learn does, with errors that name the column and the remedy.

    Raises
    ------
    ValueError, TypeError
        If X is empty, or not finite, two-dimensional and numeric, or has other columns than in
        `fit`.
    """
    # NumPy would turn dates into whole numbers.
    if _holds_dates(X) and (explanation := _no_numbers(X)):
        raise ValueError(explanation)
    try:
        return validate_data(estimator, X, dtype=DTYPES, reset=reset)
    except (TypeError, ValueError) as error:
        explanation = _no_numbers(X)
        if explanation is None:
            raise
        raise ValueError(explanation) from error


def check_flat(X: Any) -> None:
    """Raise ValueError if X has the shape of images instead of rows."""
    is_nested = isinstance(X, list) and len(X) > 0 and isinstance(X[0], list | np.ndarray)
    shape: tuple[int, ...] = _shape_of(X[0]) if is_nested else tuple(getattr(X, "shape", ()))[1:]
    if len(shape) < 2:
        return
    first = f"Found array with dim {len(shape) + 1}, rows of shape {shape}: "
    if has_channels_first(shape):
        raise ValueError(
            f"{first}the channels must come last. Flatten with `X.transpose(0, 2, 3, 1)"
            f".reshape(len(X), -1)` and pass `image_shape={(*shape[1:], shape[0])}`."
        )
    if len(shape) > 3:
        raise ValueError(f"{first}a row must be flat, such as an image (H, W) or (H, W, C).")
    flatten = f"{first}flatten with `X.reshape(len(X), -1)`"
    if min(shape[:2]) < SMALLEST_SIDE:
        raise ValueError(
            f"{flatten}. Images must have at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels, so "
            "this is a table."
        )
    raise ValueError(f"{flatten} and pass `image_shape={shape}`.")


def check_unmasked(X: Any, name: str = "X") -> None:
    """Raise ValueError if values of X are masked: NumPy would use the values under the mask."""
    if np.ma.is_masked(X):
        raise ValueError(
            f"{name} is a masked array, and {np.ma.count_masked(X)} of its values are masked: fill "
            f"them in first, for instance with `{name}.filled(np.nan)` and SimpleImputer."
        )


def _shape_of(nested: Any) -> tuple[int, ...]:
    """Shape of a list of lists; () if their lengths differ."""
    try:
        return np.shape(nested)
    except ValueError:
        return ()


def _no_numbers(X: Any) -> str | None:
    """Say which columns hold text, dates or missing values; None if there are none."""
    if hasattr(X, "collect"):
        return f"X is a {type(X).__name__}, which holds no rows yet: pass X.collect()."
    found = {name: values for name, column in _columns(X) for values in _no_number(column)}
    if not found:
        return None
    names, value = _listed(list(found), ", "), next(iter(found.values()))
    if _is_missing(value):
        remedy = "fill in missing values first, for instance with SimpleImputer"
    else:
        remedy = (
            "encode the column as numbers first, text for instance with OneHotEncoder("
            "sparse_output=False) in a make_column_transformer, dates as days since the first, or "
            "leave it out"
        )
    return f"X holds {value!r}, which is not a number, in {names}: {remedy}."


def _holds_dates(X: Any) -> bool:
    """Whether a table, an array or a list has dates or durations."""
    if issparse(X):
        return False
    # Tables of polars and Arrow turn the dates of a row with numbers into numbers or None.
    by_column = hasattr(X, "shape") and hasattr(X, "columns") and not hasattr(X, "iloc")
    try:
        row = [values for _, values in _columns(X[:1])] if by_column else [np.asarray(X[:1])]
    except (TypeError, ValueError, LookupError, AttributeError):
        return False
    return any(part.dtype.kind in "mMO" and any(map(_is_date, part.flat)) for part in row)


def _is_date(value: Any) -> bool:
    """Whether a value is a date or a duration of Python, NumPy or pandas."""
    return isinstance(value, timedelta | np.datetime64 | np.timedelta64) or hasattr(
        value, "isoformat"
    )


def _columns(X: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Name and values of each column of a pandas, polars or pyarrow table, or of an array."""
    if hasattr(X, "iloc") and hasattr(X, "columns"):
        for i, name in enumerate(X.columns):
            yield f"column {name!r}", np.asarray(X.iloc[:, i])
    elif hasattr(X, "columns") or hasattr(X, "column_names"):
        for name in getattr(X, "column_names", None) or X.columns:
            yield f"column {name!r}", np.asarray(X[name])
    else:
        try:
            array = _as_objects(X)
        except ValueError:  # rows of different lengths
            return
        if array.ndim == 2:
            yield from ((_named(i), column) for i, column in enumerate(array.T))


def _as_objects(values: Any) -> np.ndarray:
    if _holds_dates(values):  # nanoseconds would become ints
        return np.asarray(values)
    try:
        return np.asarray(values, dtype=object)
    except OSError:  # h5py turns no numbers into objects
        return np.asarray(values)


def _no_number(values: np.ndarray) -> list[Any]:
    """Find a text, date or missing value of a column, in a list; an empty list if it has none."""
    if values.dtype.kind in "biufc" or len(values) == 0:
        return []
    if values.dtype.kind in "mM":
        return [str(np.fmin.reduce(values))]  # NaT only if there are no others
    for value in values.tolist():
        try:
            float(value)
        except (TypeError, ValueError):
            is_plain = isinstance(value, str | bytes) or _is_date(value)
            # A period or an interval of pandas is none of these.
            is_plain |= type(value).__module__.partition(".")[0] == "pandas"
            return [value] if is_plain or _is_missing(value) else []
    return []


def _is_missing(value: Any) -> bool:
    """Whether a value is None, NaN, NaT or pandas' NA."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.generic) and bool(value != value)


def missing_labels(y: Any) -> tuple[list[int], Any] | None:
    """Rows whose target is masked, None, NaN or NA, and the first such value; None if none is."""
    y = computed(y)
    if np.ma.is_masked(y):
        return np.flatnonzero(np.ma.getmaskarray(y).ravel()).tolist(), np.ma.masked
    values = (y if isinstance(y, np.ndarray) else _as_objects(y)).ravel()
    if values.dtype.kind in "biuSU":
        return None
    rows = [i for i, value in enumerate(values.tolist()) if _is_missing(value)]
    return (rows, values.tolist()[rows[0]]) if rows else None


def has_label(y: np.ndarray, classes: Collection[Any] = ()) -> np.ndarray:
    """Whether each row has a label: any but -1 and "-1", which may yet be among the classes."""
    markers = [marker for marker in (UNLABELLED, str(UNLABELLED)) if marker not in classes]
    return np.array([label not in markers for label in y.tolist()], dtype=bool)


# -- warnings ----------------------------------------------------------------------------------


def hint_at_images(estimator: Any, X: Any) -> None:
    """Warn if rows that are used as a table look like flattened square images.

    They do if all values lie in a range that is usual for pixels, and if adjacent pixels, both in a
    row and in a column, are more correlated than pixels half a row apart. Columns of a table have
    no such order.

    Parameters
    ----------
    estimator : estimator
        If its `architecture` is not "auto", the user has decided, and there is no warning.
    X : ndarray or StoredRows, shape (n_samples, n_features)
    """
    shape, is_chosen = _square(X.shape[1]), not is_auto(estimator.architecture)
    if estimator.image_shape is not None or is_chosen or shape is None:
        return
    rows = np.asarray(subsample(X, MOST_EXAMINED), dtype=np.float64)
    if not (_are_pixels(rows) and _neighbours_are_alike(rows, shape)):
        return
    order = " (channels last)" if len(shape) == 3 else ""
    warn_user(
        f"The {X.shape[1]} columns of X look like the pixels of images, from {rows.min():g} to "
        f"{rows.max():g}, but are used as a table: image_shape is None. Pass image_shape={shape}"
        f"{order} for convolutional networks. If the rows are not images, pass "
        "architecture='mlp'.",
        ImageShapeWarning,
    )


def _square(n_columns: int) -> tuple[int, ...] | None:
    """Shape of square images, grey or with three channels, of this many values."""
    for channels in (1, 3):
        side = math.isqrt(n_columns // channels)
        if side >= SMALLEST_SIDE and side * side * channels == n_columns:
            return (side, side) if channels == 1 else (side, side, channels)
    return None


def _are_pixels(rows: np.ndarray) -> bool:
    """Whether values are whole numbers up to 255, or fill [0, 1] or [-1, 1]."""
    low, high = rows.min(), rows.max()
    if low >= 0 and 1 < high <= 255:
        return bool((rows == np.rint(rows)).all())
    return bool(low >= -1 and 0.5 < high <= 1)


def _neighbours_are_alike(rows: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether pixels are more correlated with adjacent ones than with those half a row apart."""
    width, step = shape[1], math.prod(shape[2:])
    deviation = rows.std(axis=0)
    varies = deviation > 1e-9 * max(rows.max(), 1)
    scaled = np.where(varies, (rows - rows.mean(axis=0)) / np.where(varies, deviation, 1), 0)

    def likeness(lag: int) -> float:
        both = varies[lag:] & varies[:-lag]
        products = (scaled[:, lag:] * scaled[:, :-lag]).mean(axis=0)
        return float(products[both].mean()) if both.any() else 0.0

    beside, below = likeness(step), likeness(width * step)
    apart = max(likeness(width // 2 * step), likeness((width + width // 2) * step))
    return min(beside, below) > apart + LIKENESS


def warn_of_far_values(estimator: Any, layout: Layout, X: Any) -> None:
    """Warn of values far from all others: columns leave them out of the scale, images do not."""
    if layout.is_image:
        _warn_of_far_pixels(layout, X)
    if layout.limits is None:
        return
    columns = layout.cut_columns
    low, high = layout.center[columns] + layout.limits[:, columns] * layout.scale[columns]
    found = far_values(X, columns, low, high)
    texts = [
        f"{name} holds {_values_and_counts(counts, 'row')}"
        for name, counts in zip(_names(estimator, columns), found, strict=True)
    ]
    warn_user(
        f"Some values lie far from all others of their column: {_listed(texts, '; ')}. The scale "
        "is learned without them. The networks see the column's mean in place of far values that "
        "repeat; other far values are clipped. If they stand for missing values, fill them in "
        "first, for instance with SimpleImputer(missing_values=...).",
        ScaleWarning,
    )


def _warn_of_far_pixels(layout: Layout, X: Any) -> None:
    found = far_pixels(X, *layout.pixel_range)
    if found:
        warn_user(
            f"Some pixels lie far from all others: {_values_and_counts(found, 'pixel')}. All "
            "pixels share one scale, on which the other pixels are almost equal. Replace or clip "
            "the far pixels first, for instance with np.clip.",
            ScaleWarning,
        )


def warn_of_misfits(estimator: Any, layout: Layout, X: Any) -> None:
    """Warn if a later piece of `partial_fit` does not fit what the first one has set."""
    columns = misfits(layout, X)
    if len(columns) > 0:
        _warn_of_scale(estimator, layout, X, columns)
    others = np.setdiff1d(other_kinds(layout, X), columns)
    if len(others) > 0:
        warn_user(
            "This piece has values that generated rows will not have, in "
            f"{_listed(_names(estimator, others), ', ')}: the first call of partial_fit learned "
            "from its rows which columns are constant, whole, of few values, bounded or one-hot. "
            "If you need such samples, start again with a first piece that holds rows of all "
            "kinds.",
            ScaleWarning,
        )


def _warn_of_scale(estimator: Any, layout: Layout, X: Any, columns: np.ndarray) -> None:
    if layout.is_image:
        worst, subject, more = slice(None), "pixels range", ""
        before = "{:g} to {:g}".format(*layout.pixel_range)
        remedy = "bring the pixels of all pieces to one range first."
    else:
        worst, names = columns[0], _names(estimator, columns)
        subject = f"{names[0]} ranges"
        more = f"; so do {_listed(names[1:], ', ')}" * (len(names) > 1)
        before = f"{layout.center[worst]:g} +- {layout.scale[worst]:g}"
        remedy = "scale all pieces first, for instance with a StandardScaler fitted on all of them."
    lows, highs = extremes(X)
    low, high = lows[worst].min(), highs[worst].max()
    warn_user(
        "This piece does not fit the scale that the first call of partial_fit learned: "
        f"{subject} from {low:g} to {high:g} here, compared to {before} there{more}. The networks "
        "can't distinguish such rows. Start again with a first piece that holds rows of all kinds, "
        f"or {remedy}",
        ScaleWarning,
    )


def _values_and_counts(counts: Counter[float], noun: str) -> str:
    """List values and their counts, the most frequent first."""
    ranked = counts.most_common()
    return _listed([f"{value:g} in {n} {noun}{'s' * (n > 1)}" for value, n in ranked], ", ")


def _listed(texts: list[str], separator: str) -> str:
    more = f" and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
    return separator.join(texts[:MOST_NAMED]) + more


def _names(estimator: Any, columns: Iterable[int]) -> list[str]:
    """Name columns by their names in `fit`, or by their numbers."""
    names = getattr(estimator, "feature_names_in_", None)
    return [_named(i) if names is None else f"column {names[i]!r}" for i in columns]


def _named(number: int) -> str:
    return f"column {number} (counted from 0)"


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn at the user's line: skip the frames of this package, scikit-learn and joblib."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in OURS:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=max(level, 1))
