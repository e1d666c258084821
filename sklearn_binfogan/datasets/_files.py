"""What the readers share: finding files, errors that quote a file's contents, and Pillow."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

VARIABLE = "SKLEARN_BINFOGAN_DATA"


def candidate_folders(data_dir: str | os.PathLike[str] | None, name: str) -> list[Path]:
    """Return the folders that may hold a data set; none if the user named none.

    Parameters
    ----------
    data_dir : str, Path or None
        The only folder; None: the folder that the environment variable names.
    name : str
        Subfolder of the variable's folder that may hold the data instead.
    """
    if data_dir is not None:
        return [Path(data_dir)]
    root = os.environ.get(VARIABLE)
    return [Path(root), Path(root, name)] if root else []


def find(folders: Sequence[Path], names: Sequence[str], is_folder: bool = False) -> Path:
    """Return the first file, or folder, that has one of the names.

    Raises
    ------
    FileNotFoundError
        If no folder has it; the message names the folders.
    """
    for path in (folder / name for folder in folders for name in names):
        if path.is_dir() if is_folder else path.is_file():
            return path
    # Whoever names a folder does not expect a download.
    raise FileNotFoundError(
        f"Looked for {', '.join(names)} in {' and '.join(map(str, folders)) or 'no folder'}; found "
        "none. Name the folder with data_dir or with the environment variable "
        f"{VARIABLE}."
    )


def require(source: Path | str, what: str, found: Any, allowed: Any) -> None:
    """Raise a ValueError that quotes both values unless the found one is the allowed one."""
    if found != allowed:
        raise ValueError(f"{source}: {what} is {found}; expected {allowed}.")


def pillow() -> Any:
    """Import `PIL.Image`; Pillow is an optional dependency.

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
