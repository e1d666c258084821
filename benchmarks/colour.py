"""Colour images: the paper's four categorical and four continuous codes, seed by seed.

    python benchmarks/colour.py            # real faces, seeds 100 to 102 -> colour_faces.json
    python benchmarks/colour.py --photos   # MNIST on photographs -> colour_photos.json
    python benchmarks/colour.py --steps    # seconds of a step -> colour_steps.json
    python benchmarks/colour.py --sizes    # a step by the size of the images -> colour_sizes.json
    python benchmarks/colour.py --paper    # the paper's preset on faces -> colour_paper.json

All in `benchmarks/results/`. An interrupted run resumes where it stopped. `--paper` takes
20 000 steps in bfloat16, which need a GPU. `--sizes` takes up to 3 GB of memory. Every fit uses one
thread. No labels are used to fit. The training split decides which code describes a property, and
which value of it each category has; every measure is on the test split.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _shared import (
    CONSISTENCY,
    FEW_SEEDS,
    GAME,
    N_GENERATED,
    Measure,
    Row,
    StepTimes,
    begun,
    conv_net_labels,
    decimals,
    few_labels_accuracy,
    groups_table,
    image_model,
    measures_table,
    one_fit_a_seed,
    parser,
    pixels,
    print_measures,
    r2,
    reported,
    run,
    table,
    timed,
    whole,
)
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.utils import Bunch

from sklearn_binfogan import AffineMove, BInfoGANTransformer, ColourMove
from sklearn_binfogan.datasets import make_mnist_on_photos
from sklearn_binfogan.metrics import cluster_accuracy, code_columns, match_clusters

IMAGE_SHAPE = (32, 32, 3)
N_CLUSTERS, N_CONTINUOUS = (10, 10, 10, 10), 4  # the paper's, for CelebA and SVHN
N_CATEGORIES = sum(N_CLUSTERS)
N_LABELS = 200
TINY = 1e-4  # least probability of which a logarithm is taken
CHILD = 13  # years: under that age
LUMINANCE = np.array([0.299, 0.587, 0.114])
SKIN = (slice(10, 24), slice(8, 24))  # cheeks, nose and forehead of an aligned face
CORNERS = [(slice(0, 6), slice(0, 4)), (slice(0, 6), slice(28, 32))]
N_KMEANS = 10_000  # rows, of 3072 pixels
N_NAMED = 20_000  # digits on photographs, to train a network on
BATCH_SIZES = {"paper-32x32": 32, "conv": 128}
N_STEPS, N_SKIPPED = 12, 3
N_STEP_ROWS = 256  # few: a fit ends by encoding them all
SIDES, N_SIZE_ROWS, N_SIZE_STEPS = (32, 64, 128, 256), 128, 3  # the first step is not counted


# Faces are symmetric and centred, and their colours are informative.
FACES: dict[str, Any] = {
    "augmentation": ColourMove(
        AffineMove(0.1, 0.08, 0.08, 0.06, 0.03, reflect=True), 0.15, 0.1, 0.03, mirror=True
    ),
    "warmup_iter": 2500,
    "max_iter": 1000,
}
# Only the shape of digits counts, whatever the background.
PHOTOS: dict[str, Any] = {
    "architecture": "conv-contrast",
    "augmentation": ColourMove(AffineMove(warp=0.12, reflect=True), clutter=1.0),
}


def new_model(seed: int, quick: bool, **parameters: Any) -> BInfoGANTransformer:
    """The paper's codes."""
    codes = {"n_clusters": N_CLUSTERS, "n_continuous": N_CONTINUOUS}
    return image_model(IMAGE_SHAPE, seed, quick, **codes, **parameters)


def single_codes(gan: BInfoGANTransformer, X: np.ndarray) -> np.ndarray:
    """Numbers of categories and continuous codes, (n, 8), without the noise."""
    return code_columns(gan, X)[:, : len(N_CLUSTERS) + N_CONTINUOUS]


def largest_overlap(gan: BInfoGANTransformer) -> float:
    """Information that two categorical codes share at most, relative to the smaller entropy."""
    shared = np.array(gan.diagnostics_["code_information"])
    return float(np.max(shared - np.eye(len(shared))))


# -- faces ---------------------------------------------------------------------------------------


