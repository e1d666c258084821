"""Readers of data sets: what they return, and that no foreign or damaged file gets through."""

import gzip
import hashlib
import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from sklearn_binfogan.datasets import _mnist, load_mnist

VARIABLE = "SKLEARN_BINFOGAN_DATA"
NAMES = {
    "X_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "X_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
N_TRAIN, N_TEST = 12, 5
RNG = np.random.default_rng(0)
SMALL = {
    "X_train": RNG.integers(256, size=(N_TRAIN, 28, 28), dtype=np.uint8),
    "y_train": np.arange(N_TRAIN, dtype=np.uint8) % 10,
    "X_test": RNG.integers(256, size=(N_TEST, 28, 28), dtype=np.uint8),
    "y_test": np.arange(N_TEST, dtype=np.uint8) + 5,
}


def idx(values, magic=None, shape=None):
    magic = magic or {3: 2051, 1: 2049}[values.ndim]
    shape = shape or values.shape
    return struct.pack(f">{1 + len(shape)}I", magic, *shape) + values.tobytes()


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def write_all(folder, suffix="", separator="-"):
    """Write the small data set as files."""
    folder.mkdir(parents=True, exist_ok=True)
    pack = gzip.compress if suffix else bytes
    for key, values in SMALL.items():
        name = NAMES[key].replace("-idx", f"{separator}idx") + suffix
        (folder / name).write_bytes(pack(idx(values)))
    return folder


def assert_is_small(mnist):
    for part, n_rows in [("train", N_TRAIN), ("test", N_TEST)]:
        X, y = mnist[f"X_{part}"], mnist[f"y_{part}"]
        assert (X.dtype, X.shape) == (np.uint8, (n_rows, 784))
        assert (y.dtype, y.shape) == (np.int64, (n_rows,))
        assert X.flags.c_contiguous
        assert X.flags.writeable
        assert y.flags.writeable
        np.testing.assert_array_equal(X.reshape(-1, 28, 28), SMALL[f"X_{part}"])
        np.testing.assert_array_equal(y, SMALL[f"y_{part}"])
    assert mnist.image_shape == (28, 28)
    assert "CC BY-SA 3.0" in mnist.DESCR


@pytest.fixture(autouse=True)
def without_download(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a test must not download")

    monkeypatch.setattr(_mnist, "fetch_openml", refuse)


@pytest.fixture
def small(monkeypatch):
    """Make the small data set the published one; the environment names no folder."""
    published = {
        key: file._replace(shape=SMALL[key].shape, md5=md5(idx(SMALL[key])))
        for key, file in _mnist._MNIST.items()
    }
    monkeypatch.setattr(_mnist, "_MNIST", published)
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def folder(small, tmp_path):
    return write_all(tmp_path / "digits")


@pytest.mark.parametrize("as_type", [str, Path])
@pytest.mark.parametrize("separator", ["-", "."])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_files(small, tmp_path, suffix, separator, as_type):
    assert_is_small(load_mnist(as_type(write_all(tmp_path, suffix, separator))))


@pytest.mark.parametrize("subfolder", ["", "mnist"])
def test_environment_variable(small, tmp_path, monkeypatch, subfolder):
    write_all(tmp_path / subfolder, ".gz")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert_is_small(load_mnist())


def test_data_dir_comes_before_the_environment_variable(folder, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    assert_is_small(load_mnist(folder))

    monkeypatch.setenv(VARIABLE, str(folder))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_mnist(tmp_path / "nowhere")


def test_environment_variable_without_mnist(small, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    folders = f"{tmp_path} and {tmp_path / 'mnist'}"
    with pytest.raises(FileNotFoundError, match=re.escape(folders)) as caught:
        load_mnist()
    assert f"environment variable {VARIABLE}" in str(caught.value)


@pytest.mark.parametrize("name", NAMES.values())
def test_a_file_is_missing(folder, name):
    (folder / name).unlink()
    names = f"{name}, {name}.gz, {name.replace('-idx', '.idx')}, "
    with pytest.raises(FileNotFoundError, match=re.escape(names)) as caught:
        load_mnist(folder)
    assert str(folder) in str(caught.value)


IMAGES, LABELS = SMALL["X_train"], SMALL["y_train"]
FOREIGN = {
    "empty file": ("X_train", b""),
    "magic number": ("X_train", idx(IMAGES, magic=2052)),
    "images for labels": ("y_train", idx(IMAGES)),
    "within the header": ("X_train", idx(IMAGES)[:10]),
    "not 28 x 28": ("X_train", idx(IMAGES, shape=(12, 14, 56))),
    "fewer labels than images": ("y_train", idx(LABELS[:11])),
    "truncated": ("X_train", idx(IMAGES)[:-1]),
    "surplus": ("X_train", idx(IMAGES) + b"\0\0"),
    "other images": ("X_train", idx(255 - IMAGES)),
}


@pytest.mark.parametrize("case", FOREIGN)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_foreign_file(folder, case, suffix):
    key, content = FOREIGN[case]
    path = folder / NAMES[key]
    path.unlink()
    path = path.with_name(path.name + suffix)
    path.write_bytes(gzip.compress(content) if suffix else content)
    message = f"MD5 checksum of the unpacked file is .*; allowed is only {md5(idx(SMALL[key]))}"
    with pytest.raises(ValueError, match=re.escape(f"{path}: ") + ".*" + message):
        load_mnist(folder)


def with_reserved_block(packed):
    """Replace the first byte after the gzip header by a block type that deflate doesn't have."""
    return packed[:10] + b"\x07" + packed[11:]


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        pytest.param(lambda packed: packed[:-20], "end-of-stream", id="truncated"),
        pytest.param(lambda packed: packed[:-4], "end-of-stream", id="truncated trailer"),
        pytest.param(gzip.decompress, "Not a gzipped file", id="not compressed"),
        pytest.param(lambda packed: packed[:-8] + bytes(8), "CRC check failed", id="checksum"),
        pytest.param(with_reserved_block, "invalid block type", id="bytes"),
    ],
)
def test_damaged_gzip(small, tmp_path, damage, cause):
    path = write_all(tmp_path, ".gz") / f"{NAMES['X_test']}.gz"
    path.write_bytes(damage(path.read_bytes()))
    message = re.escape(f"{path} is not an intact gzip file: ") + ".*" + cause
    with pytest.raises(ValueError, match=message):
        load_mnist(tmp_path)


def test_only_the_expected_bytes_are_unpacked(small, tmp_path):
    """The damage lies far beyond the surplus byte, so only who reads on meets it."""
    path = write_all(tmp_path, ".gz") / f"{NAMES['X_train']}.gz"
    path.write_bytes(gzip.compress(idx(IMAGES) + bytes(5_000_000))[:-8])
    with pytest.raises(ValueError, match="MD5 checksum"):
        load_mnist(tmp_path)


def openml_rows():
    """Return images and labels the way OpenML has them: one table, the digits as str objects."""
    X = np.concatenate([SMALL["X_train"], SMALL["X_test"]]).reshape(-1, 784)
    y = np.concatenate([SMALL["y_train"], SMALL["y_test"]])
    return np.asfortranarray(X, dtype=np.float64), y.astype(str).astype(object)


def offer(monkeypatch, X, y):
    """Make OpenML send X and y; return the calls it gets."""
    calls = []

    def fetch_openml(*args, **kwargs):
        calls.append((args, kwargs))
        return X, y

    monkeypatch.setattr(_mnist, "fetch_openml", fetch_openml)
    return calls


@pytest.mark.parametrize("variable", [None, ""])
def test_download(small, monkeypatch, variable):
    if variable is not None:
        monkeypatch.setenv(VARIABLE, variable)
    calls = offer(monkeypatch, *openml_rows())

    assert_is_small(load_mnist())

    ((args, kwargs),) = calls
    assert args == ("mnist_784",)
    assert kwargs == {
        "version": 1,
        "return_X_y": True,
        "as_frame": False,
        "parser": "liac-arff",
    }


@pytest.mark.parametrize(
    ("n_rows", "n_columns", "n_labels", "message"),
    [
        (16, 784, 17, "shape of the images is (16, 784); allowed is only (17, 784)"),
        (17, 783, 17, "shape of the images is (17, 783); allowed is only (17, 784)"),
        (17, 784, 16, "shape of the labels is (16,); allowed is only (17,)"),
    ],
)
def test_download_of_another_shape(small, monkeypatch, n_rows, n_columns, n_labels, message):
    X, y = openml_rows()
    offer(monkeypatch, X[:n_rows, :n_columns], y[:n_labels])
    with pytest.raises(ValueError, match=re.escape(message)):
        load_mnist()


@pytest.mark.parametrize("value", [-1, 256, 0.5, np.nan, np.inf])
def test_download_of_other_pixels(small, monkeypatch, value):
    X, y = openml_rows()
    X[3, 100] = value
    offer(monkeypatch, X, y)
    with pytest.raises(ValueError, match=f"OpenML: found the value {value}.*0 to 255"):
        load_mnist()


@pytest.mark.parametrize("value", ["-1", "10", "1.5"])
def test_download_of_other_labels(small, monkeypatch, value):
    X, y = openml_rows()
    y[3] = value
    offer(monkeypatch, X, y)
    with pytest.raises(ValueError, match=f"OpenML: found the value {value}.*0 to 9"):
        load_mnist()


@pytest.mark.skipif(
    not os.environ.get(VARIABLE), reason=f"{VARIABLE} names no folder with the real data"
)
def test_real_data():
    mnist = load_mnist()

    assert mnist.X_train.shape == (60_000, 784)
    assert mnist.X_test.shape == (10_000, 784)
    assert mnist.X_train.dtype == mnist.X_test.dtype == np.uint8
    assert (mnist.X_train.min(), mnist.X_train.max()) == (0, 255)
    assert mnist.image_shape == (28, 28)
    np.testing.assert_array_equal(
        np.bincount(mnist.y_train),
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    )
    np.testing.assert_array_equal(
        np.bincount(mnist.y_test), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    )
