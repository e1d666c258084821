"""Files of fitted models: `save` and `load`, without pickle."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from . import _container as container
from ._base import fitted_model, resolve_device
from ._classifier import BInfoGANClassifier
from ._portable import (
    STATE_KEYS,
    Arrays,
    decode,
    decode_settings,
    decode_state,
    encode,
    encode_state,
    require,
    take,
)
from ._settings import Settings
from ._transformer import BInfoGANTransformer
from ._upgrades import FORMAT_VERSION, FORMAT_VERSIONS, upgraded

Estimator = BInfoGANTransformer | BInfoGANClassifier
ESTIMATORS = (BInfoGANTransformer, BInfoGANClassifier)
OUTPUT_CONFIG = "_sklearn_output_config"  # what `set_output` has set


def save(est: Estimator, path: str | os.PathLike[str]) -> None:
    """Store a fitted model in one file, from which `load` gives an equal one.

    The file is in the safetensors format: arrays, and one of them with parameters and state as
    JSON. It holds weights, optimizers, random state and history, the version of the format, those
    of the packages that wrote it, and a checksum; no code, and none of the training rows but
    their `labels_`. It is written beside the target first: if anything fails, what was at `path`
    before is still there, whole.

    Parameters
    ----------
    est : BInfoGANTransformer or BInfoGANClassifier
        A fitted one. Attributes that the package does not know are not stored, nor is its
        `checkpoint_dir`.
    path : str or path-like
        The usual suffix is ``.safetensors``. An existing file is replaced.

    Raises
    ------
    TypeError
        If `est` is another kind of estimator, such as a pipeline or a subclass.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    ValueError
        If it holds what only code can bring back: callbacks, an `architecture` or `augmentation`
        of your own. joblib and pickle store those. Also if a weight is NaN or infinite.
    OSError
        If the file can't be written.

    See Also
    --------
    load : Read such a file.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn_binfogan import BInfoGANTransformer, load, save
    >>> X, _ = make_blobs(60, centers=3, random_state=0)
    >>> gan = BInfoGANTransformer(n_clusters=3, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(gan, os.path.join(folder, "blobs.safetensors"))
    ...     again = load(os.path.join(folder, "blobs.safetensors"))
    >>> bool((again.transform(X) == gan.transform(X)).all())
    True
    """
    if type(est) not in ESTIMATORS:
        known = " or a ".join(kind.__name__ for kind in ESTIMATORS)
        raise TypeError(f"save stores a {known}; got a {type(est).__name__}.")
    fitted_model(est)  # raises if there is none
    name = os.fspath(path)
    try:
        document, arrays = _stored(est)
        # Nothing is written that `load` would refuse.
        _checked(document, dict(arrays))
        container.write(name, FORMAT_VERSION, document, arrays)
    except ValueError as error:
        raise ValueError(f"The model can't be saved: {error}") from error


def load(path: str | os.PathLike[str], device: str = "auto") -> Estimator:
    """Read a model that `save` has stored.

    Everything is checked before anything is built, and nothing in the file is run: it may come
    from a stranger. On the machine and with the versions that wrote it, the model's results are
    bit-equal, also those of a `partial_fit` that goes on with it.

    Parameters
    ----------
    path : str or path-like
        File that `save` has written.
    device : str, default="auto"
        Where to run, as the estimator's `device`, which it replaces. "auto" keeps the stored
        `device`, or takes the CPU where that one is missing.

    Returns
    -------
    est : BInfoGANTransformer or BInfoGANClassifier
        As it was stored. Fitted, with the parameters of the stored one.

    Raises
    ------
    ValueError
        If the file is damaged, no such file, of an unknown format version or of parameters that
        no model has, if it would not fit in memory, or if the device is not available.
    OSError
        If the file can't be read.

    See Also
    --------
    save : Write such a file.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn_binfogan import BInfoGANTransformer, load, save
    >>> X, _ = make_blobs(60, centers=3, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "blobs.safetensors")
    ...     save(BInfoGANTransformer(n_clusters=3, random_state=0).fit(X), path)
    ...     gan = load(path, device="cpu")
    >>> gan.n_clusters, gan.device
    (3, 'cpu')
    """
    name = os.fspath(path)
    if device != "auto":
        device = str(device)
        resolve_device(device)  # refused before the file is read
    try:
        version, document, arrays = container.read(name, FORMAT_VERSIONS)
        document, arrays = upgraded(version, document, arrays)
        kind, parameters, state = _checked(document, arrays)
        if device != "auto":
            parameters["device"] = device
        return _built(kind, parameters, state)
    except OSError:
        raise
    except Exception as error:  # no list says what a file made to mislead makes decoders raise
        raise ValueError(f"{name!r} can't be loaded: {error}") from error


def _stored(est: Estimator) -> tuple[dict[str, Any], Arrays]:
    """Everything that `__getstate__` gives and that can't be derived from the rest."""
    if est.callbacks:
        raise ValueError(
            "callbacks are code. Take them off with set_params(callbacks=None), or use joblib."
        )
    state, arrays = vars(est), Arrays()
    model = fitted_model(est)
    names = state.get("feature_names_in_")
    # Where a fit writes is a matter of the machine: it must not come from a stranger's file.
    parameters = est.get_params(deep=False) | {"checkpoint_dir": None}
    document = {
        "parameters": {k: encode(v, k, arrays) for k, v in parameters.items()},
        "settings": encode(model.settings, "settings", arrays),
        "column_order": model.order.tolist(),
        "diagnostics": encode(est.diagnostics_, "diagnostics_", arrays),
        "feature_names": None if names is None else encode(names.tolist(), "names", arrays),
        "output": encode(state.get(OUTPUT_CONFIG), "set_output", arrays),
        **encode_state(model.state(), arrays),
    }
    if isinstance(est, BInfoGANClassifier):
        document["classes"] = {
            "values": est.classes_.tolist(),
            "kind": "str" if est.classes_.dtype.kind == "U" else est.classes_.dtype.name,
            "counts": est.class_count_.tolist(),
        }
    arrays["labels"] = est.labels_
    return document, arrays


DOCUMENT_KEYS = {
    "parameters",
    "settings",
    "column_order",
    "diagnostics",
    "feature_names",
    "output",
    *STATE_KEYS,
}


NUMBERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
CLASS_KINDS = ["bool", *NUMBERS, "float32", "float64", "str", "object"]


def _checked(
    document: Any, arrays: Arrays
) -> tuple[type[Estimator], dict[str, Any], dict[str, Any]]:
    """Class and parameters, and what `__setstate__` takes besides; uses `arrays` up."""
    # Only the document of a classifier has classes.
    fits = isinstance(document, dict) and document.keys() - {"classes"} == DOCUMENT_KEYS
    require(fits, "entries of its document are missing or unknown")
    kind = BInfoGANClassifier if "classes" in document else BInfoGANTransformer
    parameters = _checked_parameters(kind, document["parameters"], arrays)
    settings = decode_settings(document["settings"], arrays)
    diagnostics = decode(document["diagnostics"], arrays)
    require(isinstance(diagnostics, dict), "the diagnostics are not valid")
    state = {
        "_model": (
            settings,
            decode_state(document, settings, arrays),
            _checked_order(document["column_order"], settings),
        ),
        "labels_": _checked_labels(settings, arrays),
        "diagnostics_": diagnostics,
        "n_features_in_": settings.layout.n_features,
    }
    if kind is BInfoGANClassifier:
        state |= _checked_classes(document["classes"], settings)
    names = document["feature_names"]
    if names is not None:
        fits = isinstance(names, list) and len(names) == settings.layout.n_features
        require(
            fits and all(isinstance(n, str) for n in names), "the names of columns are not valid"
        )
        state["feature_names_in_"] = np.array(names, dtype=object)
    output = decode(document["output"], arrays)
    if output is not None:
        known = [{"transform": kind} for kind in ("default", "pandas", "polars")]
        require(output in known, "the container of outputs is unknown")
        state[OUTPUT_CONFIG] = output
    require(not arrays, f"it holds unknown arrays: {sorted(arrays)!r:.200}")
    return kind, parameters, state


def _checked_parameters(kind: type[Estimator], stored: Any, arrays: Arrays) -> dict[str, Any]:
    """Parameters of the estimator; one that an older version did not know keeps its default."""
    known = kind().get_params()
    fits = isinstance(stored, dict) and stored.keys() <= known.keys()
    require(fits, "it holds unknown parameters")
    parameters = {name: decode(value, arrays) for name, value in stored.items()}
    require(not parameters.get("callbacks"), "it holds callbacks")
    require(parameters.get("checkpoint_dir") is None, "it holds a folder to write to")
    kind(**parameters)._validate_params()
    return parameters


def _checked_order(order: Any, settings: Settings) -> np.ndarray:
    """Columns of the categories in public order: each code's own, in any order."""
    fits = isinstance(order, list) and all(type(column) is int for column in order)
    require(
        fits and len(order) == settings.spec.n_categorical, "the order of clusters is not valid"
    )
    for part in settings.spec.category_slices:
        own = list(range(part.start, part.stop))
        require(sorted(order[part]) == own, "the order of clusters is not valid")
    return np.array(order)


def _checked_labels(settings: Settings, arrays: Arrays) -> np.ndarray:
    labels = take(arrays, "labels", "int64")
    categories = settings.spec.categories
    columns = labels[:, None] if len(categories) == 1 else labels
    require(columns.ndim == 2 and columns.shape[1] == len(categories), "the labels are not valid")
    fits = ((columns >= 0) & (columns < np.array(categories))).all()
    require(fits and len(columns) > 0, "a label is none of the clusters")
    return labels


def _checked_classes(stored: Any, settings: Settings) -> dict[str, np.ndarray]:
    """Classes, rising and no more than the first code has categories, and their counts."""
    message = "the classes are not valid"
    require(isinstance(stored, dict) and stored.keys() == {"values", "kind", "counts"}, message)
    values, kind, counts = stored["values"], stored["kind"], stored["counts"]
    require(isinstance(values, list) and isinstance(counts, list), message)
    require(1 <= len(values) == len(counts) <= settings.spec.categories[0], message)
    require(all(type(n) is int and 1 <= n < 2**63 for n in counts), message)
    require(kind in CLASS_KINDS, message)
    is_named = kind in ("str", "object")
    require(all(isinstance(v, str if is_named else int | float) for v in values), message)
    classes = np.array(values, dtype=kind)
    require(classes.tolist() == values and np.array_equal(np.unique(classes), classes), message)
    return {"classes_": classes, "class_count_": np.array(counts)}


def _built(kind: type[Estimator], parameters: dict[str, Any], state: dict[str, Any]) -> Estimator:
    est = kind(**parameters)
    est.__setstate__(state)
    est._set_derived()
    est._trained_by = est.get_params(deep=False)
    return est
