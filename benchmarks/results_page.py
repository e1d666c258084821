"""Write the results pages of docs/ from the JSON files in results/.

    python benchmarks/results_page.py           # writes the pages
    python benchmarks/results_page.py --check   # exits 1 if a page differs from the files

No number is typed in by hand but what was asked for, so that a page can't drift from the runs.
"""

from __future__ import annotations

import argparse

from _colour_results import COLOUR
from _other_results import OTHER
from _peers_results import PEERS
from _report import RESULTS, ROOT, Row
from _speed_results import SPEED
from _tables import (
    Measure,
    Page,
    Section,
    decimals,
    groups_table,
    measures_table,
    percent,
    table,
    whole,
    yes_no,
)
from scipy.stats import spearmanr

HEAD = """\
# Results on MNIST

Written by `python benchmarks/results_page.py` from the files in `benchmarks/results/`: do not edit.
No labels are used to fit or to choose a model. "Asked" is what was set as a goal before measuring:
what is asked at least, then what is aimed for.
"""


# -- sections: the text below each heading, from a file's content -------------------------------

MAIN = [
    Measure(
        "test_accuracy",
        "one-to-one test accuracy",
        "mean 97.0 %, worst 95.0 %; aim mean 98.5 %, worst 98.0 %",
    ),
    Measure("train_accuracy", "one-to-one training accuracy"),
    Measure("fit_seconds", "seconds for one whole fit", "600; aim 300", whole, max),
    Measure(
        "first_phase_accuracy",
        "test accuracy at the end of the first phase",
        "mean 96.6 %; aim 98 %",
    ),
    Measure(
        "first_phase_seconds",
        "seconds at the end of the first phase",
        "mean 90; aim 60",
        whole,
        max,
    ),
    Measure("paper_step_seconds", "seconds a step of the paper's preset", "", decimals, max),
    Measure(
        "speedup",
        "times as fast as 30 000 such steps",
        "30; aim 100",
        whole,
    ),
    Measure(
        "generated_logistic",
        "logistic regression trained on 10 000 generated images, real test set",
        "85 %; aim 91 %",
    ),
    Measure("prior_logistic", "the same, images drawn with from_prior=True"),
    Measure("real_logistic", "the same trained on 10 000 real images"),
    Measure(
        "generated_conv", "a small conv net trained on the generated images", "report; aim 97 %"
    ),
    Measure("prior_conv", "the same net, images drawn with from_prior=True"),
    Measure("real_conv", "the same net trained on 10 000 real images"),
    Measure("r2", "R2 of reconstructions with noise, test set", "0.6; aim 0.8", decimals),
    Measure(
        "slant_correlation",
        "correlation within categories of one continuous code with slant",
        "0.6; aim 0.9",
        decimals,
    ),
    Measure(
        "stroke_correlation",
        "of the other continuous code with stroke width",
        "0.6; aim 0.9",
        decimals,
    ),
    Measure("factors_found", "both at least 0.6", "7 of 10 seeds; aim 10", yes_no),
    *(
        Measure(f"labels_{n}_{key}", f"{n} labels, logistic regression on {name}", asked)
        for n, goal in ((20, "report; aim 97 %"), (100, "report; aim 98 %"))
        for key, name, asked in (
            ("codes", "codes", goal),
            ("pixels", "pixels", ""),
            ("pca", "12 principal components", ""),
        )
    ),
    Measure("agreement", "predict(sample(c)) gives c"),
    Measure("correlation_min", "correlation of E(G(c)) with c, lower of the codes", "", decimals),
    Measure("correlation_max", "the same, higher of the codes", "", decimals),
    Measure("score", "score, test set", "", decimals),
]


def main_section(content: Row) -> str:
    rows = content["rows"]
    matrices = table(
        ["seed", "code 0, slant", "code 0, stroke", "code 1, slant", "code 1, stroke"],
        (
            [row["seed"], *(decimals(r) for code in row["factor_correlations"] for r in code)]
            for row in rows
        ),
    )
    return f"{measures_table(MAIN, rows)}\n\nAll correlations with slant and stroke:\n\n{matrices}"