def load_faces() -> Bunch:
    """Faces of `faces/faces32.npz` in the folder that SKLEARN_BINFOGAN_DATA names.

    Returns
    -------
    faces : Bunch
        X_train, X_test : ndarray of uint8, shape (n, 3072)
        male_train, male_test, child_train, child_test : ndarray of bool, shape (n,)
        skin_train, skin_test, background_train, background_test : ndarray of float, shape (n,)
            Mean brightness in [0, 1] of the middle of the face and of the two upper corners.
    """
    root = os.environ.get("SKLEARN_BINFOGAN_DATA")
    if not root:
        raise SystemExit("Set SKLEARN_BINFOGAN_DATA to the folder that holds faces/faces32.npz.")
    faces = Bunch()
    with np.load(Path(root, "faces", "faces32.npz")) as stored:
        for part in ("train", "test"):
            images = stored[f"X_{part}"]
            faces[f"X_{part}"] = images.reshape(len(images), -1)
            faces[f"male_{part}"] = stored[f"male_{part}"] == 1
            faces[f"child_{part}"] = stored[f"age_{part}"] < CHILD
            faces[f"skin_{part}"] = brightness(images, [SKIN])
            faces[f"background_{part}"] = brightness(images, CORNERS)
    return faces


def brightness(images: np.ndarray, regions: list[tuple[slice, slice]]) -> np.ndarray:
    """Mean luminance of some regions of images (n, height, width, 3) of bytes, in [0, 1]."""
    means = [images[:, rows, columns].mean(axis=(1, 2)) @ LUMINANCE for rows, columns in regions]
    return np.mean(means, axis=0) / 255


def faces(quick: bool) -> Bunch:
    """The faces, or a few of them to try the script."""
    data = load_faces()
    return Bunch(**{k: v[: 600 if quick else None] for k, v in data.items()})


def as_numbers(
    codes: np.ndarray, n_categorical: int, target: np.ndarray, of_codes: np.ndarray
) -> np.ndarray:
    """Each code of `of_codes` as one number: a category as the mean target of its rows in `codes`.

    Parameters
    ----------
    codes, of_codes : ndarray of shape (n, n_codes) and (m, n_codes)
        Numbers of categories in the first `n_categorical` columns, then continuous codes.
    target : ndarray of shape (n,)
    """
    numbers = of_codes.astype(np.float64)
    for column in range(n_categorical):
        means = {k: target[codes[:, column] == k].mean() for k in np.unique(codes[:, column])}
        numbers[:, column] = [means.get(k, target.mean()) for k in of_codes[:, column]]
    return numbers


def auc(target: np.ndarray, number: np.ndarray) -> float:
    """Area under the ROC curve, whether the number rises or falls with the class."""
    area = float(roc_auc_score(target, number))
    return max(area, 1 - area)


def correlation(target: np.ndarray, number: np.ndarray) -> float:
    """Absolute Pearson correlation; 0 for a number that never changes."""
    return float(abs(np.corrcoef(target, number)[0, 1])) if np.ptp(number) > 0 else 0.0


PROPERTIES = {"male": auc, "child": auc, "skin": correlation, "background": correlation}


def told_by_one_code(train: np.ndarray, test: np.ndarray, data: Bunch) -> Row:
    """For each property, the code that says most about it, and how much."""
    found: Row = {}
    for name, measure in PROPERTIES.items():
        target, test_target = data[f"{name}_train"], data[f"{name}_test"]
        numbers = as_numbers(train, len(N_CLUSTERS), target, train)
        on_training = [measure(target, column) for column in numbers.T]
        best = int(np.argmax(on_training))
        test_numbers = as_numbers(train, len(N_CLUSTERS), target, test)
        on_test = [measure(test_target, column) for column in test_numbers.T]
        found[f"{name}_{measure.__name__}"] = on_test[best]
        found[f"{name}_code"] = best  # 0 to 3 categorical, 4 to 7 continuous
        found[f"{name}_all_codes"] = on_test
    return found


def for_a_linear_model(codes: np.ndarray) -> np.ndarray:
    """All codes, of the categories the logarithms of their probabilities."""
    categories = np.log(codes[:, :N_CATEGORIES].clip(TINY))
    return np.hstack([categories, codes[:, N_CATEGORIES:]])


