"""One file of a JSON document and arrays: safetensors, a checksum over every byte, no pickle."""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from safetensors import numpy as safetensors

FORMAT = "sklearn_binfogan"  # the key of our entry in the safetensors metadata
DOCUMENT = "document"  # the array that holds the JSON
WRITERS = ["sklearn-binfogan", "torch", "scikit-learn", "skorch", "numpy", "safetensors"]

MAX_HEADER = 2**24  # bytes; about 100 000 arrays
MAX_DOCUMENT = 2**28  # bytes; the history of a million steps
COPIES = 3  # of the file's size that reading it and building the networks take
OBJECTS = 50  # bytes of Python objects that a byte of JSON may become: lists in lists
BLANK = "0" * 64  # stands for the checksum while it is computed


def write(path: str, format_version: int, document: Any, arrays: dict[str, np.ndarray]) -> None:
    """Write a file as a whole or not at all: whatever goes wrong, an older one stays.

    Parameters
    ----------
    path : str
    format_version : int
    document : object
        What `json` takes, without NaN and infinity.
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
            f"the history and parameters take {len(text)} bytes of JSON; at most {MAX_DOCUMENT} "
            "can be stored. Shorten history_, or use joblib."
        )
    contents = {name: np.array(a, order="C") for name, a in arrays.items()}
    contents[DOCUMENT] = np.frombuffer(text, dtype=np.uint8)
    info = {
        "format_version": format_version,
        "sha256": BLANK,
        "versions": {name: _installed_version(name) for name in WRITERS},
    }
    data = safetensors.save(contents, {FORMAT: json.dumps(info)})
    start = data.index(BLANK.encode())
    digest = hashlib.sha256(data).hexdigest().encode()
    _replace(path, [data[:start], digest, memoryview(data)[start + len(digest) :]])


def read(path: str, format_versions: Sequence[int]) -> tuple[int, Any, dict[str, np.ndarray]]:
    """Read what `write` has written.

    Parameters
    ----------
    path : str
    format_versions : sequence of int
        Those that the caller understands.

    Returns
    -------
    format_version : int
    document : object
    arrays : dict of ndarray, read-only

    Raises
    ------
    ValueError
        If it is no such file, if its version is unknown, if a byte has changed, or if it would
        not fit in memory.
    OSError
        If the file can't be read.
    Exception
        Others that the decoders of a file made to mislead may raise.
    """
    # Opening a named pipe would wait for a writer.
    if not stat.S_ISREG(mode := os.stat(path).st_mode) and not stat.S_ISDIR(mode):
        raise ValueError("it is not a regular file")
    with open(path, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        header = _read_header(stream, size)
        info = _info(header, format_versions)
        if size * COPIES > _physical_memory():
            raise ValueError(f"it has {size} bytes, more than fit in this machine's memory")
        stream.seek(0)
        data = stream.read(size)
    _check_digest(data, header, info["sha256"])
    arrays = safetensors.load(data)
    if DOCUMENT not in arrays or arrays[DOCUMENT].nbytes > MAX_DOCUMENT:
        raise ValueError("its JSON document is missing or too large")
    text = arrays.pop(DOCUMENT).tobytes().decode("utf-8")
    if len(text) * OBJECTS > _physical_memory():
        raise ValueError("its JSON document may take more than fits in this machine's memory")
    return info["format_version"], json.loads(text, parse_constant=_refuse_constant), arrays


def _installed_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # used from its source tree
        return "unknown"


def _replace(path: str, parts: Sequence[bytes | memoryview]) -> None:
    """Put the parts into a new file of the same folder, then let it take the old one's place."""
    target = Path(os.path.realpath(path))  # a link goes on pointing to the file
    temporary = target.with_name(f".{FORMAT}-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as stream:
            stream.writelines(parts)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):  # the error that comes up is the first one
            temporary.unlink()
        raise
    if os.name == "posix":  # elsewhere a folder can't be opened
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # without it the new name may be lost with the power
        finally:
            os.close(folder)


def _read_header(stream: BinaryIO, size: int) -> bytes:
    """Read the JSON header that safetensors begins with, after its length in eight bytes."""
    length = int.from_bytes(stream.read(8), "little")
    if not 2 <= length <= min(size - 8, MAX_HEADER):
        raise ValueError("it is truncated, or no safetensors file")
    return stream.read(length)


def _info(header: bytes, format_versions: Sequence[int]) -> dict[str, Any]:
    """Check the header's entry on the format; its keys may differ in an unknown version."""
    try:
        info = json.loads(json.loads(header)["__metadata__"][FORMAT])
        found = info["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(f"it is damaged, or was not written by {FORMAT}.save") from None
    if type(found) is not int or found not in format_versions:
        known = ", ".join(map(str, format_versions))
        raise ValueError(
            f"its format version is {found!r:.20}, and this installation reads {known}: install "
            "the version that wrote it, or a newer one"
        )
    if not isinstance(info.get("sha256"), str) or len(info["sha256"]) != len(BLANK):
        raise ValueError("its checksum is missing")
    return info


def _check_digest(data: bytes, header: bytes, expected: str) -> None:
    """Compare with the checksum of all bytes but its own, which count as `BLANK`."""
    start = 8 + header.find(expected.encode())
    stop = start + len(BLANK)
    digest = hashlib.sha256(data[:start])
    digest.update(BLANK.encode())
    digest.update(memoryview(data)[stop:])
    if digest.hexdigest() != expected:
        raise ValueError("its checksum does not match: bytes are missing or have changed")


def _physical_memory() -> float:
    """Bytes of memory of this machine; infinite where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return math.inf


def _refuse_constant(name: str) -> None:
    raise ValueError(f"its document holds {name}, which is not JSON")
