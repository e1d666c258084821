"""The results page in docs/ is what the files in benchmarks/results/ say."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "benchmarks" / "results_page.py"


def test_page_is_up_to_date():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_page_shows_what_a_file_holds(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    from results_page import page

    assert page(tmp_path).count("Not measured yet") == page(tmp_path).count("\n## ")

    content = {
        "environment": {"commit": "abc", "machine": "a machine", "cores": 2, "packages": {}},
        "seed": 5,
        "steps": 20,
        "curve": [
            {"step": 20, "seconds": 3.0, "train_accuracy": 0.8765, "score": 0.5, "agreement": 0.9}
        ],
        "test_accuracy": 0.8642,
    }
    (tmp_path / "paper_half.json").write_text(json.dumps(content))

    assert "86.42 %" in page(tmp_path)
