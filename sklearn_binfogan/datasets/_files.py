"""What the data sets share: where files lie, errors that quote what is in them, and Pillow."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

VARIABLE = "SKLEARN_BINFOGAN_DATA"


def candidate_folders(data_dir: str | os.PathLike[str] | None, *names: str) -> list[Path]:
    """Return the folders that may hold a data set; none if the user gave none.

    Parameters
    ----------
    data_dir : str, Path or None
        The one folder; None: the folder that the environment variable names.
    *names : str
        Subfolders to look into besides.
    """
    if data_dir is not None:
        return [Path(data_dir)]
    root = os.environ.get(VARIABLE)
    return [Path(root), *(Path(root, name) for name in names)] if root else []


def find(folders: Sequence[Path], names: Sequence[str]) -> Path:
    """Return the first file of one of the names.

    Raises
    ------
    FileNotFoundError
        If no folder has any of them; the message says where was looked.
    """
    for path in (folder / name for folder in folders for name in names):
        if path.exists():
            return path
    # A download in its stead would surprise whoever named a folder.
    raise FileNotFoundError(
        f"Looked for {', '.join(names)} in {' and '.join(map(str, folders)) or 'no folder'}; found "
        "none. The folder comes from data_dir or, without it, from the environment variable "
        f"{VARIABLE}."
    )


def require(source: Path | str, what: str, found: Any, allowed: Any) -> None:
    """Raise a ValueError that quotes both unless what was found is what is allowed."""
    if found != allowed:
        raise ValueError(f"{source}: {what} is {found}; allowed is only {allowed}.")


def require_whole(source: Path | str, values: np.ndarray, largest: int, smallest: int = 0) -> None:
    """Raise a ValueError that quotes the first value that isn't a whole number in that range."""
    if values.dtype.kind not in "buif":  # of text, records, objects and complex numbers
        raise ValueError(
            f"{source}: found values of type {values.dtype}; allowed are only numbers."
        )
    allowed = (values >= smallest) & (values <= largest) & (values == np.floor(values))
    if not allowed.all():
        raise ValueError(
            f"{source}: found the value {values[~allowed][0]}; allowed are only the whole "
            f"numbers {smallest} to {largest}."
        )


def pillow() -> Any:
    """Import Pillow's module of images, an optional dependency.

    Raises
    ------
    ImportError
        If Pillow is missing; the message says what to install.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "Reading images needs Pillow: pip install 'sklearn-binfogan[images]'."
        ) from error
    return Image
