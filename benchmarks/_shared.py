"""What benchmarks and checks share: runs that can be resumed, Markdown, fits and their measures.

In this order: a run of cases, one process and thread each, written to JSON; tables and sections of
the results pages; models, labels and classifiers; steps of one phase; slant and stroke width.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from joblib import Parallel, delayed
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch
from skorch.callbacks import Callback
from threadpoolctl import threadpool_limits
from torch import nn

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan._base import new_training
from sklearn_binfogan._presets import PAPER_MNIST
from sklearn_binfogan._threads import seeded
from sklearn_binfogan.datasets import load_mnist

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ["torch", "scikit-learn", "skorch", "numpy", "scipy", "joblib"]
# Only for peers; named if installed.
PACKAGES += ["torchvision", "umap-learn", "clustpy", "genieclust", "lumbermark"]
PACKAGES += ["ctgan", "copulas", "arfpy", "sdmetrics"]
SEEDS, FEW_SEEDS = range(100, 110), range(100, 103)
QUICK = {"warmup_iter": 20, "max_iter": 20}
CONSISTENCY, GAME = "consistency", "game"  # the phases by name
MNIST_SHAPE = (28, 28)
CODES = {"n_clusters": 10, "n_continuous": 2}  # of digits
N_CODES = sum(CODES.values())
N_GENERATED = 2000
HALF = PAPER_MNIST.with_networks(  # half the units of every layer
    generator_channels=(32, 64, 32),
    encoder_channels=(16, 32, 64),
    encoder_dense=512,
    discriminator_channels=(32, 64),
    discriminator_dense=256,
    discriminator_code=(32, 64),
    discriminator_joint=512,
)
FOUND = 0.6  # the correlation from which on a code is said to stand for a factor
UPSAMPLING = 4

Row = dict[str, Any]

# -- runs --------------------------------------------------------------------------------------


def parser(description: str) -> argparse.ArgumentParser:
    """Options that every benchmark has."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument(
        "--seeds", type=int, nargs="+", help="default: as in the first lines of this script"
    )
    options.add_argument("--jobs", type=int, default=2, help="processes, of one thread each")
    options.add_argument("--quick", action="store_true", help="tiny budgets, to try the script")
    options.add_argument("--output", type=Path, help="the JSON file; by default in results/")
    return options


def output_path(options: argparse.Namespace, name: str) -> Path:
    """Path that a run writes to; a quick run never writes into the results."""
    if options.output:
        return options.output
    folder = Path(tempfile.gettempdir()) if options.quick else RESULTS
    return folder / (f"binfogan-quick-{name}.json" if options.quick else f"{name}.json")


@cache
def environment() -> Row:
    """Versions, commit and machine of a run, as they were when it began."""
    told = os.environ.get("BENCHMARK_COMMIT")
    return {
        # A machine with a copy of the files alone may be told their commit.
        "commit": told or _git("rev-parse", "HEAD"),
        "uncommitted_changes": not told
        and bool(_git("status", "--porcelain", "--", "sklearn_binfogan")),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}",
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "threads_per_process": 1,
    }


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def run(
    name: str, measure: Callable[..., Row], cases: list[Row], options: argparse.Namespace
) -> list[Row]:
    """Measure every case that the result file does not hold yet; write after each.

    A file of another commit or machine, or with other settings, is not continued.
    """
    path = output_path(options, name)
    head = {"environment": environment(), "quick": options.quick, "jobs": options.jobs}
    rows = _resumable(path, head)
    todo = [case for case in cases if not any(case.items() <= row.items() for row in rows)]
    tasks = (delayed(_one_thread)(measure, case) for case in todo)
    # Processes would take turns on a GPU; the streams of one process share it.
    prefer = "threads" if torch.cuda.is_available() else "processes"
    for row in Parallel(options.jobs, return_as="generator_unordered", prefer=prefer)(tasks):
        rows.append(row)
        rows.sort(key=lambda row: _place(row, cases))
        write(path, {**head, "rows": rows})
        print("  " + ", ".join(f"{k} {_shown(v)}" for k, v in row.items()), flush=True)
    return [row for row in rows if _place(row, cases) < len(cases)]


