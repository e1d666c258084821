"""Rendered shapes with known factors: our codes compared with those of a beta-VAE of equal size.

    python benchmarks/disentanglement.py   # seeds 100 to 102 -> results/disentanglement.json

The beta-VAE (Higgins et al. 2017) has as many parameters as our encoder and generator, within a few
percent, and trains on the same rows for as many CPU seconds as our fit, with one thread each. Only
the latent dimensions that it uses count. Neither model sees a factor; metrics are computed on other
shapes. Our model has only three continuous codes, for position and size of a shape. T, which turns
and shifts shapes, says what the last of them should not depend on; the beta-VAE lacks this
information. An interrupted run resumes where it stopped.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch
from _shared import (
    FEW_SEEDS,
    Measure,
    Row,
    decimals,
    measures_table,
    one_fit_a_seed,
    parameters_of_a_run,
    parser,
    r2,
    reported,
    timed,
    whole,
)
from sklearn.utils import Bunch
from torch import Tensor, nn
from torch.nn import functional as F

from sklearn_binfogan import AffineMove, BInfoGANTransformer
from sklearn_binfogan._base import fitted_model
from sklearn_binfogan._codes import CodeSpec
from sklearn_binfogan._networks import ConvGenerator, conv_stack, dense_stack, initialise
from sklearn_binfogan.datasets import make_shapes
from sklearn_binfogan.metrics import (
    code_columns,
    dci,
    factor_vae_score,
    mutual_information_gap,
    sap,
)

N_TRAIN, N_TEST = 20_000, 5000
OURS: dict[str, Any] = {
    "n_clusters": 1,
    "n_continuous": 3,
    "n_noise": 0,
    "augmentation": AffineMove(rotation=math.pi, scale=0.0, shear=0.0, shift=0.6),
    "warmup_iter": 50,  # there are no categories to learn
    "max_iter": 700,
}
N_LATENT, BETA = 10, 4.0  # as Higgins et al. and Kim & Mnih have on dSprites
BATCH_SIZE, LEARNING_RATE = 128, 1e-3
USED = 0.05  # variance of a latent mean over rows; a dimension that says nothing has almost 0
BLOCK = 1000


class BetaVAE(nn.Module):
    """q(z | x) and p(x | z) with Bernoulli pixels; layers as in our encoder and generator.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W)
    dense : int
        Units of the encoder's dense layer: sets the number of parameters.
    """

    def __init__(self, shape: tuple[int, ...], dense: int) -> None:
        super().__init__()
        trunk, width = conv_stack(shape, (16, 32, 64), (2, 2, 2), "batch")
        trunk.extend(dense_stack([width, dense], batch_norm=True))
        self.encoder = nn.Sequential(trunk, nn.Linear(dense, 2 * N_LATENT))
        initialise(self.encoder)
        self.decoder = ConvGenerator(CodeSpec((), 0, N_LATENT), shape, (64, 32))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x), (n, N_LATENT) each."""
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        return mean, log_variance

    def loss(self, x: Tensor) -> Tensor:
        """Reconstruction and BETA times KL(q(z | x) || N(0, 1)), per row."""
        mean, log_variance = self.posterior(x)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        decoded = self.decoder(z).clamp(1e-6, 1 - 1e-6)
        error = F.binary_cross_entropy(decoded, x, reduction="sum")
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
        return (error + BETA * divergence) / len(x)


def n_parameters(*modules: nn.Module) -> int:
    """Number of weights of some modules."""
    return sum(p.numel() for module in modules for p in module.parameters())


def beta_vae_of_size(n: int, shape: tuple[int, ...]) -> BetaVAE:
    """A beta-VAE of about n parameters."""
    one, two = (n_parameters(BetaVAE(shape, dense)) for dense in (1, 2))  # a straight line
    return BetaVAE(shape, max(1, 1 + round((n - one) / (two - one))))


def as_images(X: np.ndarray, shape: tuple[int, ...]) -> Tensor:
    """Rows of bytes as (n, 1, H, W) in [0, 1]."""
    return torch.from_numpy(X.astype(np.float32) / 255).reshape(-1, *shape)


def train_for(vae: BetaVAE, images: Tensor, seconds: float) -> int:
    """Train for some CPU seconds; return the number of steps."""
    optimizer = torch.optim.Adam(vae.parameters(), LEARNING_RATE)
    end, n_steps = time.process_time() + seconds, 0
    while time.process_time() < end:
        loss = vae.loss(images[torch.randint(len(images), (BATCH_SIZE,))])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        n_steps += 1
    return n_steps


