"""Reader of SVHN's cropped digits in their original MATLAB files."""

import math
import os
import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from ._files import candidate_folders, find, require

_SHAPE = (32, 32, 3)
_FILES = {"train": "train_32x32.mat", "test": "test_32x32.mat"}
_MOST_BYTES = 2**28  # of a file, and of an unpacked variable; the larger file has 225 million
_PACKED = 15  # type of an element that is packed with zlib
_BYTES = (6, 5, 1, 2)  # types of the parts of an array: flags, shape, name, unsigned bytes

_DESCR = """\
SVHN, format 2: colour images of house numbers in street views, 32 x 32 pixels around a digit, and
the digit. 73 257 images for training and 26 032 for testing.

Source: Y. Netzer, T. Wang, A. Coates, A. Bissacco, B. Wu and A. Y. Ng, "Reading Digits in Natural
Images with Unsupervised Feature Learning", NIPS Workshop on Deep Learning and Unsupervised Feature
Learning 2011, http://ufldl.stanford.edu/housenumbers/
Terms: for non-commercial use only.
"""


def load_svhn(data_dir: str | os.PathLike[str] | None = None) -> Bunch:
    """Load the cropped digits of SVHN, Street View House Numbers [1]_.

    Nothing is downloaded: get the two files of format 2 from the page of the data set.

    Parameters
    ----------
    data_dir : str or Path, default=None
        Folder with ``train_32x32.mat`` and ``test_32x32.mat``. If None, the folder that the
        environment variable ``SKLEARN_BINFOGAN_DATA`` names, or its subfolder ``svhn``.

    Returns
    -------
    svhn : Bunch
        X_train : ndarray of uint8, shape (73257, 3072)
            Flattened channels-last images of 32 x 32 x 3 as rows.
        y_train : ndarray of int64, shape (73257,)
            Digits, 0 to 9; the files' label 10 is the digit 0.
        X_test : ndarray of uint8, shape (26032, 3072)
            Images, as `X_train`.
        y_test : ndarray of int64, shape (26032,)
            Digits, as `y_train`.
        image_shape : tuple
            ``(32, 32, 3)``
        DESCR : str
            Description, source and terms.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or it lacks one of the files.
    ValueError
        If a file is damaged or holds other data.

    References
    ----------
    .. [1] Y. Netzer, T. Wang, A. Coates, A. Bissacco, B. Wu, A. Y. Ng, "Reading Digits in Natural
       Images with Unsupervised Feature Learning", NIPS Workshop 2011,
       http://ufldl.stanford.edu/housenumbers/

    Examples
    --------
    >>> from sklearn_binfogan.datasets import load_svhn
    >>> svhn = load_svhn("data/svhn")  # doctest: +SKIP
    >>> svhn.X_train.shape  # doctest: +SKIP
    (73257, 3072)
    """
    folders = candidate_folders(data_dir, "svhn")
    paths = {part: find(folders, [name]) for part, name in _FILES.items()}
    arrays = {}
    for part, path in paths.items():
        arrays[f"X_{part}"], arrays[f"y_{part}"] = _read(path)
    return Bunch(**arrays, image_shape=_SHAPE, DESCR=_DESCR)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and digits of one file that passes every check."""
    try:
        variables = dict(islice(_variables(path), 3))  # other files may have very many
    except (ValueError, struct.error, zlib.error) as error:
        raise ValueError(f"{path} is not an intact MATLAB 5 file of bytes: {error}") from error
    require(path, "the list of variables", sorted(variables), ["X", "y"])
    X, y = variables["X"], variables["y"]
    n_images = y.size
    require(path, "the shape of X", X.shape, (*_SHAPE, n_images))
    require(path, "the shape of y", y.shape, (n_images, 1))
    foreign = y[(y < 1) | (y > 10)]
    if len(foreign):
        raise ValueError(
            f"{path}: found the value {foreign[0]}; only whole numbers from 1 to 10 are allowed."
        )
    rows = np.ascontiguousarray(X.transpose(3, 0, 1, 2)).reshape(n_images, math.prod(_SHAPE))
    return rows, y.ravel().astype(np.int64) % 10


def _variables(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and values of each variable of a MATLAB 5 file; all must be arrays of bytes.

    `scipy.io.loadmat` is not safe: a wrong byte in a tag, or deeply nested cells, can crash the
    process, and a file of 1 MB can unpack to 1 GB.
    """
    with path.open("rb") as file:
        content = memoryview(file.read(_MOST_BYTES))
    if bytes(content[124:128]) != b"\0\1IM":  # version 1, low bytes first
        raise ValueError("the header is not that of version 5")
    for kind, data in _elements(content[128:]):
        if kind == _PACKED:
            stream = zlib.decompressobj()
            data = memoryview(stream.decompress(data, _MOST_BYTES))[8:]  # without its own tag
            if not stream.eof:
                raise ValueError(f"a variable is cut off or has over {_MOST_BYTES} bytes")
        kinds, parts = zip(*islice(_elements(data), 5), strict=True)
        if kinds != _BYTES:
            raise ValueError(f"a variable has parts of types {kinds}; only {_BYTES} are allowed")
        _, shape, name, values = parts
        array = np.frombuffer(values, np.uint8).reshape(np.frombuffer(shape, "<i4"), order="F")
        yield str(name, "latin-1"), array


def _elements(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield type and content of consecutive elements."""
    start = 0
    while start < len(data):
        kind, length = struct.unpack_from("<2I", data, start)
        small = kind >> 16  # length of an element of up to four bytes, stored within its tag
        stop = start + (4 + small if small else 8 + length)
        yield kind % 2**16, data[start + (4 if small else 8) : stop]
        start = stop if kind == _PACKED else stop + (start - stop) % 8
