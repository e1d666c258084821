"""MNIST: clusters, codes, samples and reconstructions of the default recipe, seed by seed.

    python benchmarks/mnist.py    # seeds 100 to 109 -> results/mnist.json

An interrupted run resumes where it stopped. Every fit uses one thread. No labels are used to
fit or to choose. mnist_prior.py, mnist_score.py and mnist_ablation.py measure the prior, the score
and each part of the training separately.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from _shared import (
    CODES,
    MNIST_SHAPE,
    N_CODES,
    SEEDS,
    Measure,
    Row,
    StepTimes,
    decimals,
    factor_measures,
    few_labels_accuracy,
    folded,
    logistic,
    measures_table,
    mnist,
    mnist_model,
    one_fit_a_seed,
    parser,
    pixels,
    r2,
    recovery,
    reported,
    table,
    timed,
    whole,
    yes_no,
)
from sklearn.decomposition import PCA
from sklearn.utils import Bunch
from skorch.callbacks import Callback
from torch import nn

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.metrics import cluster_accuracy, match_clusters

BLOCK = 1000
N_GENERATED, N_LABELS = 10_000, (20, 100)
PAPERS_STEPS = 30_000
PAPER_ROWS, PAPER_STEPS, PAPER_WARMUP_STEPS = 1280, 11, 2
CONV_EPOCHS, CONV_BATCH = 5, 128


# -- every measure of one seed -----------------------------------------------------------------


class FirstPhase(Callback):
    """Where the model stands at the end of the consistency phase.

    Attributes, once the phase has ended: `ended_`, on the clock of `time.perf_counter`;
    `seconds_`, what this callback itself took; `labels_`, the clusters of `X`.
    """

    def __init__(self, X: np.ndarray) -> None:
        self.X = X

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        if net.training.phase.name != "game":  # before it the categories are settled
            return
        self.ended_ = time.perf_counter()
        images = torch.from_numpy(pixels(self.X)).reshape(-1, 1, *MNIST_SHAPE)
        encoder = net.module_.averaged_encoder
        with torch.no_grad():
            codes = torch.cat([encoder(block.to(net.device)) for block in images.split(BLOCK)])
        self.labels_ = codes[:, : CODES["n_clusters"]].argmax(dim=1).cpu().numpy()
        self.seconds_ = time.perf_counter() - self.ended_


def paper_step_seconds(X: np.ndarray, seed: int, quick: bool) -> float:
    """Median seconds of a step of the paper's preset, here and now."""
    steps = StepTimes()
    BInfoGANTransformer(
        image_shape=MNIST_SHAPE,
        architecture="paper-mnist",
        max_iter=PAPER_WARMUP_STEPS + 2 if quick else PAPER_STEPS,
        random_state=seed,
        callbacks=[steps],
    ).fit(X[:PAPER_ROWS])
    return float(np.median(np.diff(steps.times_[PAPER_WARMUP_STEPS:])))


def clusters_and_seconds(data: Bunch, seed: int, quick: bool) -> tuple[BInfoGANTransformer, Row]:
    """Fit; accuracies of the clusters and what they cost."""
    first = FirstPhase(data.X_test)
    gan = mnist_model(seed, quick, callbacks=[first])
    start = time.perf_counter()
    seconds = timed(gan.fit, data.X_train) - first.seconds_
    step_seconds = paper_step_seconds(data.X_train, seed, quick)
    return gan, {
        "test_accuracy": cluster_accuracy(data.y_test, gan.predict(data.X_test)),
        "train_accuracy": cluster_accuracy(data.y_train, gan.labels_),
        "fit_seconds": seconds,
        "first_phase_accuracy": cluster_accuracy(data.y_test, first.labels_),
        "first_phase_seconds": first.ended_ - start,
        "paper_step_seconds": step_seconds,
        "speedup": PAPERS_STEPS * step_seconds / seconds,
    }


def generated(
    gan: BInfoGANTransformer, data: Bunch, n_images: int, seed: int, **how: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Samples and the digits that they should show."""
    digit_of, _ = match_clusters(data.y_train, gan.labels_)
    images, drawn = gan.sample(n_images, random_state=seed, **how)
    # A cluster that holds no training image has no digit: its samples are left out.
    known = np.isin(drawn, list(digit_of))
    return pixels(images[known]), np.array([digit_of[k] for k in drawn[known].tolist()])


def trained_on_generated(gan: BInfoGANTransformer, data: Bunch, seed: int) -> Row:
    """Test accuracy of classifiers trained only on generated images; on real ones to compare."""
    n_images = min(N_GENERATED, len(data.X_train))
    chosen = np.random.default_rng(seed).choice(len(data.X_train), n_images, replace=False)
    test = (pixels(data.X_test), data.y_test)
    sources = {
        "generated": generated(gan, data, n_images, seed),
        "prior": generated(gan, data, n_images, seed, from_prior=True),
        "real": (pixels(data.X_train[chosen]), data.y_train[chosen]),
    }
    return {
        **{f"{k}_logistic": logistic_accuracy(*rows, *test) for k, rows in sources.items()},
        **{f"{k}_conv": conv_accuracy(*rows, *test, seed) for k, rows in sources.items()},
    }


def few_labels(train_codes: np.ndarray, test_codes: np.ndarray, data: Bunch, seed: int) -> Row:
    """Logistic regression on 20 and 100 labels: on codes, on pixels and on as many components."""
    train, test = pixels(data.X_train), pixels(data.X_test)
    pca = PCA(N_CODES, random_state=seed).fit(train)
    features = {
        "codes": (train_codes, test_codes),
        "pixels": (train, test),
        "pca": (pca.transform(train), pca.transform(test)),
    }
    return {
        f"labels_{n}_{name}": few_labels_accuracy(
            pair, data.y_train, data.y_test, n, seed, scale=name != "pixels"
        )
        for n in N_LABELS
        for name, pair in features.items()
    }


def measure(seed: int, quick: bool) -> Row:
    """Every line of the table for one seed."""
    data = mnist(quick)
    gan, clusters = clusters_and_seconds(data, seed, quick)
    with_noise = gan.transform(data.X_test)
    codes = with_noise[:, :N_CODES]
    images = pixels(data.X_test).reshape(-1, *MNIST_SHAPE)
    return {
        **clusters,
        **recovery(gan, seed),
        "r2": r2(data.X_test, gan.inverse_transform(with_noise)),
        **factor_measures(gan.predict(data.X_test), codes[:, CODES["n_clusters"] :], images),
        **trained_on_generated(gan, data, seed),
        **few_labels(gan.transform(data.X_train)[:, :N_CODES], codes, data, seed),
        "score": float(gan.score(data.X_test)),
    }


# -- classifiers ---------------------------------------------------------------------------------


def logistic_accuracy(
    X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray
) -> float:
    """Test accuracy of multinomial logistic regression."""
    return float(logistic(scale=False, max_iter=200).fit(X, y).score(X_test, y_test))


def conv_accuracy(
    X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray, seed: int
) -> float:
    """Test accuracy of a small convolutional net; rows are 28 x 28 pixels in [0, 1]."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    net = nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64 * 5 * 5, 128), nn.ReLU(), nn.Linear(128, 10)),
    )
    _train(net, _images(X), torch.from_numpy(y))
    with torch.no_grad():
        found = torch.cat([net(block).argmax(dim=1) for block in _images(X_test).split(BLOCK)])
    return float((found.numpy() == y_test).mean())