def few_labels(train_codes: np.ndarray, test_codes: np.ndarray, data: Bunch, seed: int) -> Row:
    """Logistic regression for `male` on 200 labels: on all codes and on as many components."""
    train, test = pixels(data.X_train), pixels(data.X_test)
    pca = PCA(train_codes.shape[1], random_state=seed).fit(train)
    codes = for_a_linear_model(train_codes), for_a_linear_model(test_codes)
    components = pca.transform(train), pca.transform(test)
    ways = {
        "codes": (codes, True),
        "pca": (components, True),
        "codes_unscaled": (codes, False),
        "pca_unscaled": (components, False),
    }
    labels = data.male_train, data.male_test
    return {
        f"male_{N_LABELS}_labels_{name}": few_labels_accuracy(
            features, *labels, N_LABELS, seed, scale=scale
        )
        for name, (features, scale) in ways.items()
    }


def measure_faces(seed: int, quick: bool) -> Row:
    """Every measure of one fit on faces."""
    data = faces(quick)
    gan = new_model(seed, quick, **FACES)
    seconds = timed(gan.fit, data.X_train)
    return {"seconds": seconds, **measures_of_faces(gan, data, seed)}


def measures_of_faces(gan: BInfoGANTransformer, data: Bunch, seed: int) -> Row:
    """Every measure of a fitted model except the seconds."""
    train, test = gan.transform(data.X_train), gan.transform(data.X_test)
    return {
        **told_by_one_code(single_codes(gan, data.X_train), single_codes(gan, data.X_test), data),
        **few_labels(train, test, data, seed),
        "r2": r2(data.X_test, gan.inverse_transform(test)),
        "largest_overlap": largest_overlap(gan),
        "agreement": gan.diagnostics_["agreement"],
        "score": float(gan.score(data.X_test)),
    }


# -- MNIST on photographs --------------------------------------------------------------------------


def photos(quick: bool) -> tuple[Bunch, Bunch]:
    """Training and test images; the same for every seed."""
    sizes = (600, 300) if quick else (None, None)
    return tuple(
        make_mnist_on_photos(n, subset=subset, random_state=i)
        for i, (n, subset) in enumerate(zip(sizes, ("train", "test"), strict=True))
    )


def measure_photos(seed: int, quick: bool) -> Row:
    """Accuracy of the categorical code that says most about the digit, and of k-means."""
    train, test = photos(quick)
    gan = new_model(seed, quick, **PHOTOS)
    seconds = timed(gan.fit, train.X)
    on_training = [cluster_accuracy(train.y, labels) for labels in gan.labels_.T]
    on_test = [cluster_accuracy(test.y, labels) for labels in gan.predict(test.X).T]
    best = int(np.argmax(on_training))
    kmeans = KMeans(10, n_init=3, random_state=seed).fit(pixels(train.X[:N_KMEANS]))
    return {
        "test_accuracy": on_test[best],
        **digits_of_samples(gan, best, train, test, seed),
        "kmeans_accuracy": cluster_accuracy(test.y, kmeans.predict(pixels(test.X))),
        "accuracies": on_test,
        "r2": r2(test.X, gan.inverse_transform(gan.transform(test.X))),
        "largest_overlap": largest_overlap(gan),
        "seconds": seconds,
    }


def digits_of_samples(
    gan: BInfoGANTransformer, code: int, train: Bunch, test: Bunch, seed: int
) -> Row:
    """How often a network trained on real images sees the digit that a sample's category means.

    Categories are given their digits on the training images; those of no digit don't count.
    """
    samples, drawn = gan.sample(N_GENERATED, random_state=seed)
    digit_of, _ = match_clusters(train.y, gan.labels_[:, code])
    meant = np.array([digit_of.get(category, -1) for category in drawn[:, code].tolist()])
    rows = np.vstack([samples, test.X])
    real = train.X[:N_NAMED], train.y[:N_NAMED]
    seen = conv_net_labels(*real, rows, seed, n_channels=IMAGE_SHAPE[2])
    return {
        "samples_named": float((seen[:N_GENERATED] == meant)[meant >= 0].mean()),
        "real_named": float((seen[N_GENERATED:] == test.y).mean()),
    }


# -- seconds of a step -----------------------------------------------------------------------------


