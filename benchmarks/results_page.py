"""Write docs/results_mnist.md from the JSON files in results/.

    python benchmarks/results_page.py           # writes the page
    python benchmarks/results_page.py --check   # exits 1 if the page differs from the files

No number is typed in by hand but what was asked for, so that the page can't drift from the runs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _report import RESULTS, ROOT, Row
from scipy.stats import spearmanr

PAGE = ROOT / "docs" / "results_mnist.md"
HEAD = """\
# Results on MNIST

Written by `python benchmarks/results_page.py` from the files in `benchmarks/results/`: do not edit.
No labels are used to fit or to choose a model. "Asked" is what was set as a goal before measuring:
what is asked at least, then what is aimed for.
"""


# -- text --------------------------------------------------------------------------------------


def percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def whole(value: float) -> str:
    return f"{value:.0f}"


def decimals(value: float) -> str:
    return f"{value:.3f}"


def yes_no(value: bool) -> str:
    return "yes" if value else "no"


def table(header: Iterable[Any], lines: Iterable[Iterable[Any]]) -> str:
    """A Markdown table."""
    header = list(header)
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |"
        for line in [header, ["---"] * len(header), *lines]
    )


class Measure(NamedTuple):
    """A line of a table: which key of the rows, under what name, and what was asked of it."""

    key: str
    label: str
    asked: str = ""
    shown: Callable[[Any], str] = percent
    worst: Callable[..., Any] = min  # max where a smaller value is better


def measure_cells(measure: Measure, rows: list[Row]) -> list[str]:
    """Mean, worst and every seed."""
    values = [row.get(measure.key) for row in rows]
    known = [value for value in values if value is not None]
    if not known:
        return ["", ""] + [""] * len(rows)
    if isinstance(known[0], bool):
        ends = [f"{sum(known)} of {len(known)}", ""]
    else:
        ends = [measure.shown(float(np.mean(known))), measure.shown(measure.worst(known))]
    return ends + ["" if value is None else measure.shown(value) for value in values]


def measures_table(measures: list[Measure], rows: list[Row]) -> str:
    """A line per measure, a column per seed."""
    header = ["measure", "asked", "mean", "worst", *(row["seed"] for row in rows)]
    return table(header, ([m.label, m.asked, *measure_cells(m, rows)] for m in measures))


def groups_table(name: str, rows: list[Row], measures: list[Measure]) -> str:
    """As `measures_table`, a line per measure of each value of the key `name`."""
    groups = list(dict.fromkeys(row[name] for row in rows))
    seeds = list(dict.fromkeys(row["seed"] for row in rows))
    lines = []
    for group in groups:
        by_seed = {row["seed"]: row for row in rows if row[name] == group}
        of_group = [by_seed.get(seed, {}) for seed in seeds]
        lines += [[group, m.label, m.asked, *measure_cells(m, of_group)] for m in measures]
    return table([name.replace("_", " "), "measure", "asked", "mean", "worst", *seeds], lines)


def origin(content: Row, command: str, seeds: Iterable[int]) -> str:
    """Where the numbers come from."""
    environment = content.get("environment", {})
    packages = environment.get("packages", {})
    dirty = ", with uncommitted changes" if environment.get("uncommitted_changes") else ""
    jobs = f", {content['jobs']} fits side by side" if "jobs" in content else ""
    lines = [
        f"- command: `{command}`",
        f"- seeds: {', '.join(map(str, dict.fromkeys(seeds)))}",
        f"- machine: {environment.get('machine', 'not recorded')}, "
        f"{environment.get('cores', '?')} cores{jobs}, one thread each",
        f"- commit: {environment.get('commit') or 'not recorded'}{dirty}",
        f"- versions: Python {environment.get('python', '?')}, "
        + ", ".join(f"{name} {number}" for name, number in packages.items()),
    ]
    if content.get("quick"):
        lines.append("- **a quick run: it shows that the script works, and measures nothing**")
    return "\n".join(lines)


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
    return f"{state}\n\n{final}\n\n{points}"


# -- the page ----------------------------------------------------------------------------------


class Section(NamedTuple):
    """A heading of the page, the file below it and how that file came about."""

    title: str
    file: str
    command: str
    text: Callable[[Row], str]


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


def section(entry: Section, results_folder: Path) -> str:
    """One heading and what its file says."""
    path = results_folder / f"{entry.file}.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if not (content.get("rows") or content.get("curve")):
        text = f"Not measured yet: `python {entry.command}`."
    else:
        rows = content.get("rows", [content])
        source = origin(content, f"python {entry.command}", (row["seed"] for row in rows))
        text = f"{source}\n\n{entry.text(content)}"
    return f"\n## {entry.title}\n\n{text}\n"


def page(results_folder: Path) -> str:
    """The whole page; a file that is not there yet gives a line that says so."""
    return HEAD + "".join(section(entry, Path(results_folder)) for entry in SECTIONS)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--check", action="store_true", help="compare instead of writing")
    options = options.parse_args()
    text = page(RESULTS)
    if not options.check:
        PAGE.write_text(text, encoding="utf-8")
        print(f"wrote {PAGE}")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        raise SystemExit(f"{PAGE} is not what the results say: run benchmarks/results_page.py.")


if __name__ == "__main__":
    main()