def prior_section(content: Row) -> str:
    rows = content["rows"]
    asked = {"learned": "85 %; aim 95 %"}
    priors = list(dict.fromkeys(row["cluster_prior"] for row in rows))
    parts = [
        groups_table(
            "cluster_prior",
            [row for row in rows if row["cluster_prior"] == prior],
            [
                Measure("balanced_accuracy", "balanced one-to-one accuracy", asked.get(prior, "")),
                Measure("test_accuracy", "one-to-one test accuracy"),
                Measure("seconds", "seconds", "", whole, max),
            ],
        )
        for prior in priors
    ]
    sizes = table(
        ["seed", "class shares in the training rows", "learned prior"],
        (
            [row["seed"], shares(row["class_shares"]), shares(row["cluster_prior_"])]
            for row in rows
            if row["cluster_prior"] == "learned" and row["cluster_prior_"]
        ),
    )
    return "\n\n".join([*parts, "What was learned, in percent, by falling size:", sizes])


def shares(values: list[float]) -> str:
    return " ".join(f"{100 * value:.1f}" for value in sorted(values, reverse=True))


def score_section(content: Row) -> str:
    kinds = {"one": "seeds of one configuration", "mixed": "mixed configurations"}
    asked = {"one": "0.5; aim 0.9", "mixed": "0.6; aim 0.9"}
    groups = {k: [r for r in content["rows"] if r["configurations"] == k] for k in kinds}
    correlations = table(
        ["rank correlation of score with test accuracy over", "fits", "asked", "measured"],
        (
            [kinds[k], len(rows), asked[k], decimals(rank_correlation(rows))]
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
    return f"{correlations}\n\n{fits}"


def rank_correlation(rows: list[Row]) -> float:
    """Spearman's correlation of score with test accuracy."""
    pairs = [(row["score"], row["test_accuracy"]) for row in rows]
    return float(spearmanr(*zip(*pairs, strict=True)).statistic)


def ablation_section(content: Row) -> str:
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


def neighbours_section(content: Row) -> str:
    measures = [
        Measure("test_accuracy", "test accuracy"),
        Measure("train_accuracy", "training accuracy"),
        Measure("steps", "steps", "", whole),
        Measure("seconds", "seconds", "", whole, max),
    ]
    return groups_table("system", content["rows"], measures)


def paper_section(content: Row) -> str:
    curve = content["curve"]
    done = sum(point["seconds"] for point in curve)
    state = f"{curve[-1]['step']} of {content['steps']} steps, {done / 60:.0f} minutes."
    final = table(
        ["measure", "asked", "measured"],
        [
            [
                "one-to-one test accuracy",
                "80 %; aim 96.6 %",
                percent(content["test_accuracy"])
                if "test_accuracy" in content
                else "not measured yet: the run is not at its end",
            ]
        ],
    )
    # Every pass over the data would be a long table: the last pass of each thousand steps.
    shown = {point["step"] // 1000: point for point in curve}.values()
    points = table(
        ["step", "training accuracy", "score", "agreement"],
        (
            [p["step"], percent(p["train_accuracy"]), decimals(p["score"]), percent(p["agreement"])]
            for p in shown
        ),
    )
    notes = [content["note"]] if "note" in content else []
    return "\n\n".join([*notes, state, final, points])


# -- the pages ---------------------------------------------------------------------------------

SECTIONS = [
    Section("The default recipe", "mnist", "benchmarks/mnist.py", main_section),
    Section("Classes of unequal size", "mnist_prior", "benchmarks/mnist.py --prior", prior_section),
    Section(
        "Does `score` rank models?", "mnist_score", "benchmarks/mnist.py --score", score_section
    ),
    Section(
        "What each part does", "mnist_ablation", "benchmarks/mnist.py --ablation", ablation_section
    ),
    Section(
        "The paper's algorithm by itself, half-width networks",
        "paper_half",
        "benchmarks/paper_mnist.py",
        paper_section,
    ),
    Section(
        "Its neighbours: InfoGAN and BiGAN",
        "neighbours",
        "benchmarks/neighbours.py",
        neighbours_section,
    ),
]

MNIST = Page("results_mnist.md", HEAD, SECTIONS)
PAGES = [MNIST, COLOUR, SPEED, PEERS, OTHER]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--check", action="store_true", help="compare instead of writing")
    options = options.parse_args()
    for page in PAGES:
        path, text = ROOT / "docs" / page.file, page.text(RESULTS)
        if not options.check:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            raise SystemExit(f"{path} is not what the results say: run benchmarks/results_page.py.")


if __name__ == "__main__":
    main()
