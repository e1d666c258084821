"""The results page of what the library costs beside the arithmetic that it asks for."""

from __future__ import annotations

from _report import Row
from _tables import Page, Section, decimals, table

HEAD = """\
# Speed and scale

Written by `python benchmarks/results_page.py` from the files in `benchmarks/results/`: do not edit.
What runs fastest on a CPU is on the page [](cpu.md).
"""

FITS = {
    "mnist_conv": ("MNIST, default networks", "1.05"),
    "digits_conv": ("digits, default networks", "1.10"),
    "tiny_mlp": ("a table of 300 rows", "1.5"),
}


def overhead_section(content: Row) -> str:
    lines = (
        [
            name,
            asked,
            decimals(content[key]),
            ", ".join(map(decimals, content["details"][key]["ratios"])),
            f"{content['details'][key]['fit_seconds']:.1f}",
        ]
        for key, (name, asked) in FITS.items()
    )
    header = ["fit", "at most", "over the bare loop", "every round", "CPU seconds of a fit"]
    return table(header, lines)


def scale_section(content: Row) -> str:
    floor = content["floor"]
    lines = [
        [
            "`transform` of 60 000 images over the encoder alone",
            "1.05",
            decimals(content["transform"]["ratio"]),
        ],
        ["seconds of check_estimator", "90", f"{content['check_estimator']['seconds']:.0f}"],
        [
            "dearest over cheapest step, 1 000 to 1 000 000 rows of a memory map",
            "1.10",
            decimals(content["rows"]["ratio"]),
        ],
        [
            "two restarts with n_jobs=2 over two in a row",
            "0.6",
            decimals(content["restarts"]["ratio"]),
        ],
        *(
            [
                f"MNIST step over its arithmetic, {phase}",
                "1.8",
                decimals(floor[f"{phase}_over_floor"]),
            ]
            for phase in ("consistency", "game")
        ),
    ]
    return table(["what", "at most", "measured"], lines)


SPEED = Page(
    "results_speed.md",
    HEAD,
    [
        Section(
            "A whole fit over a bare loop", "overhead", "benchmarks/overhead.py", overhead_section
        ),
        Section("Scale", "scale", "benchmarks/scale.py", scale_section),
    ],
)
