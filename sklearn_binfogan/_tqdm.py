"""tqdm's bar; a widget in notebooks, if ipywidgets is installed."""

from importlib.util import find_spec

if find_spec("ipywidgets") is None:  # tqdm.auto would warn in every notebook
    from tqdm import tqdm
else:
    from tqdm.auto import tqdm

__all__ = ["tqdm"]
