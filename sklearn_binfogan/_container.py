"""Files of a JSON document and arrays: safetensors with a checksum of all bytes, no pickle."""

import hashlib
import json
import math
import os
import secrets
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import numpy as safetensors
from safetensors import safe_open

Arrays = dict[str, np.ndarray]

FORMAT = "sklearn_binfogan"  # the key of our entry in the safetensors metadata
DOCUMENT = "document"  # the array that holds the JSON
WRITERS = ["sklearn-binfogan", "torch", "scikit-learn", "skorch", "numpy", "safetensors"]

MAX_DOCUMENT = 2**28  # bytes; enough for the history of a million steps
COPIES = 3  # reading a file and building its networks takes this many times its size
OBJECTS = 50  # a byte of JSON may become this many bytes of Python objects: lists in lists
BLANK = "0" * 64  # takes the place of the checksum while it is computed


def write(path: str, format_version: int, document: Any, arrays: Arrays) -> None:
    """Write a complete file or none: if anything fails, an older file stays as it was.

    Parameters
    ----------
    path : str
    format_version : int
    document : object
        JSON values, without NaN and infinity.
    arrays : dict of ndarray

    Raises
    ------
    ValueError
        If the document is too large.
    OSError
        If the file can't be written.
    """
    text = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
    if len(text) > MAX_DOCUMENT:
        raise ValueError(
            f"the history and parameters take {len(text)} bytes of JSON, but at most "
            f"{MAX_DOCUMENT} are allowed. Shorten history_, or use joblib."
        )
    contents = {name: np.array(a, order="C") for name, a in arrays.items()}
    contents[DOCUMENT] = np.frombuffer(text, dtype=np.uint8)
    info = {
        "format_version": format_version,
        "sha256": BLANK,
        "versions": {name: _installed_version(name) for name in WRITERS},
    }
    data = safetensors.save(contents, {FORMAT: json.dumps(info)})
    digest = hashlib.sha256(data).hexdigest()
    _replace(path, data.replace(BLANK.encode(), digest.encode(), 1))


def read(path: str, format_versions: Sequence[int]) -> tuple[int, Any, Arrays]:
    """Read a file that `write` has written.

    Parameters
    ----------
    path : str
    format_versions : sequence of int
        Versions that the caller understands.

    Returns
    -------
    format_version : int
    document : object
    arrays : dict of ndarray, read-only

    Raises
    ------
    ValueError
        If it is not such a file, if its version is unknown, if a byte has changed, or if it would
        not fit in memory.
    OSError
        If the file can't be read.
    Exception
        Any other kind, from the decoders, if somebody has forged the file.
    """
    # Opening a named pipe would block until somebody writes to it.
    if not stat.S_ISREG(mode := os.stat(path).st_mode) and not stat.S_ISDIR(mode):
        raise ValueError("it is not a regular file")
    if (size := os.path.getsize(path)) * COPIES > _physical_memory():
        raise ValueError(f"it has {size} bytes, more than fit in this machine's memory")
    data = Path(path).read_bytes()
    with safe_open(path, "np") as opened:  # `safetensors.load` does not return the metadata
        info = _info(opened.metadata(), format_versions)
    _check_digest(data, info["sha256"])
    arrays = safetensors.load(data)
    if DOCUMENT not in arrays or arrays[DOCUMENT].nbytes > MAX_DOCUMENT:
        raise ValueError("its JSON document is missing or too large")
    text = arrays.pop(DOCUMENT).tobytes().decode("utf-8")
    if len(text) * OBJECTS > _physical_memory():
        raise ValueError("its JSON document may take more than fits in this machine's memory")
    return info["format_version"], json.loads(text), arrays


def _installed_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # run from a source tree
        return "unknown"


def _replace(path: str, data: bytes) -> None:
    """Write a new file in the same folder, then rename it to replace the old one."""
    if not path:  # `realpath` would take the current folder
        raise FileNotFoundError("'' can't be written: the path is empty.")
    target = Path(os.path.realpath(path))  # a link must stay a link
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"{path!r} can't be written: there is no folder {str(target.parent)!r}."
        )
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise OSError(f"{path} is neither a new file nor a regular one: it isn't replaced.")
    temporary = target.with_name(f".{target.name[:50]}-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as stream:
            if target.is_file():
                shutil.copymode(target, temporary)  # a private file stays private
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):  # the first error is the one to report
            temporary.unlink()
        raise
    if os.name == "posix":  # elsewhere a folder can't be opened
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # without it a power cut may undo the renaming
        finally:
            os.close(folder)


def _info(metadata: Any, format_versions: Sequence[int]) -> dict[str, Any]:
    """Read our entry of the metadata; an unknown version may have other keys."""
    try:
        info = json.loads(metadata[FORMAT])
        found = info["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(f"it is damaged, or was not written by {FORMAT}.save") from None
    if type(found) is not int or found not in format_versions:
        known = ", ".join(map(str, format_versions))
        raise ValueError(
            f"its format version is {found!r:.20}, but this installation reads {known}: install "
            "the version of the package that wrote it, or a newer one"
        )
    if not isinstance(info.get("sha256"), str) or len(info["sha256"]) != len(BLANK):
        raise ValueError("its checksum is missing")
    return info


def _check_digest(data: bytes, expected: str) -> None:
    """Check the checksum of all bytes; its own bytes count as `BLANK`."""
    blank = data.replace(expected.encode(), BLANK.encode(), 1)
    if hashlib.sha256(blank).hexdigest() != expected:
        raise ValueError("its checksum does not match: bytes are missing or have changed")


def _physical_memory() -> float:
    """Bytes of memory of this machine; infinite if the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return math.inf
