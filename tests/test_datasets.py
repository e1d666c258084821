"""Readers of data sets: what they return, and that no foreign or damaged file gets through."""

import gzip
import hashlib
import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_sample_images
from sklearn.utils import Bunch

from sklearn_binfogan.datasets import (
    _mnist,
    _photos,
    load_mnist,
    make_mnist_on_photos,
    make_shapes,
)
from sklearn_binfogan.datasets._shapes import _render

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


def test_a_folder_with_the_name_of_a_file_is_no_file(small, tmp_path):
    """As in copies in which each file lies in a folder of its own name."""
    write_all(tmp_path, separator=".")
    for name in NAMES.values():
        (tmp_path / name).mkdir()

    assert_is_small(load_mnist(tmp_path))


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
    message = f"MD5 checksum of the unpacked file is .*; expected {md5(idx(SMALL[key]))}"
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


# -- MNIST on photographs --------------------------------------------------------------------------

INK = np.zeros((20, 784), np.uint8)
INK.reshape(-1, 28, 28)[:, 10:18, 10:18] = 255
DIGITS = np.arange(20) % 10


@pytest.fixture
def squares(monkeypatch):
    """Stand-ins for MNIST: each digit is a square."""
    pytest.importorskip("PIL", reason="Pillow is an optional dependency")
    mnist = Bunch(
        X_train=INK, y_train=DIGITS, X_test=INK[:5], y_test=DIGITS[:5], image_shape=(28, 28)
    )
    monkeypatch.setattr(_photos, "load_mnist", lambda data_dir: mnist)


def test_digits_are_subtracted_from_patches(squares):
    photos = make_mnist_on_photos(random_state=0)
    assert photos.factor_names == ["digit", "photo", "top", "left", "contrast", "colour"]
    np.testing.assert_array_equal(np.sort(photos.y), np.sort(DIGITS))
    np.testing.assert_array_equal(photos.factors[:, 0], photos.y)
    tints = {0: (1, 1, 1), 1: (1, 1 / 3, 1 / 3), 4: (1, 1, 1 / 3)}
    images = load_sample_images().images
    checked = set()
    for row, factors in zip(photos.X.reshape(-1, 32, 32, 3), photos.factors, strict=True):
        _, photo, top, left = factors[:4].astype(int)
        patch = images[photo][top : top + 32, left : left + 32].astype(float)
        inside = np.zeros((32, 32), bool)
        inside[12:20, 12:20] = True
        np.testing.assert_array_equal(row[~inside], patch[~inside])
        if int(factors[5]) in tints:
            expected = np.abs(patch - 255 * factors[4] * np.array(tints[int(factors[5])]))
            np.testing.assert_allclose(row[inside], expected[inside], atol=0.51)
            checked.add(int(factors[5]))
    assert checked


def test_factors_cover_their_ranges():
    photos = [np.zeros((40, 50, 3), np.uint8), np.zeros((33, 32, 3), np.uint8)]
    rng = np.random.RandomState(0)
    factors = _photos._draw_factors(np.zeros(5000, int), photos, (0.5, 0.75), rng)
    first = factors[factors[:, 1] == 0]
    assert (set(first[:, 2]), set(first[:, 3])) == (set(range(9)), set(range(19)))
    second = factors[factors[:, 1] == 1]
    assert (set(second[:, 2]), set(second[:, 3])) == ({0, 1}, {0})
    assert 0.5 <= factors[:, 4].min() < 0.51 < 0.74 < factors[:, 4].max() <= 0.75
    assert set(factors[:, 5]) == set(range(7))


def test_photos_are_reproducible_and_of_different_digits(squares):
    first, again, other = (make_mnist_on_photos(10, random_state=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.X, again.X)
    assert (first.X != other.X).any()
    assert (first.X.shape, first.X.dtype, first.y.shape) == ((10, 3072), np.uint8, (10,))
    assert make_mnist_on_photos(subset="test", random_state=0).X.shape == (5, 3072)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_samples": 21}, "n_samples == 21, must be <= 20"),
        ({"subset": "extra"}, "'train' or 'test'; got 'extra'"),
        ({"contrast": (0.8, 0.2)}, r"lower one first.*got \(0.8, 0.2\)"),
        ({"contrast": 0.5}, "two numbers"),
        ({"contrast": (0, 2)}, r"in \[0, 1\]"),
    ],
)
def test_photos_options_out_of_range(squares, options, message):
    with pytest.raises(ValueError, match=message):
        make_mnist_on_photos(**options)


@pytest.mark.parametrize("make", [make_mnist_on_photos, make_shapes])
@pytest.mark.parametrize("n_samples", [0, -1, 2.5, "2", True])
def test_bad_numbers_of_images_are_refused_before_anything_is_read(make, n_samples, monkeypatch):
    monkeypatch.setenv("SKLEARN_BINFOGAN_DATA", "/nowhere")
    with pytest.raises(ValueError, match=rf"n_samples must be an int >= 1; got {n_samples!r}\."):
        make(n_samples)


# -- rendered shapes, whose images show what their factors say -------------------------------------

SQUARE, ELLIPSE, HEART = range(3)
GRID = np.arange(32) + 0.5
STEP = 2 * np.pi / 40


def images(*factors):
    return _render(np.array(factors, dtype=float)).reshape(-1, 32, 32) / 255


def centre(image):
    """Return column and row of the centre of mass."""
    return np.array([image.sum(axis=0) @ GRID, image.sum(axis=1) @ GRID]) / image.sum()


