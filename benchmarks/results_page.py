"""Write the results pages of docs/ from the JSON files in results/.

    python benchmarks/results_page.py           # writes the pages
    python benchmarks/results_page.py --check   # exits 1 if a page differs from the files

The tables of the home page and of the README are written, too.

The benchmark or check that writes a file also writes its section. No number is typed by hand, so
that a page always agrees with the runs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import categories
import colour
import cpu_choices
import digits
import disentanglement
import few_labels
import freed_categories
import gpu
import image_categories
import image_samples
import lambda_clusters
import mixed_tables
import mnist
import mnist_ablation
import mnist_prior
import mnist_score
import mnist_variants
import n_clusters
import neighbours
import overhead
import own_data
import paper_game
import paper_mnist
import peers
import repeated_rows
import samples
import scale
import tabular
import when_to_use
from _shared import RESULTS, ROOT, Section

sys.path.insert(0, str(ROOT / "checks"))

import faults
import imports
import package


class Page(NamedTuple):
    """A file of docs/: its first lines and its sections."""

    file: str
    head: str
    sections: list[Section]

    def text(self, folder: Path) -> str:
        """The whole page, from the JSON files of a folder."""
        return self.head + "".join(section.markdown(folder) for section in self.sections)


MNIST = Page(
    "results_mnist.md",
    """\
# Results on MNIST

What the model finds in MNIST's handwritten digits, without labels: no label is used to fit or to
choose a model. The mean is over seeds; the worst seed is always given.
""",
    [
        mnist.section,
        mnist_variants.section,
        mnist_prior.section,
        mnist_score.section,
        mnist_ablation.section,
        paper_mnist.full_section,
        paper_mnist.half_section,
        paper_game.section,
        neighbours.section,
    ],
)
COLOUR = Page(
    "results_colour.md",
    """\
# Colour images and disentanglement

No labels are used to fit. The faces are 15 000 real photographs of 32 x 32 pixels; the digits on
photographs stand in for SVHN. For both, codes are the paper's: four of ten categories and four
continuous. For shapes they are three continuous ones, and T, which turns and shifts shapes, tells
our model what the third should not depend on; the beta-VAE lacks this information.
""",
    [
        colour.faces_section,
        colour.photos_section,
        disentanglement.section,
        colour.steps_section,
        colour.sizes_section,
        colour.paper_section,
    ],
)
SPEED = Page(
    "results_speed.md",
    """\
# Speed and scale

How long a fit takes, and what that depends on. The page [](cpu.md) says which choices are best on a
CPU; [](results_peers.md) compares other clustering methods.
""",
    [overhead.section, scale.section, cpu_choices.section, gpu.section],
)
PEERS = Page(
    "results_peers.md",
    """\
# Comparison with other ways to cluster

MNIST, the same 60 000 training images for all, one thread each. Seconds are CPU time. Accuracy
is one-to-one; on the test images it is that of `predict`, if a method has it. "Our time":
both phases of a deep method together get at least the seconds of a whole fit of ours, divided in
the proportion of its default epochs. The numbers of epochs are estimated from short runs, so the
time may be longer.

On small tables and curved clusters the ranking is different: see
[when to use it](index.md#when-to-use-it) and [known limits](guide/limits.md).

![Accuracy against CPU seconds, a point per seed](images/peers.png)
""",
    [peers.section],
)
OTHER = Page(
    "results_other.md",
    """\
# Other results

No labels are used to fit or to choose a model, except in the sections on labels.
""",
    [
        digits.section,
        digits.lambda_section,
        lambda_clusters.section,
        n_clusters.section,
        tabular.section,
        mixed_tables.section,
        repeated_rows.section,
        own_data.section,
        categories.section,
        image_categories.section,
        freed_categories.section,
        samples.section,
        samples.peers_section,
        image_samples.section,
        image_samples.labelled_section,
        image_samples.budgets_section,
        few_labels.digits_section,
        few_labels.mnist_section,
        faults.section,
        imports.section,
        package.section,
    ],
)
PAGES = [MNIST, COLOUR, SPEED, PEERS, OTHER]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--check", action="store_true", help="compare instead of writing")
    options = options.parse_args()
    pages = [(ROOT / "docs" / page.file, page.text(RESULTS)) for page in PAGES]
    blocks = [(block.file, block.page(RESULTS)) for block in when_to_use.BLOCKS]
    for path, text in pages + blocks:
        if not options.check:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            raise SystemExit(f"{path} is not what the results say: run benchmarks/results_page.py.")


if __name__ == "__main__":
    main()
