"""Reader of SVHN's cropped digits in their original MATLAB files."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat, whosmat
from sklearn.utils import Bunch

from ._files import candidate_folders, find, require, require_whole

_SHAPE = (32, 32, 3)
_FILES = {"train": "train_32x32.mat", "test": "test_32x32.mat"}
_MOST_BYTES = 2**28  # unpacked; the larger published file has 225 million
_PACKED = 15  # type of an element that zlib has packed

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
        If a file is damaged or holds something else.

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
    if _matlab(path, _unpacked_bytes) > _MOST_BYTES:  # SciPy would unpack all of it
        raise ValueError(f"{path}: more than {_MOST_BYTES} bytes would be unpacked.")
    headers = {name: (shape, kind) for name, shape, kind in _matlab(path, whosmat)}
    require(path, "the list of variables", sorted(headers), ["X", "y"])
    n_images = headers["X"][0][-1]
    require(path, "shape and type of X", headers["X"], ((*_SHAPE, n_images), "uint8"))
    require(path, "the shape of y", headers["y"][0], (n_images, 1))
    content = _matlab(path, loadmat, variable_names=["X", "y"])
    require(path, "the type of X", content["X"].dtype, np.uint8)  # complex ones exist as well
    digits = content["y"].ravel()
    require_whole(path, digits, largest=10, smallest=1)
    rows = np.ascontiguousarray(content["X"].transpose(3, 0, 1, 2)).reshape(n_images, -1)
    return rows, digits.astype(np.int64) % 10


def _unpacked_bytes(path: Path) -> int:
    """Count what the packed parts of a file hold, up to just above what is allowed."""
    n_bytes = 0
    with open(path, "rb") as file:
        order = ">" if file.read(128).endswith(b"MI") else "<"
        while n_bytes <= _MOST_BYTES and len(tag := file.read(8)) == 8:
            kind, length = struct.unpack(f"{order}II", tag)
            part = file.read(length)
            if kind == _PACKED:
                n_bytes += len(zlib.decompressobj().decompress(part, _MOST_BYTES + 1))
    return n_bytes


def _matlab(path: Path, read: Any, **options: Any) -> Any:
    try:
        return read(path, **options)
    except Exception as error:  # of damaged files SciPy's reader raises a dozen kinds
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the system's own: no permission, a disk that fails
        raise ValueError(f"{path} is no intact MATLAB 5 file: {error}") from error
