"""Files of fitted models: `save` and `load`, without pickle."""

import os
from typing import Any

import numpy as np

from . import _container as container
from ._base import fitted_model
from ._classifier import BInfoGANClassifier
from ._container import Arrays
from ._parameters import resolve_device
from ._portable import (
    STATE_KEYS,
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
OUTPUT_CONFIG = "_sklearn_output_config"  # where `set_output` keeps its choice


def save(est: Estimator, path: str | bytes | os.PathLike[Any]) -> None:
    """Store a fitted model in one file, from which `load` restores it.

    The file is in the safetensors format. It holds weights, optimizers, random state, history,
    parameters, `labels_`, the versions of the format and of the packages that wrote it, and a
    checksum. It holds no code and no training rows. A temporary file in the same folder is written
    first: if anything fails, an older file at `path` stays intact.

    Parameters
    ----------
    est : BInfoGANTransformer or BInfoGANClassifier
        A fitted model. Its `checkpoint_dir` and attributes that the package does not know are not
        stored.
    path : str, bytes or path-like
        The usual suffix is ``.safetensors``. An existing file is replaced.

    Raises
    ------
    TypeError
        If `est` is another kind of estimator, such as a pipeline or a subclass.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    ValueError
        If it holds code: callbacks, or an `architecture` or `augmentation` of your own. joblib and
        pickle store those. Also if a weight is NaN or infinite.
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
    name = os.fsdecode(path)
    try:
        document, arrays = _stored(est)
        # `load` must not refuse what is written.
        _checked(document, dict(arrays))
        container.write(name, FORMAT_VERSION, document, arrays)
    except ValueError as error:
        raise ValueError(f"The model can't be saved: {error}") from error


def load(path: str | bytes | os.PathLike[Any], device: str = "auto") -> Estimator:
    """Read a model that `save` has stored.

    The file may come from a stranger: everything is checked before anything is built, and nothing
    in it is run. On the machine and with the versions that wrote it, results are the same bit for
    bit, also those of a later `partial_fit`.

    Parameters
    ----------
    path : str, bytes or path-like
        File that `save` has written.
    device : str, default="auto"
        Where to run: replaces the estimator's `device`. "auto" keeps the stored `device`, or uses
        the CPU if that device is missing.

    Returns
    -------
    est : BInfoGANTransformer or BInfoGANClassifier
        The fitted model, with the parameters of the stored one.

    Raises
    ------
    ValueError
        If the file is damaged, is not a model file, has an unknown format version or impossible
        contents, if it would not fit in memory, or if the device is not available.
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
    name = os.fsdecode(path)
    if device != "auto":
        device = str(device)
        resolve_device(device)  # raises if there is no such device
    try:
        version, document, arrays = container.read(name, FORMAT_VERSIONS)
        document, arrays = upgraded(version, document, arrays)
        kind, parameters, state = _checked(document, arrays)
        if device != "auto":
            parameters["device"] = device
        est = kind(**parameters)
        est.__setstate__(state)
        return est
    except OSError:
        raise
    except Exception as error:  # a forged file may raise anything in the decoders
        raise ValueError(f"{name!r} can't be loaded: {error}") from error


def _stored(est: Estimator) -> tuple[dict[str, Any], Arrays]:
    """Document and arrays of the estimator: its state without what can be derived from the rest."""
    if est.callbacks:
        raise ValueError(
            "callbacks are code. Remove them with set_params(callbacks=None), or use joblib."
        )
    state, arrays = vars(est), Arrays()
    model = fitted_model(est)
    names = state.get("feature_names_in_")
    # A stranger's file must not choose where a fit writes.
    parameters = est.get_params(deep=False) | {"checkpoint_dir": None}
    document = {
        "parameters": {k: encode(v, k, arrays) for k, v in parameters.items()},
        "trained_by": {k: encode(v, f"trained_by.{k}", arrays) for k, v in est._trained_by.items()},
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


DOCUMENT_KEYS = {"parameters", "trained_by", "settings", "column_order", "diagnostics"}
DOCUMENT_KEYS |= {"feature_names", "output", *STATE_KEYS}
NUMBERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
CLASS_KINDS = ["bool", *NUMBERS, "float32", "float64", "str", "object"]


def _checked(
    document: Any, arrays: Arrays
) -> tuple[type[Estimator], dict[str, Any], dict[str, Any]]:
    """Class, parameters and state for `__setstate__`; takes all arrays out of `arrays`."""
    # Only a classifier has classes.
    fits = isinstance(document, dict) and document.keys() - {"classes"} == DOCUMENT_KEYS
    require(fits, "entries of its document are missing or unknown")
    kind = BInfoGANClassifier if "classes" in document else BInfoGANTransformer
    parameters = _checked_parameters(kind, document["parameters"], arrays)
    trained_by = _checked_parameters(kind, document["trained_by"], arrays)
    settings = decode_settings(document["settings"], arrays)
    diagnostics = decode(document["diagnostics"], arrays)
    require(isinstance(diagnostics, dict), "the diagnostics are not a dict")
    state = {
        "_model": (
            settings,
            decode_state(document, settings, arrays),
            _checked_order(document["column_order"], settings),
        ),
        "labels_": _checked_labels(settings, arrays),
        "_trained_by": trained_by,
        "diagnostics_": diagnostics,
        "n_features_in_": settings.layout.n_features,
    }
    if kind is BInfoGANClassifier:
        state |= _checked_classes(document["classes"], settings)
    names = document["feature_names"]
    if names is not None:
        fits = isinstance(names, list) and all(isinstance(name, str) for name in names)
        fits = fits and len(names) == settings.layout.n_features
        require(fits, "the names of columns are not one string per column")
        state["feature_names_in_"] = np.array(names, dtype=object)
    output = decode(document["output"], arrays)
    if output is not None:
        known = [{"transform": kind} for kind in ("default", "pandas", "polars")]
        require(output in known, "the container of outputs is unknown")
        state[OUTPUT_CONFIG] = output
    require(not arrays, f"it holds unknown arrays: {sorted(arrays)!r:.200}")
    return kind, parameters, state


def _checked_parameters(kind: type[Estimator], stored: Any, arrays: Arrays) -> dict[str, Any]:
    """Parameters of the estimator; those that an older version lacked keep their defaults."""
    known = kind().get_params()
    fits = isinstance(stored, dict) and stored.keys() <= known.keys()
    require(fits, "it holds unknown parameters")
    parameters = {name: decode(value, arrays) for name, value in stored.items()}
    require(not parameters.get("callbacks"), "it holds callbacks")
    require(parameters.get("checkpoint_dir") is None, "it holds a folder to write to")
    kind(**parameters)._validate_params()
    return parameters


def _checked_order(order: Any, settings: Settings) -> np.ndarray:
    """Columns of the categories in public order: a permutation within each code."""
    fits = isinstance(order, list) and all(type(column) is int for column in order)
    fits = fits and len(order) == settings.spec.n_categorical
    for part in settings.spec.category_slices:
        own = list(range(part.start, part.stop))
        require(fits and sorted(order[part]) == own, "the order of clusters is not a permutation")
    return np.array(order)


def _checked_labels(settings: Settings, arrays: Arrays) -> np.ndarray:
    labels = take(arrays, "labels", "int64")
    categories = settings.spec.categories
    columns = labels[:, None] if len(categories) == 1 else labels
    fits = columns.ndim == 2 and columns.shape[1] == len(categories)
    require(fits, "the labels are not one per row and code")
    fits = ((columns >= 0) & (columns < np.array(categories))).all()
    require(fits and len(columns) > 0, "a label is not a cluster")
    return labels


def _checked_classes(stored: Any, settings: Settings) -> dict[str, np.ndarray]:
    """Classes, sorted and at most as many as categories of the first code, and their counts."""
    message = "the classes are not valid"
    require(isinstance(stored, dict) and stored.keys() == {"values", "kind", "counts"}, message)
    values, kind, counts = stored["values"], stored["kind"], stored["counts"]
    require(isinstance(values, list) and isinstance(counts, list), message)
    require(1 <= len(values) == len(counts) <= settings.spec.categories[0], message)
    require(all(type(n) is int and 1 <= n < 2**63 for n in counts), message)
    known = ", ".join(CLASS_KINDS)
    require(
        kind in CLASS_KINDS, f"classes of dtype {kind!r:.50} can't be stored; these can: {known}"
    )
    is_named = kind in ("str", "object")
    require(all(isinstance(v, str if is_named else int | float) for v in values), message)
    classes = np.array(values, dtype=kind)
    require(classes.tolist() == values and np.array_equal(np.unique(classes), classes), message)
    return {"classes_": classes, "class_count_": np.array(counts)}