def _train(net: nn.Module, images: torch.Tensor, digits: torch.Tensor) -> None:
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(CONV_EPOCHS):
        for rows in torch.randperm(len(images)).split(CONV_BATCH):
            loss = nn.functional.cross_entropy(net(images[rows]), digits[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def _images(X: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(X.astype(np.float32)).reshape(-1, 1, 28, 28)


# -- the results page ----------------------------------------------------------------------------

MAIN = [
    Measure(
        "test_accuracy",
        "one-to-one test accuracy",
        "Test images whose category is that of their digit, after the best matching.",
    ),
    Measure("train_accuracy", "one-to-one training accuracy"),
    Measure("fit_seconds", "seconds for one whole fit", "By the clock, one thread.", whole, max),
    Measure(
        "first_phase_accuracy",
        "test accuracy at the end of the first phase",
        "The game leaves the categories alone.",
    ),
    Measure(
        "first_phase_seconds",
        "seconds at the end of the first phase",
        "Where only clusters are wanted, `max_iter=0` ends here.",
        whole,
        max,
    ),
    Measure("paper_step_seconds", "seconds a step of the paper's preset", "", decimals, max),
    Measure(
        "speedup",
        "times as fast as 30 000 such steps",
        "How much longer the paper's number of steps would take here.",
        whole,
    ),
    Measure(
        "generated_logistic",
        "logistic regression trained on 10 000 generated images, real test set",
        "Whether samples are like real images, and of the right digit.",
    ),
    Measure("prior_logistic", "the same, images drawn with from_prior=True"),
    Measure("real_logistic", "the same trained on 10 000 real images"),
    Measure(
        "generated_conv",
        "a small conv net trained on the generated images",
        "The same by a better classifier: samples are simpler than real images.",
    ),
    Measure("prior_conv", "the same net, images drawn with from_prior=True"),
    Measure("real_conv", "the same net trained on 10 000 real images"),
    Measure(
        "r2",
        "R2 of reconstructions with noise, test set",
        "1 is a copy, 0 the mean image.",
        decimals,
    ),
    Measure(
        "slant_correlation",
        "correlation within categories of one continuous code with slant",
        "Whether one code means slant.",
        decimals,
    ),
    Measure(
        "stroke_correlation",
        "of the other continuous code with stroke width",
        "Whether the other means stroke width.",
        decimals,
    ),
    Measure("factors_found", "both at least 0.6", "Seeds in which both hold.", yes_no),
    *(
        Measure(f"labels_{n}_{key}", f"{n} labels, logistic regression on {name}", meaning)
        for n in (20, 100)
        for key, name, meaning in (
            ("codes", "codes", "What the codes are worth as features."),
            ("pixels", "pixels", ""),
            ("pca", "12 principal components", ""),
        )
    ),
    Measure("agreement", "predict(sample(c)) gives c"),
    Measure("correlation_min", "correlation of E(G(c)) with c, lower of the codes", "", decimals),
    Measure("correlation_max", "the same, higher of the codes", "", decimals),
    Measure("score", "score, test set", "", decimals),
]


@reported(
    "The defaults",
    "mnist",
    "benchmarks/mnist.py",
    "The 60 000 training images, all parameters left at their defaults.",
)
def section(content: Row) -> str:
    rows = content["rows"]
    matrices = table(
        ["seed", "code 0, slant", "code 0, stroke", "code 1, slant", "code 1, stroke"],
        (
            [row["seed"], *(decimals(r) for code in row["factor_correlations"] for r in code)]
            for row in rows
        ),
    )
    return f"{measures_table(MAIN, rows)}\n\n" + folded(
        "All correlations with slant and stroke", matrices
    )


def main() -> None:
    options = parser(__doc__.splitlines()[0]).parse_args()
    rows = one_fit_a_seed("mnist", measure, options, SEEDS)
    print(f"slant and stroke found in {sum(r['factors_found'] for r in rows)} of {len(rows)} seeds")


if __name__ == "__main__":
    main()
