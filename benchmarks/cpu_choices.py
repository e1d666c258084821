"""What a step on MNIST costs on the CPU with each choice that one could make.

    python benchmarks/cpu_choices.py    # -> results/cpu_choices.json

Choices take turns, step by step, so that a machine that slows down slows down all of them. With one
thread CPU seconds are compared, which other processes disturb less than wall-clock time. With more
threads, which are meant to save wall-clock time, both are given. docs/cpu.md draws the conclusions.
"""

from __future__ import annotations

import shutil

import numpy as np
from _shared import (
    CONSISTENCY,
    GAME,
    Choice,
    Row,
    Steps,
    decimals,
    environment,
    mnist,
    output_path,
    parser,
    print_table,
    reported,
    table,
    write,
)

WARM_UP_STEPS = 2
CHOICES = [
    Choice("default"),
    Choice("channels_last", channels_last=True),
    Choice("2 threads", threads=2),
    Choice("batch 64", {"batch_size": 64}),
    Choice("batch 256", {"batch_size": 256}),
    Choice("bf16", {"precision": "bf16"}),
    Choice("compile", {"compile": True}),
]


def measure(phase: str, choices: list[Choice], n_steps: int) -> list[Row]:
    """Medians of interleaved steps, and ratios to the default, step by step."""
    X = mnist(quick=True).X_train  # its first 2000 rows
    runs = [Steps(choice, phase, X) for choice in choices]
    for run in runs:
        for _ in range(WARM_UP_STEPS):
            run.seconds()
    times = np.array([[run.seconds() for run in runs] for _ in range(n_steps)])
    ratios = np.median(times / times[:, :1], axis=0)
    seconds = np.median(times, axis=0)
    return [
        {
            "phase": phase,
            "choice": choice.name,
            "cpu_ms": 1e3 * float(seconds[i, 0]),
            "clock_ms": 1e3 * float(seconds[i, 1]),
            "cpu_ratio": float(ratios[i, 0]),
            "clock_ratio": float(ratios[i, 1]),
        }
        for i, choice in enumerate(choices)
    ]


@reported(
    "Choices on a CPU",
    "cpu_choices",
    "benchmarks/cpu_choices.py",
    "The time of a step with other settings, relative to the default's.",
)
def section(content: Row) -> str:
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


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--steps", type=int, default=20, help="of every choice and phase")
    options.add_argument("--skip", nargs="+", default=[], choices=[c.name for c in CHOICES[1:]])
    options = options.parse_args()
    n_steps = 3 if options.quick else options.steps
    skipped = {*options.skip, *(["compile"] if options.quick or not shutil.which("g++") else [])}
    choices = [c for c in CHOICES if c.name not in skipped]
    rows: list[Row] = []
    for phase in (CONSISTENCY, GAME):
        rows += measure(phase, choices, n_steps)
        head = {"environment": environment(), "steps": n_steps}
        write(output_path(options, "cpu_choices"), {**head, "rows": rows})
    print_table(rows)


if __name__ == "__main__":
    main()
