"""Draw the pictures of docs/images that an example makes.

python docs/pictures.py plot_mnist plot_svhn    # fits the models: minutes on a CPU core
"""

import argparse
import io
import os
import runpy
from pathlib import Path

import matplotlib.pyplot as plt
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
# Of each example the figures that are kept, by their number.
PICTURES = {
    "plot_few_labels": {1: "few_labels_samples", 2: "few_labels_accuracy"},
    "plot_mnist": {
        1: "mnist_categories",
        2: "mnist_continuous",
        3: "mnist_reconstructions",
        4: "mnist_samples",
        5: "mnist_traversals",
    },
    "plot_svhn": {
        1: "svhn_categories",
        2: "svhn_continuous",
        3: "svhn_samples",
    },
}
WIDTH = 1440  # pixels: twice the width of a page's text


def save(figure, path):
    """Write a figure in 128 colours, which keeps the file small."""
    buffer = io.BytesIO()
    figure.savefig(
        buffer, dpi=WIDTH / figure.get_figwidth(), bbox_inches="tight"
    )
    picture = (
        Image.open(buffer)
        .convert("RGB")
        .quantize(128, Image.Quantize.MAXCOVERAGE)
    )
    picture.save(path, optimize=True)
    print(f"wrote {path}: {path.stat().st_size / 1000:.0f} kB")


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("examples", nargs="+", choices=PICTURES)
    options.add_argument(
        "--output", type=Path, default=ROOT / "docs" / "images"
    )
    options = options.parse_args()
    if os.environ.get("SKLEARN_BINFOGAN_QUICK") == "1":
        print("Few steps only: these pictures are not for the docs.")
    plt.switch_backend("Agg")
    for name in options.examples:
        plt.close("all")
        runpy.run_path(str(ROOT / "examples" / f"{name}.py"))
        for number, stem in PICTURES[name].items():
            save(plt.figure(number), options.output / f"{stem}.png")


if __name__ == "__main__":
    main()