def measure_step(seed: int, quick: bool) -> Row:
    """Median seconds of a step of the game of both architectures, one after the other."""
    X = load_faces().X_train[:N_STEP_ROWS]
    row: Row = {}
    for architecture, batch_size in BATCH_SIZES.items():
        times = StepTimes()
        BInfoGANTransformer(
            n_clusters=N_CLUSTERS,
            n_continuous=N_CONTINUOUS,
            image_shape=IMAGE_SHAPE,
            architecture=architecture,
            warmup_iter=0,
            max_iter=N_SKIPPED + (2 if quick else N_STEPS),
            batch_size=batch_size,
            random_state=seed,
            callbacks=[times],
        ).fit(X)
        seconds = float(np.median(np.diff(times.times_[N_SKIPPED - 1 :])))
        row[f"{architecture}_step_seconds"] = seconds
        row[f"{architecture}_row_milliseconds"] = 1000 * seconds / batch_size
    return row


def measure_size(side: int, seed: int, quick: bool) -> Row:
    """CPU seconds of a step of both phases on a batch of noise, and weights of the networks."""
    shape = (side, side, 3)
    X = np.random.default_rng(seed).integers(256, size=(N_SIZE_ROWS, side**2 * 3), dtype=np.uint8)
    gan = BInfoGANTransformer(10, image_shape=shape, batch_size=N_SIZE_ROWS, random_state=seed)
    row: Row = {}
    for phase in (CONSISTENCY, GAME):
        trainer, batches = begun(gan, X, phase)
        row[f"{phase}_cpu_seconds"] = step_cpu_seconds(trainer, batches)
        players = trainer.players
    networks = (players.encoder, players.generator, players.discriminator)
    return row | {
        "parameters": sum(w.numel() for network in networks for w in network.parameters())
    }


def step_cpu_seconds(trainer: Any, batches: Iterator[Any]) -> float:
    """Median CPU seconds of a few steps."""

    def step() -> None:
        trainer.phase.step(next(batches))

    seconds = [timed(step, clock=time.process_time) for _ in range(N_SIZE_STEPS)]
    return float(np.median(seconds[1:]))


def run_sizes(options: argparse.Namespace) -> None:
    """A step at every size."""
    sides = SIDES[:2] if options.quick else SIDES
    cases = [{"side": side, "seed": s} for s in options.seeds or FEW_SEEDS[:1] for side in sides]
    run("colour_sizes", partial(measure_size, quick=options.quick), cases, options)


# -- the paper's preset, as far as the time goes ---------------------------------------------------


def run_paper(options: argparse.Namespace) -> None:
    """The paper's own networks and objective on faces, as many steps as asked for."""
    cases = [{"seed": seed} for seed in options.seeds or FEW_SEEDS[:1]]
    measure = partial(measure_paper, steps=options.paper_steps, quick=options.quick)
    print_measures(run("colour_paper", measure, cases, options))


