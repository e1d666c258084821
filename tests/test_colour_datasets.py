"""SVHN and CelebA: small files in their formats, and damaged ones."""

import io
import itertools
import re
import struct
import subprocess
import sys

import numpy as np
import pytest
from scipy.io import savemat

from sklearn_binfogan.datasets import load_celeba, load_svhn, make_mnist_on_photos

Image = pytest.importorskip("PIL.Image", reason="Pillow is an optional dependency")
VARIABLE = "SKLEARN_BINFOGAN_DATA"
RNG = np.random.default_rng(0)


# -- SVHN ------------------------------------------------------------------------------------------

SVHN = {
    "train": (RNG.integers(256, size=(32, 32, 3, 12), dtype=np.uint8), np.r_[1:11, 3, 10]),
    "test": (RNG.integers(256, size=(32, 32, 3, 5), dtype=np.uint8), np.r_[10, 9, 8, 1, 2]),
}


def write_svhn(folder):
    """Write what MATLAB wrote: the last axis counts images, labels are a column of bytes."""
    for part, (X, y) in SVHN.items():
        content = {"X": X, "y": y.astype(np.uint8)[:, None]}
        savemat(folder / f"{part}_32x32.mat", content, do_compression=True)
    return folder


def test_svhn(tmp_path):
    svhn = load_svhn(write_svhn(tmp_path))
    for part, (X, y) in SVHN.items():
        rows, digits = svhn[f"X_{part}"], svhn[f"y_{part}"]
        assert (rows.dtype, rows.flags.c_contiguous) == (np.uint8, True)
        np.testing.assert_array_equal(rows.reshape(-1, 32, 32, 3)[4], X[:, :, :, 4])
        np.testing.assert_array_equal(digits, np.where(y == 10, 0, y))
        assert digits.dtype == np.int64
    assert svhn.image_shape == (32, 32, 3)
    assert "ufldl.stanford.edu" in svhn.DESCR


def test_svhn_from_the_environment(tmp_path, monkeypatch):
    folder = tmp_path / "svhn"
    folder.mkdir()
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(FileNotFoundError, match=re.escape(str(folder))):
        load_svhn()
    write_svhn(folder)
    assert len(load_svhn().X_train) == 12


def test_svhn_without_any_folder(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(FileNotFoundError, match=f"no folder.*{VARIABLE}"):
        load_svhn()


def test_svhn_lacks_a_file(tmp_path):
    (write_svhn(tmp_path) / "test_32x32.mat").unlink()
    with pytest.raises(FileNotFoundError, match=r"test_32x32\.mat in "):
        load_svhn(tmp_path)


X_TEST, Y_TEST = SVHN["test"][0], SVHN["test"][1][:, None].astype(np.uint8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"X": X_TEST}, "list of variables is ['X']; expected ['X', 'y']"),
        ({"images": X_TEST, "y": Y_TEST}, "list of variables is ['images', 'y']"),
        ({"X": X_TEST.transpose(3, 0, 1, 2), "y": Y_TEST}, "shape of X is (5, 32, 32, 3)"),
        ({"X": X_TEST, "y": Y_TEST[1:]}, "shape of X is (32, 32, 3, 5); expected (32, 32"),
        ({"X": X_TEST, "y": Y_TEST.T}, "shape of y is (1, 5); expected (5, 1)"),
        ({"X": X_TEST, "y": Y_TEST - 1}, "found the value 0; only whole numbers from 1"),
        ({"X": X_TEST, "y": Y_TEST + 1}, "found the value 11"),
    ],
)
def test_foreign_svhn(tmp_path, content, message):
    path = write_svhn(tmp_path) / "test_32x32.mat"
    savemat(path, content)
    with pytest.raises(ValueError, match=re.escape(f"{path}: ") + ".*" + re.escape(message)):
        load_svhn(tmp_path)


