"""What each part of the training does on MNIST: short fits without it.

    python benchmarks/mnist_ablation.py    # seeds 100 to 102 -> results/mnist_ablation.json

Each system changes one thing of "both". An interrupted run resumes where it stopped. Every fit
uses one thread.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from _shared import (
    CODES,
    FEW_SEEDS,
    HALF,
    MNIST_SHAPE,
    N_CODES,
    Measure,
    Row,
    agreement,
    decimals,
    factor_measures,
    groups_table,
    mnist,
    mnist_model,
    numbers_only,
    parser,
    pixels,
    print_table,
    r2,
    reported,
    run,
    timed,
    whole,
)

from sklearn_binfogan._presets import resolve_preset
from sklearn_binfogan.metrics import cluster_accuracy

SHORT = {"warmup_iter": 300, "max_iter": 300}


DEFAULT = resolve_preset("auto", (1, *MNIST_SHAPE), 60_000)


def without(**weights: float) -> Row:
    """Short fits by the default preset with other weights of its terms."""
    return {**SHORT, "architecture": replace(DEFAULT, recipe=replace(DEFAULT.recipe, **weights))}


def with_heads(**numbers: int) -> Row:
    """Short fits by the default preset with another number of heads."""
    return {**SHORT, "architecture": DEFAULT.with_networks(**numbers)}


SYSTEMS: dict[str, dict[str, Any]] = {
    "consistency phase alone": {**SHORT, "max_iter": 0},
    "the paper's game alone": {"architecture": HALF, "warmup_iter": 0, "max_iter": 600},
    "both": SHORT,
    "both, one head": with_heads(n_heads=1),
    "both, no sub-heads or over-clustering heads": with_heads(n_heads=1, n_overclustering_heads=0),
    "both, no cycle": without(cycle_weight=0.0),
    "both, no invariance": without(invariance_weight=0.0),
    "both, no prior matching": without(prior_matching_weight=0.0),
}


def measure(system: str, seed: int, quick: bool) -> Row:
    """One short fit of one system."""
    data = mnist(quick)
    gan = mnist_model(seed, quick, **SYSTEMS[system])
    seconds = timed(gan.fit, data.X_train)
    codes, labels = gan.transform(data.X_test), gan.predict(data.X_test)
    images = pixels(data.X_test).reshape(-1, *MNIST_SHAPE)
    return {
        "test_accuracy": cluster_accuracy(data.y_test, labels),
        "r2": r2(data.X_test, gan.inverse_transform(codes)),
        "agreement": agreement(gan, seed),
        **factor_measures(labels, codes[:, CODES["n_clusters"] : N_CODES], images),
        "seconds": seconds,
    }


@reported(
    "What each part does",
    "mnist_ablation",
    "benchmarks/mnist_ablation.py",
    "MNIST with one part of the training left out at a time.",
)
def section(content: Row) -> str:
    measures = [
        Measure("test_accuracy", "test accuracy"),
        Measure("r2", "R2", "", decimals),
        Measure("agreement", "agreement"),
        Measure("slant_correlation", "correlation with slant", "", decimals),
        Measure("stroke_correlation", "correlation with stroke width", "", decimals),
        Measure("seconds", "seconds", "", whole, max),
    ]
    note = "Short budgets: 300 steps of each phase, or 600 of the paper's game at half width."
    return f"{note}\n\n{groups_table('system', content['rows'], measures)}"


def main() -> None:
    options = parser(__doc__.splitlines()[0]).parse_args()
    seeds = options.seeds or FEW_SEEDS
    cases = [{"system": name, "seed": seed} for name in SYSTEMS for seed in seeds]
    rows = run("mnist_ablation", partial(measure, quick=options.quick), cases, options)
    print_table(numbers_only(rows))


if __name__ == "__main__":
    main()
