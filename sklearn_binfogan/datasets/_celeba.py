"""Reader of CelebA in its original folder: aligned JPEGs, attributes and the official split."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_scalar

from .._tqdm import tqdm
from ._files import candidate_folders, find, pillow, require

_WIDTH, _HEIGHT = 178, 218  # of the aligned images
_SPLIT = {"train": 0, "valid": 1, "test": 2}
_N_ATTRIBUTES = 40
_SUBFOLDERS = ("", "Anno", "Eval", "Img")  # the last three are those of the publication

_DESCR = """\
CelebA: aligned photographs of faces of celebrities, with 40 binary attributes such as "Male" and
"Eyeglasses". 162 770 images for training, 19 867 for validation and 19 962 for testing. Here the
centre of each image is cut out and reduced.

Source: Z. Liu, P. Luo, X. Wang and X. Tang, "Deep Learning Face Attributes in the Wild", ICCV 2015,
https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html
Terms: for non-commercial research only.
"""


def load_celeba(
    data_dir: str | os.PathLike[str] | None = None,
    size: int = 32,
    *,
    crop: int = 148,
    memory_map: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Bunch:
    """Load CelebA's aligned faces [1]_ as small square images, with attributes and split.

    Images are read into one array or file. Nothing is downloaded. This needs Pillow: ``pip install
    sklearn-binfogan[images]``.

    Parameters
    ----------
    data_dir : str or Path, default=None
        Folder with ``img_align_celeba/000001.jpg`` and so on, ``list_attr_celeba.txt`` and
        ``list_eval_partition.txt``. They may also lie in the subfolders ``Img``, ``Anno`` and
        ``Eval``, as they were published. If None, the folder that the environment variable
        ``SKLEARN_BINFOGAN_DATA`` names, or its subfolder ``celeba``.
    size : int, default=32
        Height and width of the returned images, 8 to `crop` pixels.
    crop : int, default=148
        Side of the square that is first cut from the centre of an image, 8 to 178 pixels.
    memory_map : str or Path, default=None
        File to write the images to, in NumPy's format ``.npy``; `X` is then a read-only memory
        map of it. An existing file is replaced after all images are read. None: an array in
        memory, about 620 MB for all images at 32 x 32.
    progress : bool, default=True
        Whether to show a progress bar.

    Returns
    -------
    celeba : Bunch
        X : ndarray or memmap of uint8, shape (n, size * size * 3)
            Flattened channels-last images as rows: first those for training, then those for
            validation, then those for testing.
        X_train, X_valid, X_test : ndarray or memmap of uint8
            The three parts of X.
        attributes, attributes_train, attributes_valid, attributes_test : ndarray of bool, (n, 40)
            Which attributes an image has.
        attribute_names : list of str
            In the order of the columns of `attributes`.
        image_shape : tuple
            ``(size, size, 3)``
        DESCR : str
            Description, source and terms.

    Raises
    ------
    ImportError
        If Pillow is missing.
    FileNotFoundError
        If a list or an image that it names is missing.
    TypeError, ValueError
        If `size` or `crop` is out of its range; if a list is damaged, or the two lists name
        different images; if an image is damaged, is not a JPEG or does not have 178 x 218 pixels.

    References
    ----------
    .. [1] Z. Liu, P. Luo, X. Wang, X. Tang, "Deep Learning Face Attributes in the Wild", ICCV 2015,
       https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html

    Examples
    --------
    >>> from sklearn_binfogan.datasets import load_celeba
    >>> celeba = load_celeba("data/celeba", memory_map="celeba32.npy")  # doctest: +SKIP
    >>> celeba.X_train.shape  # doctest: +SKIP
    (162770, 3072)
    """
    check_scalar(crop, "crop", Integral, min_val=8, max_val=_WIDTH)
    check_scalar(size, "size", Integral, min_val=8, max_val=crop)
    pillow()
    folders = candidate_folders(data_dir, "celeba")
    folders = [folder / name for folder in folders for name in _SUBFOLDERS]
    names, attribute_names, attributes = _read_attributes(find(folders, ["list_attr_celeba.txt"]))
    parts = _read_split(find(folders, ["list_eval_partition.txt"]), names)
    images = find(folders, ["img_align_celeba"], is_folder=True)
    order = np.argsort(parts, kind="stable")
    paths = [images / names[i] for i in order]
    _require_all(images, paths)
    with _rows(memory_map, (len(paths), size * size * 3)) as X:
        for row, path in zip(X, tqdm(paths, unit="image", disable=not progress), strict=True):
            row[:] = _read_image(path, crop, size).ravel()
    X = X if memory_map is None else np.load(memory_map, mmap_mode="r")
    attributes, parts = attributes[order], parts[order]
    rows = {k: slice(*np.searchsorted(parts, [part, part + 1])) for k, part in _SPLIT.items()}
    return Bunch(
        X=X,
        attributes=attributes,
        attribute_names=attribute_names,
        image_shape=(size, size, 3),
        DESCR=_DESCR,
        **{f"X_{k}": X[part] for k, part in rows.items()},
        **{f"attributes_{k}": attributes[part] for k, part in rows.items()},
    )


def _read_attributes(path: Path) -> tuple[list[str], list[str], np.ndarray]:
    """Return file names, names of the attributes, and the attributes as bool (n, 40)."""
    lines = [line.split() for line in _text(path).splitlines()]
    first, attribute_names = [*lines[:2], [], []][:2]
    n_images = first[0] if len(first) == 1 else None
    require(path, "the number of images in line 1", n_images, str(len(lines[2:])))
    require(path, "the number of attributes in line 2", len(attribute_names), _N_ATTRIBUTES)
    for number, line in enumerate(lines[2:], 3):
        require(path, f"the number of columns of line {number}", len(line), 1 + _N_ATTRIBUTES)
    values = np.array([line[1:] for line in lines[2:]], dtype=str)
    foreign = values[(values != "1") & (values != "-1")]
    if len(foreign):
        raise ValueError(f"{path}: found the value {foreign[0]}; only 1 and -1 are allowed.")
    return [line[0] for line in lines[2:]], attribute_names, values == "1"


def _read_split(path: Path, names: list[str]) -> np.ndarray:
    """Return the part of each of the named images: 0 train, 1 valid, 2 test."""
    lines = [line.split() for line in _text(path).splitlines()]
    parts = {str(part): part for part in _SPLIT.values()}
    for number, line in enumerate(lines, 1):
        if len(line) != 2 or line[1] not in parts:
            raise ValueError(f"{path}: line {number} is {' '.join(line)}; expected NAME 0|1|2.")
    part_of = {name: parts[part] for name, part in lines}
    missing = [name for name in names if name not in part_of]
    if missing:
        raise ValueError(f"{path} lacks {missing[0]}, which the list of attributes names.")
    require(path, "the number of images", len(lines), len(names))
    return np.array([part_of[name] for name in names], dtype=np.int64)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file: {error}") from error


def _require_all(folder: Path, paths: list[Path]) -> None:
    """Raise FileNotFoundError if an image is missing, before spending minutes on the others."""
    present = set(os.listdir(folder))
    missing = [path.name for path in paths if path.name not in present]
    if missing:
        raise FileNotFoundError(
            f"{folder} lacks {len(missing)} of {len(paths)} images, for example {missing[0]}."
        )


@contextmanager
def _rows(memory_map: str | os.PathLike[str] | None, shape: tuple[int, int]) -> Iterator[Any]:
    """Yield an array to fill; a file gets its final name only when it is full."""
    if memory_map is None:
        yield np.empty(shape, np.uint8)
        return
    part = Path(f"{os.fspath(memory_map)}.part")
    try:
        rows = np.lib.format.open_memmap(part, "w+", np.uint8, shape)
        yield rows
        rows.flush()
        part.replace(memory_map)
    finally:
        part.unlink(missing_ok=True)


def _read_image(path: Path, crop: int, size: int) -> np.ndarray:
    """Return the reduced centre of an image, uint8 (size, size, 3)."""
    image_module = pillow()
    left, top = (_WIDTH - crop) // 2, (_HEIGHT - crop) // 2
    try:
        with image_module.open(path, formats=["JPEG"]) as image:
            require(path, "the size", image.size, (_WIDTH, _HEIGHT))
            square = image.convert("RGB").crop((left, top, left + crop, top + crop))
    # Pillow's errors for other files, for damaged ones, and for sizes that no image has
    except (OSError, SyntaxError, image_module.DecompressionBombError) as error:
        raise ValueError(f"{path} is not an intact JPEG: {error}") from error
    return np.asarray(square.resize((size, size), image_module.Resampling.LANCZOS))