@pytest.mark.parametrize("n_bytes", [0, 60, 130, 1000, 15_000])
def test_truncated_svhn(tmp_path, n_bytes):
    path = write_svhn(tmp_path) / "test_32x32.mat"
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(ValueError, match=re.escape(f"{path}")):
        load_svhn(tmp_path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("content", "types"),
    [
        ({"X": X_TEST.astype(float), "y": Y_TEST}, "(6, 5, 1, 9)"),
        ({"X": X_TEST + 1j, "y": Y_TEST}, "(6, 5, 1, 9, 9)"),
        ({"X": X_TEST, "y": np.array([*"12345"])[:, None]}, "(6, 5, 1, 16)"),
        ({"X": X_TEST, "y": Y_TEST.astype(object)}, "(6, 5, 1, 14, 14)"),
        ({"X": X_TEST, "y": Y_TEST + 1j}, "(6, 5, 1, 9, 9)"),
    ],
)
def test_svhn_of_other_types(tmp_path, content, types, packed):
    path = write_svhn(tmp_path) / "test_32x32.mat"
    savemat(path, content, do_compression=packed)
    message = (
        f"{path} is not an intact MATLAB 5 file of bytes: a variable has parts of types {types}"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        load_svhn(tmp_path)


def unpacked_svhn():
    """Bytes of a file of one image, unpacked, so that the tags can be got at."""
    file = io.BytesIO()
    savemat(file, {"X": np.zeros((32, 32, 3, 1), np.uint8), "y": np.ones((1, 1), np.uint8)})
    return file.getvalue()


def with_wrong_type():
    """The data of X claim to be of type 15, which is for what is packed."""
    content = bytearray(unpacked_svhn())
    content[184] = 15
    return bytes(content)


def with_nested_cells(depth=200_000):
    """The label lies in a cell in a cell in a cell, and so on."""
    content = unpacked_svhn()
    label, n_bytes = content[-56:], 48  # of a cell: tag, flags, shape and a name
    sizes = range(len(label) + (depth - 1) * n_bytes, len(label) - 1, -n_bytes)
    parts = [struct.pack("<12I", 14, size + 40, 6, 8, 1, 0, 5, 8, 1, 1, 1, 0) for size in sizes]
    parts[0] = parts[0][:40] + label[40:48]  # its name is y
    return b"".join([content[:-56], *parts, label])


FATAL = pytest.mark.parametrize("content", [with_wrong_type, with_nested_cells])


@FATAL
def test_svhn_files_that_crash_scipy(tmp_path, content):
    path = write_svhn(tmp_path) / "train_32x32.mat"
    path.write_bytes(content())
    with pytest.raises(ValueError, match=re.escape(f"{path} is not an intact MATLAB 5 file")):
        load_svhn(tmp_path)


@FATAL
def test_why_scipy_does_not_read_svhn(tmp_path, content):
    """Once SciPy survives these files it may read the set."""
    path = tmp_path / "file.mat"
    path.write_bytes(content())
    program = f"""
import scipy.io
try:
    scipy.io.loadmat({str(path)!r})
except Exception:
    pass
print("survived")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "survived" not in done.stdout
    assert done.returncode != 0
    assert "Error" not in done.stderr  # it was the file that killed it


def test_one_wrong_byte_in_an_svhn_file(tmp_path):
    path, content, refused = write_svhn(tmp_path) / "train_32x32.mat", unpacked_svhn(), []
    tags = [*range(124, 210), *range(len(content) - 64, len(content))]
    for place, byte in itertools.product(tags, [0, 5, 15, 64, 128, 255]):
        path.write_bytes(content[:place] + bytes([byte]) + content[place + 1 :])
        try:
            svhn = load_svhn(tmp_path)
        except ValueError as error:
            refused.append(str(error))
        else:
            assert svhn.X_train.shape == (len(svhn.y_train), 3072)
    assert len(refused) > 400
    assert all(str(path) in message for message in refused)


def test_svhn_file_of_another_kind(tmp_path):
    path = write_svhn(tmp_path) / "train_32x32.mat"
    path.write_bytes(b"<html>not found</html>" * 100)
    with pytest.raises(ValueError, match=re.escape(f"{path} is not an intact MATLAB 5 file")):
        load_svhn(tmp_path)


# -- CelebA ----------------------------------------------------------------------------------------

ATTRIBUTES = [f"Attribute_{i}" for i in range(40)]
VALUES = RNG.choice([-1, 1], size=(8, 40))
PARTS = [0, 0, 2, 0, 1, 0, 2, 0]  # not in order, as a subset of one's own may be
SHADES = np.arange(8) * 30 + 10


def name(i):
    return f"{i + 1:06}.jpg"


def face(shade):
    """An image whose centre of 148 x 148 is one grey, framed in white."""
    pixels = np.full((218, 178, 3), 255, np.uint8)
    pixels[35:183, 15:163] = shade
    return Image.fromarray(pixels)


def write_celeba(folder, anno="", part="", images=""):
    for each in (anno, part, f"{images}/img_align_celeba".lstrip("/")):
        (folder / each).mkdir(parents=True, exist_ok=True)
    rows = [f"{name(i)} " + " ".join(f"{v:2}" for v in VALUES[i]) for i in range(8)]
    text = "\n".join(["8", " ".join(ATTRIBUTES) + " ", *rows]) + "\n"
    (folder / anno / "list_attr_celeba.txt").write_text(text)
    lines = [f"{name(i)} {PARTS[i]}\n" for i in range(8)]
    (folder / part / "list_eval_partition.txt").write_text("".join(lines))
    for i, shade in enumerate(SHADES):
        face(int(shade)).save(folder / images / "img_align_celeba" / name(i), quality=95)
    return folder


@pytest.fixture
def celeba(tmp_path):
    return write_celeba(tmp_path / "celeba")


def read(folder, **options):
    return load_celeba(folder, progress=False, **options)


ORDER = [0, 1, 3, 5, 7, 4, 2, 6]  # train, valid, test


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("memory_map", [False, True])
def test_celeba(tmp_path, published, memory_map):
    folder = write_celeba(tmp_path, *(("Anno", "Eval", "Img") if published else ()))
    path = tmp_path / "celeba.npy" if memory_map else None
    found = read(folder, memory_map=path)

    assert isinstance(found.X, np.memmap) == memory_map
    assert (found.X.dtype, found.X.shape) == (np.uint8, (8, 32 * 32 * 3))
    images = found.X.reshape(-1, 32, 32, 3).astype(int)
    # Nothing of the white frame is left; a JPEG is not exact.
    assert np.abs(images - SHADES[ORDER][:, None, None, None])[:, 2:-2, 2:-2].max() <= 3
    np.testing.assert_array_equal(found.attributes, VALUES[ORDER] == 1)
    assert found.attribute_names == ATTRIBUTES
    assert found.image_shape == (32, 32, 3)
    assert [len(found[f"X_{part}"]) for part in ("train", "valid", "test")] == [5, 1, 2]
    np.testing.assert_array_equal(found.X_test, found.X[6:])
    np.testing.assert_array_equal(found.attributes_valid, found.attributes[5:6])
    assert not list(tmp_path.glob("*.part"))


def test_celeba_keeps_channels_and_place(celeba):
    pixels = np.zeros((218, 178, 3), np.uint8)
    pixels[:109, :, 0], pixels[:, :89, 2] = 200, 200
    Image.fromarray(pixels).save(celeba / "img_align_celeba" / name(0), quality=95)
    image = read(celeba, size=16).X[0].reshape(16, 16, 3)
    assert image[:7, :, 0].min() > 150 > 50 > image[9:, :, 0].max()
    assert image[:, :7, 2].min() > 150 > 50 > image[:, 9:, 2].max()


def test_celeba_crop(celeba):
    assert read(celeba, size=64, crop=178).X[0].reshape(64, 64, 3)[:4].min() > 200  # the frame


def test_celeba_shows_progress(celeba, capsys):
    load_celeba(celeba)
    assert "8/8" in capsys.readouterr().err
    read(celeba)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "message"), [({"size": 7}, "size == 7"), ({"crop": 179}, "crop == 179")]
)
def test_celeba_options_out_of_range(celeba, options, message):
    with pytest.raises(ValueError, match=message):
        read(celeba, **options)


@pytest.mark.parametrize("missing", ["list_attr_celeba.txt", "list_eval_partition.txt"])
def test_celeba_lacks_a_list(celeba, missing):
    (celeba / missing).unlink()
    with pytest.raises(FileNotFoundError, match=missing):
        read(celeba)


def test_celeba_lacks_an_image(celeba):
    (celeba / "img_align_celeba" / name(3)).unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks 1 of 8 images, for example 000004\.jpg"):
        read(celeba)


def damaged(content):
    return content[: len(content) // 2]


def as_png(content):
    import io

    buffer = io.BytesIO()
    Image.open(io.BytesIO(content)).save(buffer, "PNG")
    return buffer.getvalue()


def enormous(content):
    """Write a size of 65 000 x 65 000 into the header of a JPEG."""
    size = content.index(b"\xff\xc0") + 5
    return content[:size] + b"\xfd\xe8" * 2 + content[size + 4 :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (enormous, "is not an intact JPEG: Image size"),
        (damaged, "is not an intact JPEG: image file is truncated"),
        (as_png, "is not an intact JPEG: cannot identify image file"),
        (lambda content: b"", "is not an intact JPEG"),
    ],
)
@pytest.mark.parametrize("memory_map", [False, True])
def test_damaged_image(celeba, tmp_path, change, message, memory_map):
    path = celeba / "img_align_celeba" / name(7)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=re.escape(str(path)) + f" {message}"):
        read(celeba, memory_map=tmp_path / "faces.npy" if memory_map else None)
    assert not list(tmp_path.glob("faces.npy*"))


def test_image_of_another_size(celeba):
    path = celeba / "img_align_celeba" / name(7)
    face(0).resize((100, 100)).save(path)
    with pytest.raises(ValueError, match=r"the size is \(100, 100\); expected \(178, 218\)"):
        read(celeba)


@pytest.mark.parametrize(
    ("which", "old", "new", "message"),
    [
        ("list_attr_celeba.txt", "8\n", "9\n", "number of images in line 1 is 9"),
        ("list_attr_celeba.txt", "8\n", "", "number of images in line 1 is None"),
        ("list_attr_celeba.txt", "Attribute_7 ", "", "number of attributes in line 2 is 39"),
        ("list_attr_celeba.txt", "000003.jpg ", "", "number of columns of line 5 is 40"),
        ("list_attr_celeba.txt", " -1\n", " 0\n", "found the value 0; only 1 and -1 are allowed"),
        ("list_eval_partition.txt", "000002.jpg 0", "000002.jpg 3", "line 2 is 000002.jpg 3"),
        ("list_eval_partition.txt", "000002.jpg 0\n", "", r"lacks 000002\.jpg"),
        ("list_eval_partition.txt", "000008.jpg 0", "000008.jpg 0\n000009.jpg 0", "images is 9"),
    ],
)
def test_damaged_list(celeba, which, old, new, message):
    path = celeba / which
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        read(celeba)


@pytest.mark.parametrize("text", ["", "-1", "0\n", "0\n1 2\n"])
def test_list_without_images(celeba, text):
    path = celeba / "list_attr_celeba.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        read(celeba)


def test_list_that_is_no_text(celeba):
    (celeba / "list_attr_celeba.txt").write_bytes(bytes(range(256)))
    with pytest.raises(ValueError, match="is not a text file"):
        read(celeba)


@pytest.mark.parametrize("load", [load_celeba, make_mnist_on_photos])
def test_without_pillow(tmp_path, monkeypatch, load):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"pip install 'sklearn-binfogan\[images\]'"):
        load(data_dir=tmp_path)
