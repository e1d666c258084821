"""Costs other than the training loop: `transform`, checks, many rows, processes, arithmetic.

    SCIPY_ARRAY_API=1 python benchmarks/scale.py    # -> results/scale.json

benchmarks/overhead.py compares a fit with a bare loop. Run this on an idle machine: everything
except the floor of the arithmetic is wall-clock time.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _shared import (
    CONSISTENCY,
    GAME,
    MNIST_SHAPE,
    QUICK,
    Choice,
    Row,
    Steps,
    begun,
    decimals,
    environment,
    mnist,
    output_path,
    parser,
    reported,
    table,
    timed,
    write,
)
from sklearn.datasets import load_digits
from sklearn.utils.estimator_checks import check_estimator
from threadpoolctl import threadpool_limits
from torch.utils.flop_counter import FlopCounterMode

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan._base import fitted_model
from sklearn_binfogan._layout import row_blocks

ROUNDS = 5
ROW_COUNTS, N_COLUMNS, BATCH_SIZE = (1_000, 10_000, 100_000, 1_000_000), 64, 256


def transform_ratio(quick: bool) -> Row:
    """Time of `transform` of 60 000 images relative to the encoder alone on prepared tensors."""
    X = mnist(quick).X_train
    gan = BInfoGANTransformer(image_shape=MNIST_SHAPE, warmup_iter=5, max_iter=5, random_state=0)
    gan.fit(X[:1000])
    encoder, layout = fitted_model(gan).trainer.players.averaged_encoder, fitted_model(gan).layout
    ready = [
        layout.to_network(torch.from_numpy(layout.scaled(b, np.float32))) for b in row_blocks(X)
    ]

    def bare() -> None:
        with torch.no_grad():
            for x in ready:
                encoder(x)

    pairs = [(timed(bare), timed(gan.transform, X)) for _ in range(ROUNDS)]
    bare_seconds, seconds = np.median(pairs, axis=0).tolist()
    ratio = float(np.median([whole / alone for alone, whole in pairs]))
    return {"bare_seconds": bare_seconds, "transform_seconds": seconds, "ratio": ratio}


def check_seconds(quick: bool) -> Row:
    """scikit-learn's checks of the default instance, as the tests run them."""
    gan = BInfoGANTransformer(**(QUICK if quick else {}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {"seconds": timed(lambda: check_estimator(gan, on_fail=None, on_skip=None))}


def growth_with_rows(quick: bool) -> Row:
    """Seconds of a step on memory maps of more and more rows, interleaved."""
    counts = ROW_COUNTS[:2] if quick else ROW_COUNTS
    with tempfile.TemporaryDirectory() as folder:
        nets = [_on_a_map(n, Path(folder)) for n in counts]
        times = np.array([[timed(net) for net in nets] for _ in range(20 if quick else 200)])
    # A new order of all rows is drawn once in a pass over them.
    orders = [
        np.median([timed(lambda n=n: torch.arange(n)[torch.randperm(n)]) for _ in range(9)])
        for n in counts
    ]
    shares = BATCH_SIZE * np.array(orders) / counts
    seconds = (np.median(times[5:], axis=0) + shares).tolist()
    return {
        "rows": list(counts),
        "step_seconds": seconds,
        "ratio": max(seconds) / min(seconds),
    }


def _on_a_map(n_rows: int, folder: Path) -> Callable[[], Any]:
    X = np.memmap(folder / str(n_rows), np.float32, "w+", shape=(n_rows, N_COLUMNS))
    rng = np.random.default_rng(0)
    for block in row_blocks(X):
        block[:] = rng.normal(size=block.shape)
    gan = BInfoGANTransformer(batch_size=BATCH_SIZE, random_state=0)
    trainer, batches = begun(gan, X, CONSISTENCY)
    return lambda: trainer.phase.step(next(batches))


def restarts_ratio(quick: bool) -> Row:
    """Time of two and four parallel restarts over as many in a row; of two over two whole fits.

    The game is played by the best start alone, so that one fit is as fast as two starts can be.
    """
    budget = QUICK if quick else {}
    X = load_digits().data

    def fit(n_init: int, n_jobs: int) -> float:
        gan = BInfoGANTransformer(
            image_shape=(8, 8), n_init=n_init, n_jobs=n_jobs, random_state=0, **budget
        )
        return timed(gan.fit, X)

    fit(2, 2)  # starts joblib's processes, which then stay
    cases = {"one_fit": (1, 1), "two_in_a_row": (2, 1), "two_side_by_side": (2, 2)}
    cases |= {"four_in_a_row": (4, 1), "four_side_by_side": (4, 2)}
    rounds = [[fit(*case) for case in cases.values()] for _ in range(1 if quick else 3)]
    one, two, two_by_side, four, four_by_side = seconds = np.array(rounds).T
    return {
        **{f"{name}_seconds": float(np.median(s)) for name, s in zip(cases, seconds, strict=True)},
        "ratio": float(np.median(two_by_side / two)),
        "least_ratio": float(np.median(one / two)),
        "ratio_to_two_fits": float(np.median(two_by_side / (2 * one))),
        "ratio_of_four": float(np.median(four_by_side / four)),
    }


def arithmetic_floor(quick: bool) -> Row:
    """CPU seconds of a step over those of its operations at the rate of a large matrix product."""
    X = mnist(quick=True).X_train
    a = torch.rand(2048, 2048)
    rates, steps = [], {phase: Steps(Choice("default"), phase, X) for phase in (CONSISTENCY, GAME)}
    floors: Row = {}
    for phase, run in steps.items():
        with FlopCounterMode(display=False) as counter:
            run.seconds()
        floors[f"{phase}_operations"] = counter.get_total_flops()
    times: dict[str, list[float]] = {phase: [] for phase in steps}
    for _ in range(1 if quick else 5):
        rates += [2 * 2048**3 / timed(lambda: a @ a, clock=time.process_time) for _ in range(5)]
        for phase, run in steps.items():
            # As in a fit, one after another: the first finds the other phase's data in the caches.
            times[phase] += [run.seconds()[0] for _ in range(11)][1:]
    rate = float(np.median(rates))
    for phase, seconds in times.items():
        floors[f"{phase}_cpu_seconds"] = float(np.median(seconds))
        floors[f"{phase}_over_floor"] = (
            rate * floors[f"{phase}_cpu_seconds"] / floors[f"{phase}_operations"]
        )
    return {"operations_a_second": rate, **floors}


MEASURES: dict[str, Callable[[bool], Row]] = {
    "transform": transform_ratio,
    "rows": growth_with_rows,
    "floor": arithmetic_floor,
    "restarts": restarts_ratio,
    "check_estimator": check_seconds,
}


LINES = {
    ("transform", "ratio"): "`transform` of 60 000 images over the encoder alone",
    ("check_estimator", "seconds"): "seconds of scikit-learn's `check_estimator`",
    ("rows", "ratio"): "dearest over cheapest step, 1 000 to 1 000 000 rows of a memory map",
    ("restarts", "ratio"): "two restarts with n_jobs=2 over two in a row",
    ("restarts", "least_ratio"): "the same, if a second start cost no time at all",
    ("restarts", "ratio_to_two_fits"): "two restarts with n_jobs=2 over two whole fits",
    ("restarts", "ratio_of_four"): "four restarts with n_jobs=2 over four in a row",
    ("floor", "consistency_over_floor"): "MNIST step over its arithmetic, consistency",
    ("floor", "game_over_floor"): "MNIST step over its arithmetic, game",
}


@reported(
    "Scale",
    "scale",
    "benchmarks/scale.py",
    "Ratios, but for the seconds; 1 means that nothing is added.",
)
def section(content: Row) -> str:
    measured = (
        [name, decimals(content[part][key])]
        for (part, key), name in LINES.items()
        if key in content.get(part, {})
    )
    return table(["what", "measured"], measured)


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--only", nargs="+", choices=list(MEASURES), default=list(MEASURES))
    options = options.parse_args()
    if os.environ.get("SCIPY_ARRAY_API") != "1":
        raise SystemExit("Set SCIPY_ARRAY_API=1: without it scikit-learn skips a check.")
    results: Row = {}
    for name in options.only:
        with threadpool_limits(1):
            torch.set_num_threads(1)
            results[name] = MEASURES[name](options.quick)
        print(name, results[name], flush=True)
        write(output_path(options, "scale"), {"environment": environment(), **results})


if __name__ == "__main__":
    main()
