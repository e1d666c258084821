"""tqdm's bar: in notebooks a widget, where ipywidgets is there to draw it."""

from importlib.util import find_spec

if find_spec("ipywidgets") is None:  # tqdm.auto would warn in every notebook
    from tqdm import tqdm
else:
    from tqdm.auto import tqdm

__all__ = ["tqdm"]
