"""The notebooks of the gallery run, cell by cell, with nothing beside them."""

import ast
import copy
import os
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from sphinx_gallery.gen_gallery import DEFAULT_GALLERY_CONF
from sphinx_gallery.notebook import jupyter_notebook
from sphinx_gallery.py_source_parser import remove_ignore_blocks, split_code_and_text_blocks
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("plot_*.py"))
# What an example reads from the folder of data; any of them will do.
DATA = {
    "plot_faces": ["faces/faces32.npz", "celeba"],
    "plot_mnist": ["mnist"],
    "plot_svhn": ["svhn", "mnist"],
}


def code_cells(example):
    """Return the code of each cell of the notebook that the gallery offers."""
    _, blocks = split_code_and_text_blocks(str(example))
    # As in `sphinx_gallery.gen_rst.generate_file_rst`: readers never see what is ignored.
    blocks = [(kind, remove_ignore_blocks(content), line) for kind, content, line in blocks]
    configuration = copy.deepcopy(DEFAULT_GALLERY_CONF)
    configuration |= {"notebook_images": True, "src_dir": str(ROOT / "docs")}  # as in docs/conf.py
    notebook = jupyter_notebook(blocks, configuration, str(example.parent))
    return ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]


def has_data(example):
    """Tell whether the folder of data has what an example reads."""
    root = os.environ.get("SKLEARN_BINFOGAN_DATA")
    wanted = DATA.get(example.stem)
    return wanted is None or bool(root and any(Path(root, name).exists() for name in wanted))


@pytest.fixture
def pictures(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    import pictures

    return pictures


@pytest.fixture
def notebook_folder(tmp_path, monkeypatch):
    """Go to an empty folder, where an example takes few steps and draws without a window."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKLEARN_BINFOGAN_QUICK", "1")
    plt.switch_backend("Agg")
    monkeypatch.setattr(plt, "show", lambda: None)  # Agg would warn that it shows nothing
    # So few rows gain nothing from threads; on a busy machine they double the time.
    with threadpool_limits(1):
        yield tmp_path
    plt.close("all")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::UserWarning")  # few steps find no clusters
def test_the_cells_of_a_notebook_run(example, notebook_folder, pictures):
    if not has_data(example):
        pytest.skip(f"no data for {example.name} in the folder SKLEARN_BINFOGAN_DATA")
    names = {"__name__": "__main__"}

    for number, cell in enumerate(code_cells(example)):
        exec(compile(cell, f"{example.name}, cell {number}", "exec"), names)

    assert names["gan"].n_iter_ > 0
    assert set(plt.get_fignums()) >= set(pictures.PICTURES.get(example.stem, {1: ""}))
    assert not list(notebook_folder.iterdir())  # a notebook shows its pictures


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_takes_no_options_and_no_neighbours(example):
    tree = ast.parse(example.read_text(encoding="utf-8"))
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None), *(alias.name for alias in node.names)]
    }

    assert not imported & {"argparse", "sys"}
    assert not imported & {path.stem for path in example.parent.glob("*.py")}