def _place(row: Row, cases: list[Row]) -> int:
    """Index of a row's case; after all of them for a case that was not asked for."""
    return next((i for i, case in enumerate(cases) if case.items() <= row.items()), len(cases))


def _one_thread(measure: Callable[..., Row], case: Row) -> Row:
    with threadpool_limits(1):
        return {**case, **measure(**case)}


def _resumable(path: Path, head: Row) -> list[Row]:
    if not path.exists():
        return []
    stored = json.loads(path.read_text())
    if {key: stored.get(key) for key in head} != json.loads(json.dumps(head)):
        raise SystemExit(
            f"{path} is of another commit, machine or settings: move it away, or give --output."
        )
    return stored["rows"]


def write(path: Path, content: Row) -> None:
    """Write JSON atomically: an interrupted run leaves the last complete file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.replace(path)


def _shown(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def print_table(rows: list[Row]) -> None:
    """Print rows under their keys, aligned."""
    names = list(rows[0])
    cells = [names, *([_shown(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def summary(rows: list[Row], by: str) -> list[Row]:
    """Mean, smallest and largest of every measure over rows."""
    functions = {"mean": np.mean, "min": np.min, "max": np.max}
    names = [name for name in rows[0] if isinstance(rows[0][name], float)]
    return [
        {by: label, **{name: float(f([row[name] for row in rows])) for name in names}}
        for label, f in functions.items()
    ]


def numbers_only(rows: list[Row]) -> list[Row]:
    """Rows without lists and dicts, which do not fit into a table."""
    return [{k: v for k, v in row.items() if not isinstance(v, list | dict)} for row in rows]


def print_measures(rows: list[Row]) -> None:
    """Print a line per measure, a column per seed, and their mean, least and most."""
    lines = numbers_only(rows) + summary(rows, by="seed")
    names = [name for name in lines[0] if name != "seed"]
    print_table(
        [{"measure": name, **{str(x["seed"]): x.get(name, "") for x in lines}} for name in names]
    )


def one_fit_a_seed(
    name: str, measure: Callable[..., Row], options: argparse.Namespace, seeds: Iterable[int]
) -> list[Row]:
    """Measure every seed, print the measures, and return the rows."""
    cases = [{"seed": seed} for seed in options.seeds or seeds]
    rows = run(name, partial(measure, quick=options.quick), cases, options)
    print_measures(rows)
    return rows


# -- Markdown ----------------------------------------------------------------------------------


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
    """A line of a table: which key of the rows, under what name, and what it means to a reader."""

    key: str
    label: str
    meaning: str = ""
    shown: Callable[[Any], str] = percent
    worst: Callable[..., Any] = min  # max where a smaller value is better


def folded(summary: str, text: str) -> str:
    """Markdown that a reader unfolds with a click."""
    return f"<details>\n<summary>{summary}</summary>\n\n{text}\n\n</details>"


def spread(measure: Measure, rows: list[Row]) -> list[str]:
    """Mean, worst and range of a measure over rows."""
    known = [row[measure.key] for row in rows if row.get(measure.key) is not None]
    if not known:
        return ["", "", ""]
    if isinstance(known[0], bool):
        return [f"{sum(known)} of {len(known)}", "", ""]
    ends = f"{measure.shown(min(known))} to {measure.shown(max(known))}"
    return [measure.shown(float(np.mean(known))), measure.shown(measure.worst(known)), ends]


def seed_cells(measure: Measure, rows: list[Row]) -> list[str]:
    """The value of every row."""
    values = (row.get(measure.key) for row in rows)
    return ["" if value is None else measure.shown(value) for value in values]


def measures_table(measures: list[Measure], rows: list[Row]) -> str:
    """A line per measure; every seed in a folded table."""
    return _spread_and_seeds([], [([], measure, rows) for measure in measures], rows)


def groups_table(name: str, rows: list[Row], measures: list[Measure]) -> str:
    """As `measures_table`, a line per measure that a value of the key `name` has."""
    groups = list(dict.fromkeys(row[name] for row in rows))
    seeds = list(dict.fromkeys(row["seed"] for row in rows))
    lines = []
    for group in groups:
        by_seed = {row["seed"]: row for row in rows if row[name] == group}
        of_group = [by_seed.get(seed, {}) for seed in seeds]
        known = [m for m in measures if any(m.key in row for row in of_group)]
        lines += [([group], measure, of_group) for measure in known]
    return _spread_and_seeds([name.replace("_", " ")], lines, [{"seed": seed} for seed in seeds])


def _spread_and_seeds(
    first: list[str], lines: list[tuple[list[Any], Measure, list[Row]]], seeds: list[Row]
) -> str:
    """The table of means and ranges, and below it that of every seed."""
    if len(seeds) == 1:
        only = ([*start, m.label, *seed_cells(m, rows)] for start, m, rows in lines)
        return table([*first, "measure", "measured"], only)
    means = any(measure.meaning for _, measure, _ in lines)
    head = [*first, "measure", "mean", "worst", "range", *(["what it means"] if means else [])]
    spreads = (
        [*start, m.label, *spread(m, rows), *([m.meaning] if means else [])]
        for start, m, rows in lines
    )
    every = ([*start, m.label, *seed_cells(m, rows)] for start, m, rows in lines)
    of_seeds = table([*first, "measure", *(f"seed {row['seed']}" for row in seeds)], every)
    return f"{table(head, spreads)}\n\n{folded('Every seed', of_seeds)}"


def origin(content: Row, command: str) -> str:
    """Where the numbers come from."""
    stored = content.get("rows")
    rows = stored if isinstance(stored, list) else [content]
    seeds = [row["seed"] for row in rows if "seed" in row]
    environment = content.get("environment", {})
    packages = environment.get("packages", {})
    dirty = ", with uncommitted changes" if environment.get("uncommitted_changes") else ""
    jobs = f", {content['jobs']} fits side by side" if "jobs" in content else ""
    lines = [
        f"- command: `{command}`",
        *([f"- seeds: {', '.join(map(str, dict.fromkeys(seeds)))}"] if seeds else []),
        f"- machine: {environment.get('machine', 'not recorded')}, "
        f"{environment.get('cores', '?')} cores{jobs}, one thread each",
        f"- commit: {environment.get('commit') or 'not recorded'}{dirty}",
        f"- versions: Python {environment.get('python', '?')}, "
        + ", ".join(f"{name} {number}" for name, number in packages.items()),
    ]
    if content.get("quick"):
        lines.append("- **a quick run: it shows that the script works, and measures nothing**")
    return "\n".join(lines)


class Section(NamedTuple):
    """A heading of a results page, the file below it and how that file came about.

    `lead` says what was measured, in words; `text` turns the file's content into Markdown.
    """

    title: str
    file: str
    command: str
    lead: str
    text: Callable[[Row], str]

    def markdown(self, folder: Path) -> str:
        """The heading and the text from its file in a folder; a note if the file is missing."""
        path = folder / f"{self.file}.json"
        content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if not content or [] in (content.get("rows"), content.get("curve")):
            return f"\n## {self.title}\n\nNot measured yet: `python {self.command}`.\n"
        parts = [self.lead, content.get("note", ""), self.text(content)]
        parts = [part.rstrip() for part in parts if part]
        parts.append(folded("How it was measured", origin(content, f"python {self.command}")))
        return f"\n## {self.title}\n\n" + "\n\n".join(parts) + "\n"


def reported(
    title: str, file: str, command: str, lead: str = ""
) -> Callable[[Callable[[Row], str]], Section]:
    """Make a section of the function below, which turns the file's content into Markdown."""
    return lambda text: Section(title, file, command, lead, text)


