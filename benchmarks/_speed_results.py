"""The results page of what the library costs beside the arithmetic that it asks for."""

from __future__ import annotations

from _report import Row
from _tables import Page, Section, decimals, percent, table

HEAD = """\
# Speed and scale

Written by `python benchmarks/results_page.py` from the files in `benchmarks/results/`: do not edit.
What follows from the choices on a CPU is on the page [](cpu.md); other ways to cluster are compared
on [](results_peers.md).
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
        if key in content
    )
    header = ["fit", "at most", "over the bare loop", "every round", "CPU seconds of a fit"]
    return table(header, lines)


LINES = {
    ("transform", "ratio"): ("`transform` of 60 000 images over the encoder alone", "1.05"),
    ("check_estimator", "seconds"): ("seconds of check_estimator", "90"),
    ("rows", "ratio"): (
        "dearest over cheapest step, 1 000 to 1 000 000 rows of a memory map",
        "1.10",
    ),
    ("restarts", "ratio"): ("two restarts with n_jobs=2 over two in a row", "0.6"),
    ("restarts", "least_ratio"): ("the same, if a second start cost no time at all", ""),
    ("restarts", "ratio_to_two_fits"): ("two restarts with n_jobs=2 over two whole fits", ""),
    ("restarts", "ratio_of_four"): ("four restarts with n_jobs=2 over four in a row", ""),
    ("floor", "consistency_over_floor"): ("MNIST step over its arithmetic, consistency", "1.8"),
    ("floor", "game_over_floor"): ("MNIST step over its arithmetic, game", "1.8"),
}


def scale_section(content: Row) -> str:
    measured = (
        [name, asked, decimals(content[part][key])]
        for (part, key), (name, asked) in LINES.items()
        if key in content.get(part, {})
    )
    return table(["what", "at most", "measured"], measured)


def choices_section(content: Row) -> str:
    phases = list(dict.fromkeys(row["phase"] for row in content["rows"]))
    choices = list(dict.fromkeys(row["choice"] for row in content["rows"]))
    cells = {(row["phase"], row["choice"]): row for row in content["rows"]}
    lines = (
        [
            choice,
            *(
                decimals(cells[phase, choice][f"{clock}_ratio"])
                for phase in phases
                for clock in ("cpu", "clock")
            ),
        ]
        for choice in choices
    )
    own = (f"{phase} {cells[phase, 'default']['cpu_ms']:.1f} ms" for phase in phases)
    note = f"CPU time of the default's step: {', '.join(own)}. Over it, per row, medians of"
    return f"{note} {content['steps']} steps in turns:\n\n" + table(
        ["choice", *(f"{p}, {c}" for p in phases for c in ("CPU time", "clock"))], lines
    )


def gpu_section(content: Row) -> str:
    speeds = content.get("steps_a_second", {})
    phases = list(next(iter(speeds.values()), {}))
    steps = ([way, *(f"{row[phase]:.0f}" for phase in phases)] for way, row in speeds.items())
    fits = (
        [name, way, f"{row['seconds']:.0f}", percent(row["accuracy"]), row["steps"]]
        for name in ("mnist", "paper")
        for way, row in content.get(name, {}).items()
    )
    largest = content.get("largest_batch", "not measured")
    parts = [
        f"{content['gpu']}. Largest batch that fits: {largest}.",
        "Steps a second:",
        table(["way", *phases], steps),
        "Whole fits of MNIST, by the default networks and by the paper's preset:",
        table(["networks", "way", "seconds", "test accuracy", "steps"], fits),
    ]
    return "\n\n".join(parts)


SPEED = Page(
    "results_speed.md",
    HEAD,
    [
        Section(
            "A whole fit over a bare loop", "overhead", "benchmarks/overhead.py", overhead_section
        ),
        Section("Scale", "scale", "benchmarks/scale.py", scale_section),
        Section("Choices on a CPU", "cpu_choices", "benchmarks/cpu_choices.py", choices_section),
        Section("On a GPU", "gpu", "benchmarks/gpu.py", gpu_section),
    ],
)