def angle(image):
    """Return the angle of the longer axis, counter-clockwise, in [0, pi)."""
    column, row = centre(image)
    dx, dy = GRID[None] - column, row - GRID[:, None]
    moments = [(image * product).sum() for product in (dx * dx, dy * dy, dx * dy)]
    return np.arctan2(2 * moments[2], moments[0] - moments[1]) / 2 % np.pi


@pytest.fixture(scope="module")
def shapes():
    return make_shapes(2000, random_state=0)


def test_what_comes_back(shapes):
    assert (shapes.X.dtype, shapes.X.shape) == (np.uint8, (2000, 1024))
    assert shapes.X.flags.c_contiguous
    assert (shapes.factors.dtype, shapes.factors.shape) == (np.float64, (2000, 5))
    assert shapes.factor_names == ["shape", "scale", "rotation", "x", "y"]
    assert shapes.image_shape == (32, 32)
    assert "dSprites" in shapes.DESCR
    assert (shapes.X.min(), shapes.X.max()) == (0, 255)


def test_factors_have_the_documented_values(shapes):
    values = [np.unique(column) for column in shapes.factors.T]

    assert [len(each) for each in values] == [3, 6, 40, 32, 32]
    np.testing.assert_array_equal(values[0], [SQUARE, ELLIPSE, HEART])
    ends = [(each[0], each[-1]) for each in values[1:]]
    np.testing.assert_allclose(ends, [(0.5, 1), (0, 39 * STEP), (0, 1), (0, 1)])


def test_factors_are_uniform_and_independent(shapes):
    for column in shapes.factors.T:
        counts = np.unique(column, return_counts=True)[1]
        chi_square = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
        assert chi_square < 2 * len(counts)
    np.testing.assert_allclose(np.corrcoef(shapes.factors.T), np.eye(5), atol=0.08)


def test_random_state():
    first, same, other = (make_shapes(20, random_state=seed) for seed in (0, 0, 1))

    np.testing.assert_array_equal(first.X, same.X)
    np.testing.assert_array_equal(first.factors, same.factors)
    assert (first.factors != other.factors).any()
    np.testing.assert_array_equal(
        first.factors, make_shapes(20, random_state=np.random.RandomState(0)).factors
    )


def test_an_image_depends_on_its_own_factors_only(shapes):
    some = [5, 1999, 70]  # rendered in batches: another batch must not change them

    np.testing.assert_array_equal(_render(shapes.factors[some]), shapes.X[some])


def test_position():
    places = [(x, y) for x in (0, 0.25, 1) for y in (0, 0.25, 1)]

    for (x, y), image in zip(places, images(*[(SQUARE, 1, 0, *p) for p in places]), strict=True):
        np.testing.assert_allclose(centre(image), [7.5 + 17 * x, 7.5 + 17 * y], atol=0.1)


@pytest.mark.parametrize("shape", [SQUARE, ELLIPSE, HEART])
def test_no_shape_is_cut_off_by_the_border(shape):
    angles = np.arange(40) * STEP
    inner = 8 / 17  # eight pixels from the outermost place
    for outermost, shift in [(0, -8), (1, 8)]:
        inside = inner if shift < 0 else 1 - inner
        middle = images(*[(shape, 1, each, inside, inside) for each in angles])
        moved = np.roll(middle, (shift, shift), axis=(1, 2))  # what is cut off comes in opposite
        outer = images(*[(shape, 1, each, outermost, outermost) for each in angles])
        np.testing.assert_allclose(outer, moved, atol=3 / 9)  # subpixels on the very edge


@pytest.mark.parametrize("shape", [SQUARE, ELLIPSE, HEART])
def test_twice_the_scale_is_four_times_the_area(shape):
    small, large = images((shape, 0.5, 0.3, 0.5, 0.5), (shape, 1, 0.3, 0.5, 0.5))
    assert large.sum() / small.sum() == pytest.approx(4, rel=0.05)


def test_sizes_of_the_shapes():
    square, ellipse = images((SQUARE, 1, 0, 0.5, 0.5), (ELLIPSE, 1, 0, 0.5, 0.5))

    assert square.sum() == pytest.approx(2 * 7**2, rel=0.03)
    assert ellipse.sum() == pytest.approx(np.pi * 7 * 3.5, rel=0.03)


def test_rotation_is_counter_clockwise():
    steps = np.arange(1, 40, 4)
    turned = images(*[(ELLIPSE, 1, k * STEP, 0.5, 0.5) for k in steps])

    np.testing.assert_allclose([angle(each) for each in turned], steps * STEP % np.pi, atol=0.03)
    upright, quarter = images((HEART, 1, 0, 0.5, 0.5), (HEART, 1, np.pi / 2, 0.5, 0.5))
    np.testing.assert_allclose(quarter, np.rot90(upright), atol=0.12)  # counter-clockwise, too
    assert np.abs(quarter - upright).max() > 0.9


def test_a_heart_stands_on_its_tip():
    image = images((HEART, 1, 0, 0.5, 0.5))[0]
    widths = image.sum(axis=1)[image.any(axis=1)]

    assert widths[-1] < 3 < widths[0] + widths[1]
    np.testing.assert_allclose(image, image[:, ::-1])


@pytest.mark.parametrize("shape", [SQUARE, ELLIPSE, HEART])
def test_edges_are_grey(shape):
    image = images((shape, 1, 3 * STEP, 0.3, 0.6))[0]

    assert ((image > 0) & (image < 1)).sum() > 10
