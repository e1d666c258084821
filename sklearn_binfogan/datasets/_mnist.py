"""Reader of MNIST's original files, or of OpenML's copy."""

import gzip
import hashlib
import math
import os
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import fetch_openml
from sklearn.utils import Bunch

from ._files import candidate_folders, find, require


class _IdxFile(NamedTuple):
    """What a file in IDX format holds: unsigned bytes of one shape."""

    name: str
    shape: tuple[int, ...]
    md5: str  # of the unpacked file


_MNIST = {
    "X_train": _IdxFile(
        "train-images-idx3-ubyte", (60_000, 28, 28), "6bbc9ace898e44ae57da46a324031adb"
    ),
    "y_train": _IdxFile("train-labels-idx1-ubyte", (60_000,), "a25bea736e30d166cdddb491f175f624"),
    "X_test": _IdxFile(
        "t10k-images-idx3-ubyte", (10_000, 28, 28), "2646ac647ad5339dbf082846283269ea"
    ),
    "y_test": _IdxFile("t10k-labels-idx1-ubyte", (10_000,), "27ae3e4e09519cfbb04c329615203637"),
}

_MNIST_DESCR = """\
MNIST: grey images of handwritten digits, 28 x 28 pixels from 0 (background) to 255 (ink),
60 000 for training and 10 000 for testing, with the digits 0 to 9 as labels.

Source: Y. LeCun, C. Cortes and C. J. C. Burges, "The MNIST database of handwritten digits",
http://yann.lecun.com/exdb/mnist/, made from data sets of NIST.
Licence: Creative Commons Attribution-ShareAlike 3.0 (CC BY-SA 3.0).
"""


def load_mnist(data_dir: str | os.PathLike[str] | None = None) -> Bunch:
    """Load the MNIST images of handwritten digits [1]_.

    Parameters
    ----------
    data_dir : str or Path, default=None
        Folder with the four files in IDX format, gzip-compressed (``.gz``) or plain:
        ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
        ``t10k-labels-idx1-ubyte``. Names like ``train-images.idx3-ubyte`` are found, too. If
        None, the folder that the environment variable ``SKLEARN_BINFOGAN_DATA`` names, or its
        subfolder ``mnist``. If this variable is unset or empty, the data is downloaded from OpenML
        with :func:`sklearn.datasets.fetch_openml`, which keeps a copy.

    Returns
    -------
    mnist : Bunch
        X_train : ndarray of uint8, shape (60000, 784)
            Images as rows, in C order; pixels from 0 (background) to 255 (ink).
        y_train : ndarray of int64, shape (60000,)
            Digits, 0 to 9.
        X_test : ndarray of uint8, shape (10000, 784)
            Images, as `X_train`.
        y_test : ndarray of int64, shape (10000,)
            Digits, as `y_train`.
        image_shape : tuple
            ``(28, 28)``: height and width.
        DESCR : str
            Description, source and licence.

    Raises
    ------
    FileNotFoundError
        If `data_dir` or the variable names a folder that lacks one of the files.
    ValueError
        If a file isn't the published one, or if a file or a download is damaged.
    OSError
        If the data can't be downloaded.

    Notes
    -----
    Files must have the published MD5 checksums. scikit-learn compares a download with the checksum
    that OpenML states. MNIST is licensed under CC BY-SA 3.0.

    References
    ----------
    .. [1] Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits",
       http://yann.lecun.com/exdb/mnist/

    Examples
    --------
    >>> from sklearn_binfogan.datasets import load_mnist
    >>> mnist = load_mnist("folder/with/the/files")  # doctest: +SKIP
    >>> mnist.X_train.shape, mnist.image_shape  # doctest: +SKIP
    ((60000, 784), (28, 28))
    """
    folders = candidate_folders(data_dir, "mnist")
    arrays = _read_mnist(folders) if folders else _fetch_mnist()
    return Bunch(**arrays, image_shape=_MNIST["X_train"].shape[1:], DESCR=_MNIST_DESCR)


def _spellings(name: str) -> list[str]:
    """Possible names of a file: with ``.idx`` or ``-idx``, plain or gzip-compressed."""
    spellings = [name, name.replace("-idx", ".idx")]
    return [spelling + suffix for spelling in spellings for suffix in ("", ".gz")]


def _read_mnist(folders: list[Path]) -> dict[str, np.ndarray]:
    """Read the four files; images become rows."""
    paths = {key: find(folders, _spellings(file.name)) for key, file in _MNIST.items()}
    arrays = {key: _read_idx(paths[key], file) for key, file in _MNIST.items()}
    return {
        key: values.astype(np.int64) if values.ndim == 1 else values.reshape(len(values), -1)
        for key, values in arrays.items()
    }


def _read_idx(path: Path, file: _IdxFile) -> np.ndarray:
    """Return the uint8 array of an IDX file with the published checksum."""
    n_header = 4 * (1 + len(file.shape))  # bytes: the magic number and one size per dimension
    content = _read_bytes(path, n_header + math.prod(file.shape) + 1)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    require(path, "the MD5 checksum of the unpacked file", md5, file.md5)
    values = np.frombuffer(content, np.uint8, offset=n_header).reshape(file.shape)
    return values.copy()  # the buffer is read-only


def _read_bytes(path: Path, n_bytes: int) -> bytes:
    """Read a plain or gzip file, but unpack at most `n_bytes`."""
    try:
        with gzip.GzipFile(path) if path.suffix == ".gz" else path.open("rb") as file:
            return file.read(n_bytes)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is not an intact gzip file: {error}") from error


def _fetch_mnist() -> dict[str, np.ndarray]:
    """Fetch the rows from OpenML, where the test images follow the training images.

    scikit-learn checks the checksum.
    """
    # This parser needs no pandas.
    X, y = fetch_openml("mnist_784", version=1, return_X_y=True, as_frame=False, parser="liac-arff")
    X, y = X.astype(np.uint8, order="C"), y.astype(np.int64)  # the digits come as str
    n_train = _MNIST["X_train"].shape[0]
    parts = X[:n_train], y[:n_train], X[n_train:], y[n_train:]
    return dict(zip(_MNIST, parts, strict=True))
