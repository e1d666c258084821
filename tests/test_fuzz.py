"""Damaged and forged files: ValueError or a sound model; no hang, and memory within bounds."""

import copy
import gzip
import hashlib
import io
import os
import re
import struct
import sys
import time
import tracemalloc
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from scipy.io import savemat
from skorch.callbacks import Callback

from sklearn_binfogan import BInfoGANTransformer, load
from sklearn_binfogan import _container as container
from sklearn_binfogan._checkpoints import read as read_checkpoint
from sklearn_binfogan._upgrades import FORMAT_VERSION
from sklearn_binfogan.datasets import _celeba, _mnist, _svhn

GOLDEN = Path(__file__).parent / "golden" / f"v{FORMAT_VERSION}.safetensors"
GOLDENS = sorted(GOLDEN.parent.glob("v*.safetensors"))
N_QUICK = 150  # of each kind
N_LONG = int(os.environ.get("BINFOGAN_MUTATIONS", "100000"))
MAX_SECONDS = 10  # of one file, on a busy machine
MAX_MEMORY = 500 * 2**20


def mutated_bytes(original, rng):
    """Flip, cut, insert, repeat or overwrite some bytes."""
    data = bytearray(original)
    for _ in range(rng.integers(1, 4)):
        at, n = int(rng.integers(len(data) + 1)), int(rng.integers(1, 40))
        if rng.random() < 0.3:  # near the beginning, where headers are
            at = int(rng.integers(min(len(data), 64) + 1))
        match rng.integers(6):
            case 0:
                data[at : at + 1] = [b ^ 1 << int(rng.integers(8)) for b in data[at : at + 1]]
            case 1:
                del data[at:]
            case 2:
                del data[at : at + n]
            case 3:
                data[at:at] = rng.bytes(n)
            case 4:
                data[at:at] = data[at : at + n]
            case 5:
                data[at : at + n] = bytes([int(rng.choice([0, 127, 255]))]) * n
    return bytes(data) if data != original else mutated_bytes(original, rng)


# -- model files -----------------------------------------------------------------------------------

STRANGE = [None, True, -1, 0, 1, 2, 3, 2**31, 2**62, 2**64, 10**30, 0.5, -1e308, "", "auto", "\0"]
STRANGE += [[], {}, [[]], {"tuple": []}, {"array": "rng"}, {"dict": {}}, {"float": "nan"}]
STRANGE += [{"AffineMove": {}}, {"ConvArchitecture": {}}, {"function": "elu"}, {"Settings": {}}]
STRANGE += [{"tuple": [2**40]}, {"tuple": [1] * 2000}, {"float": "inf"}, "x" * 10**5]


def places(tree, here=()):
    """Places of all values in nested dicts and lists."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield (*here, key)
        if isinstance(value, dict | list):
            yield from places(value, (*here, key))


def forge(document, arrays, rng):
    """Change values of the document, or an array, to something else that parses."""
    for _ in range(rng.integers(1, 4)):
        if rng.random() < 0.6:
            found = list(places(document))
            *parents, last = found[rng.integers(len(found))]
            place = document
            for key in parents:
                place = place[key]
            # A copy: the next change may be within it.
            place[last] = copy.deepcopy(STRANGE[rng.integers(len(STRANGE))])
        else:
            name = list(arrays)[rng.integers(len(arrays))]
            arrays[name] = forged_array(arrays[name], rng)


def forged_array(array, rng):
    """Give one with another number, dtype or shape."""
    array = array.copy()
    match rng.integers(4):
        case 0:
            return array.reshape(-1)[: rng.integers(array.size + 1)]
        case 1:
            return array.astype([np.float64, np.float32, np.int64, np.uint8][rng.integers(4)])
        case 2:
            return array[None]
    numbers = [0, 1, 255, -1, 2**31, np.nan, np.inf, 1e30]
    with np.errstate(all="ignore"):
        strange = np.array(numbers[rng.integers(8)]).astype(array.dtype)
    if array.size:
        array.reshape(-1)[rng.integers(array.size)] = strange
    return array


def use(model):
    """A file that loads has to make a model that works."""
    assert model.sample(2, random_state=0)[0].shape == (2, model.n_features_in_)
    assert len(model.transform(np.zeros((2, model.n_features_in_)))) == 2


def damaged_model(path, rng):
    original = GOLDENS[rng.integers(len(GOLDENS))]  # of older formats, too
    path.write_bytes(mutated_bytes(original.read_bytes(), rng))
    load(path)


def forged_model(path, rng):
    _, document, arrays = container.read(str(GOLDEN), [FORMAT_VERSION])
    forge(document, arrays, rng)
    container.write(str(path), FORMAT_VERSION, document, arrays)
    use(load(path))


class CutOff(Callback):
    """Ends a fit in its second epoch, as a kill would."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) > 1:
            raise RuntimeError("cut off")


@cache
def checkpoint():
    """Bytes of the checkpoint that an unfinished fit has left."""
    with TemporaryDirectory() as folder:
        gan = BInfoGANTransformer(2, checkpoint_dir=folder, checkpoint_every=1, random_state=0)
        with pytest.raises(RuntimeError, match="cut off"):
            gan.set_params(callbacks=[CutOff()]).fit(np.eye(30, 3))
        (path,) = Path(folder).iterdir()
        read_checkpoint(path)  # as it is, it is sound
        return path.read_bytes()


