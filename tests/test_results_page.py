"""The results pages in docs/ are what the files in benchmarks/results/ say."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "benchmarks" / "results_page.py"
ENVIRONMENT = {"commit": "abc", "machine": "a machine", "cores": 2, "packages": {}}
PAPER = {
    "environment": ENVIRONMENT,
    "note": "Made with a fault.",
    "rows": [
        {
            "seed": 5,
            "steps": 2000,
            "seconds": 3.0,
            "test_accuracy": 0.8642,
            "test_accuracy_as_they_are": 0.8531,
            "confusion_as_they_are": [[1] * 10] * 10,
            "score": 0.5,
            "agreement": 0.9,
            "curve": [{"step": 2000, "train_accuracy_as_they_are": 0.8765}],
        }
    ],
}
PAPER_GAME = {
    "environment": ENVIRONMENT,
    "rows": [{"training": "the paper's", "seed": 5, "test_accuracy": 0.8642}],
}
PHOTOS = {"environment": ENVIRONMENT, "rows": [{"seed": 5, "test_accuracy": 0.8642}]}
PAPER_FACES = {
    "environment": ENVIRONMENT,
    "rows": [
        {
            "seed": 5,
            "steps": 20,
            "steps_in_the_paper": 500_000,
            "seconds": 3.0,
            "agreement": 0.8642,
        }
    ],
}
SCALE = {"environment": ENVIRONMENT, "rows": {"ratio": 1.025}}
OVERHEAD = {
    "environment": ENVIRONMENT,
    "mnist_conv": 1.025,
    "details": {"mnist_conv": {"ratios": [1.0, 1.05], "fit_seconds": 3.0}},
}
CHOICES = {
    "environment": ENVIRONMENT,
    "steps": 3,
    "rows": [
        {
            "phase": phase,
            "choice": "default",
            "cpu_ms": 30.0,
            "cpu_ratio": 1.025,
            "clock_ratio": 1.1,
        }
        for phase in ("consistency", "game")
    ],
}
PEERS = {
    "environment": ENVIRONMENT,
    "rows": [
        {
            "method": "k-means",
            "seed": 5,
            "accuracy": 0.8642,
            "test_accuracy": None,
            "seconds": 3.0,
            "peak_megabytes": 7.0,
            "epochs": None,
        }
    ],
}
TABULAR = {
    "environment": ENVIRONMENT,
    "rows": [{"table": "iris", "seed": 5, "cluster_accuracy": 0.8642, "score": 0.5}],
}
VARIANTS = {
    "environment": ENVIRONMENT,
    "rows": [{"images": "black on white", "seed": 5, "accuracy": 0.8642, "score": 0.5}],
}
OWN_DATA = {
    "environment": ENVIRONMENT,
    "rows": [
        {
            "data": "of mine",
            "seed": 5,
            "rows": 60,
            "columns": [8, 9],
            "classes": 3,
            "ours": 0.5,
            "kmeans": 0.25,
            "ours_accuracy": 0.8642,
            "kmeans_accuracy": 0.75,
        }
    ],
}
MIXED_TABLES = {
    "environment": ENVIRONMENT,
    "rows": [{"table": "50 binary columns", "seed": 5, "few_labels": 0.8642, "ours": 0.5}],
}
CATEGORIES = {
    "environment": ENVIRONMENT,
    "rows": [
        {"method": method, "name": name, "seed": 5, "agreement": 0.8642, "seconds": 3.0}
        for method in ("ours", "kmeans")
        for name in ("fcps/atom", "wdbc")
    ],
}
TABLE_PEERS = {
    "environment": ENVIRONMENT,
    "rows": [
        {
            "table": name,
            "seed": 5,
            "way": way,
            "trained_on": share,
            "told_from": 0.5,
            "quality": 0.9,
            "missing": 0,
            "seconds": 3.0,
        }
        for name, way, share in [
            ("wdbc", "ours", 0.8642),
            ("wdbc", "ctgan", 0.75),
            ("pima", "ours", 0.5),
        ]
    ],
}


def sizes(data, scores, **others):
    """Rows of n_clusters.json: a set's scores from one cluster on."""
    rest = {"silhouette": None, "minus_bic": 0.0, "hdbscan": 0} | others
    return [
        {"data": data, "seed": 5, "n_clusters": k, "score": score, **rest}
        for k, score in enumerate(scores, start=1)
    ]