# -- fits and their measures -------------------------------------------------------------------


def parameters_of_a_run(quick: bool, parameters: Row) -> Row:
    """Parameters; a quick run overrides the numbers of steps, but a phase of 0 steps keeps 0."""
    return parameters | {k: v for k, v in QUICK.items() if quick and parameters.get(k) != 0}


def image_model(
    image_shape: tuple[int, ...], seed: int, quick: bool, **parameters: Any
) -> BInfoGANTransformer:
    """An estimator whose codes include the noise."""
    return BInfoGANTransformer(
        image_shape=image_shape,
        include_noise=True,
        random_state=seed,
        **parameters_of_a_run(quick, parameters),
    )


def mnist(quick: bool) -> Bunch:
    """MNIST, or a small part of it to try a script."""
    data = load_mnist()
    n_rows = {"train": 2000, "test": 500} if quick else {"train": None, "test": None}
    for part, n in n_rows.items():
        for name in ("X", "y"):
            data[f"{name}_{part}"] = data[f"{name}_{part}"][:n]
    return data


def mnist_model(seed: int, quick: bool, **parameters: Any) -> BInfoGANTransformer:
    """The model of MNIST that every study uses."""
    return image_model(MNIST_SHAPE, seed, quick, **CODES, **parameters)


def timed(
    function: Callable[..., Any],
    *arguments: Any,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Call and return the seconds that it took."""
    start = clock()
    function(*arguments)
    return clock() - start


def pixels(X: np.ndarray) -> np.ndarray:
    """Rows of 0 to 255 as float32 in [0, 1]."""
    return X.astype(np.float32) / 255


def r2(X: np.ndarray, reconstruction: np.ndarray) -> float:
    """1 - residual / total sum of squares, over all pixels together; 0 is the mean image."""
    residual = np.square(X - reconstruction).sum()
    return float(1 - residual / np.square(X - X.mean(axis=0)).sum())


def conv_net_accuracy(
    X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray, seed: int
) -> float:
    """Test accuracy of a small convolutional network trained for five passes on grey images.

    Parameters
    ----------
    X, X_test : ndarray of shape (n, side * side), from 0 to 255
    y, y_test : ndarray of int, from 0 to 9
    """
    return float((conv_net_labels(X, y, X_test, seed) == y_test).mean())


def conv_net_labels(
    X: np.ndarray, y: np.ndarray, X_test: np.ndarray, seed: int, n_channels: int = 1
) -> np.ndarray:
    """What a small convolutional network calls images, trained for five passes on others.

    Parameters
    ----------
    X, X_test : ndarray of shape (n, side * side * n_channels), channels last, from 0 to 255
    y : ndarray of int, from 0 to 9
    """
    net = trained_conv_net(X, y, seed, n_channels)
    return outputs(net, X_test, n_channels).argmax(axis=1)


def as_images(X: np.ndarray, n_channels: int) -> torch.Tensor:
    """Network input (n, n_channels, side, side) in [0, 1], on a GPU if there is one."""
    side = math.isqrt(X.shape[1] // n_channels)
    images = torch.from_numpy(pixels(X)).view(-1, side, side, n_channels).permute(0, 3, 1, 2)
    return images.contiguous().to("cuda" if torch.cuda.is_available() else "cpu")


def trained_conv_net(X: np.ndarray, y: np.ndarray, seed: int, n_channels: int = 1) -> nn.Sequential:
    """Train a small convolutional network for five passes, as in `conv_net_labels`."""
    x = as_images(X, n_channels)
    target = torch.from_numpy(y).to(x.device)
    with seeded(seed), threadpool_limits(1):  # alone: all threads draw from torch's generator
        flat = 64 * ((x.shape[2] - 4) // 2) ** 2
        first = nn.Conv2d(n_channels, 32, 3)
        layers = (first, nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2))
        dense = (nn.Flatten(), nn.Linear(flat, 128), nn.ReLU(), nn.Linear(128, 10))
        net = nn.Sequential(*layers, *dense).to(x.device)
        optimizer = torch.optim.Adam(net.parameters(), 1e-3)
        for _ in range(5):
            for batch in torch.randperm(len(x)).split(128):
                loss = nn.functional.cross_entropy(net(x[batch]), target[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return net.eval()


def outputs(net: nn.Module, X: np.ndarray, n_channels: int = 1) -> np.ndarray:
    """Output of a network for images from 0 to 255, or of its first layers."""
    with torch.no_grad(), threadpool_limits(1):
        parts = [net(part) for part in as_images(X, n_channels).split(1000)]
    return torch.cat(parts).cpu().numpy()


def agreement(gan: BInfoGANTransformer, seed: int) -> float:
    """Share of samples whose cluster E finds again."""
    X, drawn = gan.sample(N_GENERATED, random_state=seed)
    return float((gan.predict(X) == drawn).mean())


def recovery(gan: BInfoGANTransformer, seed: int) -> Row:
    """How well E(G(Z)) recovers the codes, for codes from the prior."""
    n_clusters, n_continuous = gan.n_clusters, gan.n_continuous
    rng = np.random.default_rng(seed)
    codes = rng.uniform(-1, 1, (N_GENERATED, len(gan.get_feature_names_out())))
    codes[:, :n_clusters] = np.eye(n_clusters)[rng.integers(n_clusters, size=N_GENERATED)]
    found = gan.transform(gan.inverse_transform(codes))
    columns = range(n_clusters, n_clusters + n_continuous)
    correlations = [float(np.corrcoef(codes[:, i], found[:, i])[0, 1]) for i in columns]
    return {
        "agreement": agreement(gan, seed),
        "correlation_min": min(correlations),
        "correlation_max": max(correlations),
    }


def drawn_rows(
    y: np.ndarray, n_labels: int, rng: np.random.Generator, classes: Iterable[int] | None = None
) -> np.ndarray:
    """Draw the numbers of `n_labels` rows, equally many of each class."""
    chosen = np.unique(y) if classes is None else list(classes)
    each = n_labels // len(chosen)
    return np.concatenate([rng.choice(np.flatnonzero(y == c), each, replace=False) for c in chosen])


def logistic(scale: bool = True, max_iter: int = 1000) -> Any:
    """Multinomial logistic regression, optionally on standardised columns."""
    classifier = LogisticRegression(max_iter=max_iter)
    return make_pipeline(StandardScaler(), classifier) if scale else classifier


def few_labels_accuracy(
    features: tuple[np.ndarray, np.ndarray],
    y_train: np.ndarray,
    y_test: np.ndarray,
    n_labels: int,
    seed: int,
    scale: bool,
) -> float:
    """Mean test accuracy of logistic regression over five draws of `n_labels` training rows.

    Parameters
    ----------
    features : pair of ndarray
        Of the training and of the test images. The seed draws the same rows for all features.
    """
    train, test = features
    rng = np.random.default_rng(seed)
    draws = [drawn_rows(y_train, n_labels, rng) for _ in range(5)]
    fits = [logistic(scale, max_iter=200).fit(train[rows], y_train[rows]) for rows in draws]
    return float(np.mean([fit.score(test, y_test) for fit in fits]))


# -- steps -------------------------------------------------------------------------------------


class StepTimes(Callback):
    """When each training step ended, in `times_`."""

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        self.times_: list[float] = []

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        if training:
            self.times_.append(time.perf_counter())


def begun(
    gan: BInfoGANTransformer,
    X: np.ndarray,
    phase: str,
    change: Callable[[Any], Any] = lambda trainer: None,
) -> tuple[Any, Iterator[torch.Tensor]]:
    """A training at the start of a phase, and endless batches.

    `change` may replace parts of the training before.
    """
    trainer = new_training(gan, X)
    change(trainer)
    # As after a consistency phase, whose categories the game leaves alone.
    trainer.consistency.n_steps = int(phase == GAME)
    trainer.begin(phase)
    return trainer, iter(trainer.new_batches(10**9, 10**9))


@dataclass(frozen=True)
class Choice:
    """One way to run a step on the CPU."""

    name: str
    parameters: Row = field(default_factory=dict)
    channels_last: bool = False
    threads: int = 1


class Steps:
    """A training that takes steps of one phase, one choice made."""

    def __init__(self, choice: Choice, phase: str, X: np.ndarray) -> None:
        gan = BInfoGANTransformer(image_shape=MNIST_SHAPE, device="cpu", **choice.parameters)
        self.choice = choice
        self.trainer, self.batches = begun(gan, X, phase, self._lay_out)

    def _lay_out(self, trainer: Any) -> None:
        if self.choice.channels_last:
            trainer.players.to(memory_format=torch.channels_last)
            trainer.players.link()

    def seconds(self) -> tuple[float, float]:
        """CPU seconds and seconds by the clock of one step, per 128 rows."""
        with threadpool_limits(self.choice.threads):
            torch.set_num_threads(self.choice.threads)
            cpu, clock = time.process_time(), time.perf_counter()
            x = next(self.batches)
            if self.choice.channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            self.trainer.phase.step(x)
            share = 128 / len(x)
            spent = time.process_time() - cpu, time.perf_counter() - clock
        return spent[0] * share, spent[1] * share


# -- slant and stroke width --------------------------------------------------------------------


def slant(images: np.ndarray) -> np.ndarray:
    """Columns that a digit moves to the side per row: the shear that deskewing takes back.

    It is mu11 / mu02 of the image moments, the slope of the least-squares line of column on row.

    Parameters
    ----------
    images : ndarray of shape (n, height, width)
        Ink is positive, the background 0.
    """
    height, width = images.shape[1:]
    rows, columns = np.arange(height), np.arange(width)
    weights = images / images.sum(axis=(1, 2), keepdims=True)
    from_middle_row = rows - (weights.sum(axis=2) @ rows)[:, None]
    from_middle_column = columns - (weights.sum(axis=1) @ columns)[:, None]
    mu11 = np.einsum("nij,ni,nj->n", weights, from_middle_row, from_middle_column)
    mu02 = np.einsum("nij,ni->n", weights, from_middle_row**2)
    return mu11 / mu02


def stroke_width(images: np.ndarray) -> np.ndarray:
    """Mean width of the strokes in pixels, of images (n, height, width) in [0, 1]."""
    return np.array([_stroke_width(image) for image in images])


def _stroke_width(image: np.ndarray) -> float:
    """Twice the mean distance from the middle of the stroke to its edge.

    Ink area over skeleton length would say the same but needs a skeleton, which scipy does not
    have. The local maxima of the distance to the background are the middle of the stroke. A
    stroke is two to four pixels wide and its grey edge says where in a pixel it ends: without
    enlarging first, the threshold would round the width to whole pixels.
    """
    large = ndimage.zoom(image, UPSAMPLING, order=1, mode="grid-constant", grid_mode=True)
    distance = ndimage.distance_transform_edt(large > 0.5)
    middle = (distance > 0) & (distance == ndimage.maximum_filter(distance, size=3))
    return 2 * float(distance[middle].mean()) / UPSAMPLING if middle.any() else 0.0


def correlations_within(labels: np.ndarray, codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Absolute Pearson correlation of codes (n, a) and factors (n, b) within categories, (a, b).

    Each category's mean is taken off first: a category that is both wide and slanted on average
    says nothing about what a code does inside it.
    """
    codes, factors = _centred(labels, codes), _centred(labels, factors)
    scale = np.outer(np.linalg.norm(codes, axis=0), np.linalg.norm(factors, axis=0))
    # A code or factor that never changes correlates with nothing.
    products = np.abs(codes.T @ factors)
    return np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)


def _centred(labels: np.ndarray, values: np.ndarray) -> np.ndarray:
    centred = values.astype(np.float64)
    for label in np.unique(labels):
        centred[labels == label] -= centred[labels == label].mean(axis=0)
    return centred


def factor_measures(labels: np.ndarray, codes: np.ndarray, images: np.ndarray) -> dict[str, Any]:
    """Correlations of two continuous codes with slant and stroke width; one code for each.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        Predicted categories.
    codes : ndarray of shape (n, 2)
    images : ndarray of shape (n, height, width)
        In [0, 1].
    """
    factors = np.stack([slant(images), stroke_width(images)], axis=1)
    matrix = correlations_within(labels, codes, factors)
    # One code with slant and the other with stroke width: the better of the two ways round.
    pair = max((matrix[0, 0], matrix[1, 1]), (matrix[1, 0], matrix[0, 1]), key=min)
    return {
        **{
            f"{name}_correlation": float(r)
            for name, r in zip(("slant", "stroke"), pair, strict=True)
        },
        "factors_found": bool(min(pair) >= FOUND),
        "factor_correlations": matrix.tolist(),  # a row per code, a column per factor
    }