def damaged_checkpoint(path, rng):
    path.write_bytes(mutated_bytes(checkpoint(), rng))
    read_checkpoint(path)


# -- data sets -------------------------------------------------------------------------------------

IMAGES = struct.pack(">4I", 2051, 30, 8, 8) + bytes(range(64)) * 30
MD5 = hashlib.md5(IMAGES, usedforsecurity=False).hexdigest()
SMALL = _mnist._IdxFile("images", (30, 8, 8), MD5)


def damaged_idx(path, rng):
    path.write_bytes(mutated_bytes(IMAGES, rng))
    _mnist._read_idx(path, SMALL)


def damaged_gzip(path, rng):
    path = path.with_suffix(".gz")
    data = gzip.compress(IMAGES if rng.random() < 0.9 else bytes(2**22), mtime=0)
    path.write_bytes(mutated_bytes(data, rng))
    _mnist._read_idx(path, SMALL)


PIXELS = np.random.default_rng(0).integers(256, size=(218, 178, 3), dtype=np.uint8)


@cache
def matlab(packed):
    file = io.BytesIO()
    digits = {"X": PIXELS[:32, :160].reshape(32, 32, 3, 5), "y": np.arange(1, 6, dtype=np.uint8)}
    savemat(file, digits, do_compression=packed, oned_as="column")
    return file.getvalue()


def damaged_matlab(path, rng):
    path.write_bytes(mutated_bytes(matlab(bool(rng.integers(2))), rng))
    X, y = _svhn._read(path)
    assert (X.shape, X.dtype, y.dtype) == ((len(y), 3072), np.uint8, np.int64)


@cache
def jpeg():
    image = pytest.importorskip("PIL.Image", reason="Pillow is an optional dependency")
    file = io.BytesIO()
    image.fromarray(PIXELS).save(file, "JPEG", quality=30)
    return file.getvalue()


def damaged_jpeg(path, rng):
    path.write_bytes(mutated_bytes(jpeg(), rng))
    image = _celeba._read_image(path, 108, 32)
    assert (image.shape, image.dtype) == ((32, 32, 3), np.uint8)


NAMES = [f"{number:06}.jpg" for number in range(6)]
LINES = ["6", " ".join(f"attribute{i}" for i in range(40))]
ATTRIBUTES = "\n".join([*LINES, *(name + " 1 -1" * 20 for name in NAMES)]).encode()
SPLIT = "\n".join(f"{name} {i % 3}" for i, name in enumerate(NAMES)).encode()


def damaged_list(path, rng):
    if rng.random() < 0.5:
        path.write_bytes(mutated_bytes(ATTRIBUTES, rng))
        names, attributes, values = _celeba._read_attributes(path)
        assert values.shape == (len(names), len(attributes))
    else:
        path.write_bytes(mutated_bytes(SPLIT, rng))
        assert len(_celeba._read_split(path, NAMES)) == len(NAMES)


OF_OURS = [damaged_model, forged_model, damaged_checkpoint]
OF_DATA = [damaged_idx, damaged_gzip, damaged_matlab, damaged_jpeg, damaged_list]
KINDS = OF_OURS + OF_DATA


def peak_memory():
    """Most bytes that this process has ever held."""
    resource = pytest.importorskip("resource", reason="not on Windows")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def tried(kind, path, numbers):
    """Try a file for each number; give how many were refused, and what went wrong."""
    refused, wrong = 0, []
    for number in numbers:
        start = time.perf_counter()
        try:
            kind(path, np.random.default_rng(number))
        except ValueError:
            refused += 1
        except Exception as error:
            wrong.append((number, repr(error)))
        if time.perf_counter() - start > MAX_SECONDS:
            wrong.append((number, "too slow"))
    return refused, wrong


@pytest.mark.parametrize(
    "n_files", [N_QUICK, pytest.param(N_LONG // len(KINDS), marks=pytest.mark.nightly)]
)
@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files(kind, n_files, tmp_path):
    load(GOLDEN)  # the first one imports parts of torch
    before = peak_memory()

    refused, wrong = tried(kind, tmp_path / "file", range(n_files))

    assert wrong == []
    assert peak_memory() - before < MAX_MEMORY
    # What is damaged within a JPEG, which has no checksum, is another picture.
    assert refused > (0.3 if kind is damaged_jpeg else 0.5) * n_files


def test_a_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "images.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(600):
            file.write(bytes(2**20))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"images\.gz"):
            _mnist._read_idx(path, SMALL)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()


def test_a_bomb_for_svhn_is_not_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "train_32x32.mat"
    digits = {"X": PIXELS[:32, :160].reshape(32, 32, 3, 5), "y": np.ones((5, 1), np.uint8)}
    savemat(path, {**digits, "z": np.zeros(5 * 10**6)}, do_compression=True)
    monkeypatch.setattr(_svhn, "_MOST_BYTES", 10**6)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=re.escape(str(path)) + ".*has over 1000000 bytes"):
            _svhn._read(path)
        assert tracemalloc.get_traced_memory()[1] < 4 * 10**6  # z has 40 million
    finally:
        tracemalloc.stop()
