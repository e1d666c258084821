"""What a step on MNIST costs on the CPU with each choice that one could make.

    python benchmarks/cpu_choices.py    # -> results/cpu_choices.json

Choices take turns, step by step, so that a machine that slows down slows down all of them. With one
thread CPU seconds are compared, which other processes disturb less than the clock; with more
threads, whose point is the clock, both are given. docs/cpu.md says what follows.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from _report import Row, environment, output_path, parser, print_table, write
from threadpoolctl import threadpool_limits
from torch import Tensor

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan._base import new_training
from sklearn_binfogan._phases import CONSISTENCY, GAME
from sklearn_binfogan.datasets import load_mnist

N_ROWS, WARM_UP_STEPS = 2000, 2


@dataclass(frozen=True)
class Choice:
    """One way to run a step."""

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)
    channels_last: bool = False
    threads: int = 1


CHOICES = [
    Choice("default"),
    Choice("channels_last", channels_last=True),
    Choice("2 threads", threads=2),
    Choice("batch 64", {"batch_size": 64}),
    Choice("batch 256", {"batch_size": 256}),
    Choice("bf16", {"precision": "bf16"}),
    Choice("compile", {"compile": True}),
]


class Steps:
    """A net that takes steps of one phase, one choice made."""

    def __init__(self, choice: Choice, phase: str, X: np.ndarray) -> None:
        gan = BInfoGANTransformer(image_shape=(28, 28), **choice.parameters)
        trainer = new_training(gan, X)
        if choice.channels_last:
            trainer.players.to(memory_format=torch.channels_last)
            trainer.players.link()
        trainer.consistency.n_steps = int(phase == GAME)
        self.choice, self.batches = choice, iter(trainer.new_batches(10**6, 10**6))
        self.step: Callable[[Tensor], Any] = trainer.begin(phase).step

    def seconds(self) -> tuple[float, float]:
        """CPU seconds and seconds by the clock of one step, per 128 rows."""
        with threadpool_limits(self.choice.threads):
            torch.set_num_threads(self.choice.threads)
            cpu, clock = time.process_time(), time.perf_counter()
            x = next(self.batches)
            if self.choice.channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            self.step(x)
            share = 128 / len(x)
            spent = time.process_time() - cpu, time.perf_counter() - clock
        return spent[0] * share, spent[1] * share


def measure(phase: str, choices: list[Choice], n_steps: int) -> list[Row]:
    """Medians of interleaved steps, and ratios to the default, step by step."""
    X = load_mnist().X_train[:N_ROWS]
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