def measure_paper(seed: int, steps: int, quick: bool) -> Row:
    """Every measure after some steps in bfloat16, and the curve of the losses."""
    data = faces(quick)
    gan = new_model(seed, quick, architecture="paper-32x32", precision="bf16", max_iter=steps)
    seconds = timed(gan.fit, data.X_train)
    names = ("discriminator_loss", "adversarial_loss", "train_loss", "valid_loss")
    epochs = gan.history_[-1 :: -max(len(gan.history_) // 20, 1)][::-1]
    return {
        "steps": gan.n_iter_,
        "steps_in_the_paper": 500_000,
        "seconds": seconds,
        **measures_of_faces(gan, data, seed),
        "curve": [{"epoch": e["epoch"], **{name: e[name] for name in names}} for e in epochs],
    }


# -- the results page ----------------------------------------------------------------------------

FACES_MEASURES = [
    Measure(
        "male_auc", "AUC of the code that tells `male` best", "0.5 is chance, 1 perfect.", decimals
    ),
    Measure(
        "child_auc", "the same for a child, under 13 years", "Nobody told it about age.", decimals
    ),
    Measure("skin_correlation", "correlation of a code with the skin's brightness", "", decimals),
    Measure("background_correlation", "the same with the background's", "", decimals),
    Measure(
        "male_200_labels_codes",
        "`male` by 200 labels, logistic regression on all codes",
        "About what principal components give.",
    ),
    Measure("male_200_labels_pca", "the same on as many principal components"),
    Measure("male_200_labels_codes_unscaled", "on all codes, not standardised"),
    Measure("male_200_labels_pca_unscaled", "on principal components, not standardised"),
    Measure("r2", "R2 of reconstructions with noise", "", decimals),
    Measure("largest_overlap", "information that two categorical codes share", "", decimals, max),
    Measure("agreement", "predict(sample(c)) gives c"),
    Measure("score", "score", "", decimals),
    Measure("seconds", "seconds for one fit, on a busy machine", "", whole, max),
]
PHOTOS_MEASURES = [
    Measure("test_accuracy", "one-to-one digit accuracy of the best categorical code"),
    Measure("kmeans_accuracy", "the same of k-means on pixels"),
    Measure("samples_named", "a network trained on real images names the category's digit"),
    Measure("real_named", "the same network, of real test images"),
    Measure("r2", "R2 of reconstructions with noise", "", decimals),
    Measure("largest_overlap", "information that two categorical codes share", "", decimals, max),
    Measure("seconds", "seconds for one fit, on a busy machine", "", whole, max),
]
STEPS_MEASURES = [
    Measure(f"{preset}_{what}", f'"{preset}", {name}', "", decimals, max)
    for preset in ("paper-32x32", "conv")
    for what, name in {
        "step_seconds": "seconds a step",
        "row_milliseconds": "milliseconds a row",
    }.items()
]


SIZES_MEASURES = [
    Measure("consistency_cpu_seconds", "CPU seconds of a consistency step", "", decimals, max),
    Measure("game_cpu_seconds", "CPU seconds of a step of the game", "", decimals, max),
    Measure("parameters", "parameters of all three networks", "", whole, max),
]


@reported(
    "Faces",
    "colour_faces",
    "benchmarks/colour.py",
    "15 000 photographs of 32 x 32 pixels, four codes of ten categories and four continuous ones.",
)
def faces_section(content: Row) -> str:
    return measures_table(FACES_MEASURES, content["rows"])


@reported(
    "MNIST on photographs",
    "colour_photos",
    "benchmarks/colour.py --photos",
    "MNIST's digits on busy photographs, which stand in for house numbers; codes as for faces.",
)
def photos_section(content: Row) -> str:
    return measures_table(PHOTOS_MEASURES, content["rows"])


@reported(
    "A step of both presets",
    "colour_steps",
    "benchmarks/colour.py --steps",
    "What one step of the game costs on images of 32 x 32 x 3.",
)
def steps_section(content: Row) -> str:
    return measures_table(STEPS_MEASURES, content["rows"])


@reported(
    "A step by the size of the images",
    "colour_sizes",
    "benchmarks/colour.py --sizes",
    "What a step on 128 square colour images costs, and how large the networks are.",
)
def sizes_section(content: Row) -> str:
    return groups_table("side", content["rows"], SIZES_MEASURES)


@reported(
    "The paper's networks and objective on faces", "colour_paper", "benchmarks/colour.py --paper"
)
def paper_section(content: Row) -> str:
    row = content["rows"][0]
    state = (
        f"{row['steps']} of the paper's {row['steps_in_the_paper']} steps, in bfloat16, in "
        f"{row['seconds']:.0f} seconds."
    )
    known = [m for m in FACES_MEASURES if m.key in row]
    measures = table(["measure", "measured"], ([m.label, m.shown(row[m.key])] for m in known))
    return f"{state}\n\n{measures}"


# -- from the command line -------------------------------------------------------------------------


def run_study(name: str, measure: Any, options: argparse.Namespace) -> None:
    """Measure every seed and print a column for each."""
    one_fit_a_seed(name, measure, options, FEW_SEEDS)


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--paper-steps", type=int, default=20_000, help="for --paper")
    studies = {
        "photos": partial(run_study, "colour_photos", measure_photos),
        "steps": partial(run_study, "colour_steps", measure_step),
        "sizes": run_sizes,
        "paper": run_paper,
    }
    group = options.add_mutually_exclusive_group()
    for name, study in studies.items():
        group.add_argument(f"--{name}", dest="study", action="store_const", const=study)
    options.set_defaults(study=partial(run_study, "colour_faces", measure_faces))
    options = options.parse_args()
    options.study(options)


if __name__ == "__main__":
    main()