@torch.no_grad()
def used_means(vae: BetaVAE, images: Tensor) -> np.ndarray:
    """Means of q(z | x) in the dimensions that vary over rows."""
    means = torch.cat([vae.posterior(block)[0] for block in images.split(BLOCK)])
    return means[:, means.var(dim=0) > USED].double().numpy()


def metrics(name: str, factors: np.ndarray, codes: np.ndarray, seed: int) -> Row:
    """Every metric of some codes; 0 for no codes at all."""
    if codes.shape[1] == 0:
        return {f"{name}_{key}": 0.0 for key in ("factor_vae", "mig", "sap")}
    importance = dci(factors, codes, random_state=seed)
    return {
        f"{name}_factor_vae": factor_vae_score(factors, codes, random_state=seed),
        f"{name}_mig": mutual_information_gap(factors, codes),
        f"{name}_sap": sap(factors, codes),
        **{f"{name}_{key}": float(value) for key, value in importance._asdict().items()},
    }


def measure_beta_vae(train: Bunch, test: Bunch, seconds: float, n: int, seed: int) -> Row:
    """A beta-VAE of n parameters after some seconds of training."""
    shape = (1, *train.image_shape)
    torch.manual_seed(seed)
    vae = beta_vae_of_size(n, shape)
    n_steps = train_for(vae, as_images(train.X, shape), seconds)
    vae.eval()
    images = as_images(test.X, shape)
    codes = used_means(vae, images)
    with torch.no_grad():
        rebuilt = torch.cat([vae.decoder(vae.posterior(b)[0]) for b in images.split(BLOCK)])
    return {
        **metrics("beta_vae", test.factors, codes, seed),
        "beta_vae_r2": r2(test.X, 255 * rebuilt.flatten(1).numpy()),
        "beta_vae_parameters": n_parameters(vae),
        "beta_vae_steps": n_steps,
        "beta_vae_codes_used": codes.shape[1],
    }


def measure(seed: int, quick: bool) -> Row:
    """Both models on the same shapes."""
    train = make_shapes(1000 if quick else N_TRAIN, random_state=0)
    test = make_shapes(500 if quick else N_TEST, random_state=1)
    gan = BInfoGANTransformer(
        image_shape=train.image_shape, random_state=seed, **parameters_of_a_run(quick, OURS)
    )
    seconds = timed(gan.fit, train.X, clock=time.process_time)
    players = fitted_model(gan).trainer.players
    n = n_parameters(players.encoder, players.generator)
    continuous = code_columns(gan, test.X)[:, 1:]
    return {
        **metrics("ours", test.factors, continuous, seed),
        "ours_r2": r2(test.X, gan.inverse_transform(gan.transform(test.X))),
        **measure_beta_vae(train, test, seconds, n, seed),
        "parameters": n,
        "cpu_seconds": seconds,
    }


METRICS = {
    "factor_vae": "FactorVAE score",
    "mig": "mutual information gap",
    "sap": "SAP",
    "disentanglement": "DCI disentanglement",
    "completeness": "DCI completeness",
    "informativeness": "DCI informativeness",
    "r2": "R2 of reconstructions",
    "parameters": "parameters",
}
SHAPES = [
    Measure(
        f"{who}_{key}" if (who, key) != ("ours", "parameters") else key,
        f"{label}, {name}",
        "",
        whole if key == "parameters" else decimals,
    )
    for key, label in METRICS.items()
    for who, name in {"ours": "ours", "beta_vae": "beta-VAE"}.items()
] + [Measure("cpu_seconds", "CPU seconds of each", "", whole, max)]


@reported(
    "Shapes with known factors",
    "disentanglement",
    "benchmarks/disentanglement.py",
    "Whether single codes hold single factors, compared with a beta-VAE of the same size and "
    "training time. T turns and shifts shapes, and so tells our model what half of the codes "
    "should not depend on. The beta-VAE lacks this information. It reconstructs better.",
)
def section(content: Row) -> str:
    return measures_table(SHAPES, content["rows"])


def main() -> None:
    options = parser(__doc__.splitlines()[0]).parse_args()
    one_fit_a_seed("disentanglement", measure, options, FEW_SEEDS)


if __name__ == "__main__":
    main()