def test_pages_are_up_to_date():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("page", "file", "content"),
    [
        ("MNIST", "mnist_variants", VARIANTS),
        ("MNIST", "paper_half", PAPER),
        ("MNIST", "paper_full", PAPER),
        ("MNIST", "paper_game", PAPER_GAME),
        ("OTHER", "tabular", TABULAR),
        ("OTHER", "mixed_tables", MIXED_TABLES),
        ("OTHER", "own_data", OWN_DATA),
        ("OTHER", "categories", CATEGORIES),
        ("COLOUR", "colour_photos", PHOTOS),
        ("COLOUR", "colour_paper", PAPER_FACES),
        ("PEERS", "peers", PEERS),
        ("OTHER", "table_peers", TABLE_PEERS),
    ],
)
def test_a_page_shows_what_a_file_holds(page, file, content, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import results_page

    page = getattr(results_page, page)
    assert page.text(tmp_path).count("Not measured yet") == page.text(tmp_path).count("\n## ")

    (tmp_path / f"{file}.json").write_text(json.dumps(content))

    text = page.text(tmp_path)
    assert "86.42 %" in text
    assert "seeds: 5\n" in text
    assert ("Made with a fault." in text) == ("note" in content)


@pytest.mark.parametrize(
    ("file", "content"), [("scale", SCALE), ("overhead", OVERHEAD), ("cpu_choices", CHOICES)]
)
def test_speed_of_what_was_measured_so_far(file, content, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import results_page

    (tmp_path / f"{file}.json").write_text(json.dumps(content))
    page = results_page.SPEED.text(tmp_path)
    assert "| 1.025 |" in page
    assert page.count("Not measured yet") == 3


def test_steps_by_the_size_of_images(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import results_page

    costs = {"consistency_cpu_seconds": 0.25, "game_cpu_seconds": 1.5, "parameters": 2_000_000}
    rows = [{"side": side, "seed": 5, **costs} for side in (32, 64)]
    (tmp_path / "colour_sizes.json").write_text(
        json.dumps({"environment": ENVIRONMENT, "rows": rows})
    )
    page = results_page.COLOUR.text(tmp_path)
    assert "| 64 | CPU seconds of a step of the game | 1.500 |" in page
    assert "| 32 | parameters of all three networks | 2000000 |" in page


def test_means_are_over_the_tables_that_all_generators_have(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import results_page

    rows = [dict(row) for row in TABLE_PEERS["rows"]]
    rows[1]["missing"] = 1
    (tmp_path / "table_peers.json").write_text(json.dumps({**TABLE_PEERS, "rows": rows}))
    page = results_page.OTHER.text(tmp_path)
    assert "| pima | 50.00 % |  |" in page
    assert "| **mean over 1 tables** | 86.42 % | 75.00 % |" in page
    assert "| **`sample` is better on** |  | 1 of 1 |" in page
    assert "Not a row of some class was drawn by: CTGAN on wdbc." in page


def test_a_class_of_which_too_few_rows_are_drawn_repeats_them(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import table_peers

    drawn = table_peers.frame(np.arange(8.0).reshape(4, 2), np.array([0, 1, 0, 2]))
    assert table_peers.of_class(drawn, 0, 3).tolist() == [[0, 1], [4, 5], [0, 1]]
    assert table_peers.of_class(drawn, 0, 1).tolist() == [[0, 1]]
    assert table_peers.of_class(drawn, 3, 5).shape == (0, 2)


def test_what_a_gpu_gave(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import results_page

    steps = {"eager": {"consistency": 9.69, "game": 22.16, "paper": 21.82}}
    fits = {"clusters, graph": {"seconds": 2.16, "accuracy": 0.8642}}
    content = {"environment": ENVIRONMENT, "gpu": "a GPU", "milliseconds_a_step": steps}
    (tmp_path / "gpu.json").write_text(json.dumps({**content, "mnist": fits}))
    page = results_page.SPEED.text(tmp_path)
    assert "| eager | 9.69 | 22.16 | 21.82 |" in page
    assert "| clusters, graph | 2.2 | 86.42 % |" in page


def test_where_measures_peak(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import results_page

    rows = [*sizes("2 blobs", [0.1, 0.3, 0.2], hdbscan=2), *sizes("wine", [0.1, 0.3], hdbscan=3)]
    (tmp_path / "n_clusters.json").write_text(
        json.dumps({"environment": ENVIRONMENT, "rows": rows})
    )
    page = results_page.OTHER.text(tmp_path)
    assert "| 2 blobs | yes | 2 | 2 | - | 1 | 2 |" in page
    assert "| wine | no | 3 | 2 | - | 1 | 3 |" in page
    assert "- tuned: score 1, silhouette 0, BIC 0, HDBSCAN 1 of 1 right" in page
