"""Does `score` rank models of MNIST? Its rank correlation with accuracy, over short fits.

    python benchmarks/mnist_score.py    # seeds 300 to 323 -> results/mnist_score.json

Many seeds of one configuration, and two seeds for each of a dozen. An interrupted run resumes where
it stopped. Every fit uses one thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from _shared import (
    Row,
    decimals,
    folded,
    mnist,
    mnist_model,
    numbers_only,
    parser,
    percent,
    print_table,
    reported,
    run,
    table,
    timed,
    whole,
)
from scipy.stats import spearmanr

from sklearn_binfogan.metrics import cluster_accuracy

N_SCORE_FIT, N_SCORED = 20_000, 5000  # rows: some fifty fits are to end within a coffee break
SCORE_SEEDS = range(300, 324)  # the score was designed on seeds 200 to 223
SCORE_BUDGET = {"warmup_iter": 200, "max_iter": 100}
MIXED = [
    {"warmup_iter": steps, "max_iter": 100, "mi_weight": weight, "learning_rate": rate}
    for steps in (50, 100, 300)
    for weight in (0.1, 1.0)
    for rate in (5e-4, 2e-3)
]


def score_cases(seeds: Iterable[int], quick: bool) -> list[Row]:
    """Many seeds of one configuration; two seeds for each of a dozen."""
    seeds = list(seeds)[: 4 if quick else None]
    one = [{"configurations": "one", "seed": seed, **SCORE_BUDGET} for seed in seeds]
    mixed = [
        {"configurations": "mixed", "seed": seed, **parameters}
        for parameters in MIXED[:: 6 if quick else 1]
        for seed in seeds[:2]
    ]
    return one + mixed


def measure(configurations: str, seed: int, quick: bool, **parameters: Any) -> Row:
    """The label-free score of a short fit and its accuracy."""
    data = mnist(quick)
    gan = mnist_model(seed, quick, **parameters)
    X, y = data.X_train[:N_SCORE_FIT], data.y_train[:N_SCORE_FIT]
    seconds = timed(gan.fit, X)
    return {
        "score": float(gan.score(X[:N_SCORED])),
        "test_accuracy": cluster_accuracy(data.y_test, gan.predict(data.X_test)),
        "train_accuracy": cluster_accuracy(y, gan.labels_),
        "seconds": seconds,
        "diagnostics": {k: v for k, v in gan.diagnostics_.items() if isinstance(v, float)},
    }


@reported(
    "Does `score` rank models?",
    "mnist_score",
    "benchmarks/mnist_score.py",
    "Whether the label-free score ranks fits as accuracy does. This was measured with an earlier "
    "score, which ranks fits almost in the same way.",
)
def section(content: Row) -> str:
    kinds = {"one": "seeds of one configuration", "mixed": "mixed configurations"}
    groups = {k: [r for r in content["rows"] if r["configurations"] == k] for k in kinds}
    correlations = table(
        ["rank correlation of score with test accuracy over", "fits", "measured"],
        (
            [kinds[k], len(rows), decimals(rank_correlation(rows))]
            for k, rows in groups.items()
            if len(rows) > 2
        ),
    )
    settings = ["warmup_iter", "max_iter", "mi_weight", "learning_rate"]
    fits = table(
        ["configurations", "seed", *settings, "score", "test accuracy", "seconds"],
        (
            [
                *(row.get(name, "auto") for name in ["configurations", "seed", *settings]),
                decimals(row["score"]),
                percent(row["test_accuracy"]),
                whole(row["seconds"]),
            ]
            for row in content["rows"]
        ),
    )
    return f"{correlations}\n\n{folded('Every fit', fits)}"


def rank_correlation(rows: list[Row]) -> float:
    """Spearman's correlation of score with test accuracy."""
    pairs = [(row["score"], row["test_accuracy"]) for row in rows]
    return float(spearmanr(*zip(*pairs, strict=True)).statistic)


def main() -> None:
    options = parser(__doc__.splitlines()[0]).parse_args()
    cases = score_cases(options.seeds or SCORE_SEEDS, options.quick)
    rows = run("mnist_score", partial(measure, quick=options.quick), cases, options)
    for kind in ("one", "mixed"):
        of_kind = [row for row in rows if row["configurations"] == kind]
        print_table(numbers_only(of_kind))
        print(f"{kind}: rank correlation {rank_correlation(of_kind):.3f}")


if __name__ == "__main__":
    main()
