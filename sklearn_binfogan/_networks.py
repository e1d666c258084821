"""Encoder, generator and discriminator, built from sizes alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ._codes import CodeSpec

FINE_RATIO = 4


def elu() -> nn.Module:
    """Activation of encoder and generator, as in the paper."""
    return nn.ELU()


def leaky_relu() -> nn.Module:
    """Activation of the discriminator."""
    return nn.LeakyReLU(0.2)


def dense_stack(
    sizes: Sequence[int], activation: Callable[[], nn.Module] = elu, batch_norm: bool = False
) -> nn.Sequential:
    """Fully connected layers, each followed by the activation."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers.append(nn.Linear(n_in, n_out, bias=not batch_norm))
        layers += [nn.BatchNorm1d(n_out)] if batch_norm else []
        layers.append(activation())
    return nn.Sequential(*layers)


def initialise(network: nn.Module) -> nn.Module:
    """He-normal weights and zero biases (the paper's initialisation of D and E)."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=0.05)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    return network


def conv_stack(
    shape: tuple[int, ...],
    channels: Sequence[int],
    strides: Sequence[int],
    norm: str = "none",
    activation: Callable[[], nn.Module] = elu,
) -> tuple[nn.Sequential, int]:
    """3 x 3 convolutions with padding 1, flattened at the end.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of the input.
    channels, strides : sequence of int
        One entry per layer.
    norm : {"none", "batch", "group"}

    Returns
    -------
    layers : Sequential
    width : int
        Number of features of the flattened output.
    """
    n_in, height, width = shape
    layers: list[nn.Module] = []
    for n_out, stride in zip(channels, strides, strict=True):
        layers += [nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=norm != "batch")]
        layers += [*_norm(norm, n_out), activation()]
        n_in, height, width = n_out, math.ceil(height / stride), math.ceil(width / stride)
    return nn.Sequential(*layers, nn.Flatten()), n_in * height * width


def _norm(name: str, channels: int) -> list[nn.Module]:
    if name == "none":
        return []
    return [nn.BatchNorm2d(channels) if name == "batch" else nn.GroupNorm(4, channels)]


class NoOutput(nn.Module):
    """Stands for a linear layer with no output."""

    def forward(self, x: Tensor) -> Tensor:
        """Give (n, 0)."""
        return x[:, :0]


class Encoder(nn.Module):
    """E(x) = (q(c | x), mean of the continuous codes, z).

    A category branch and a style branch, so that the game can shape the style codes while the
    categories stay as the consistency phase left them.

    Parameters
    ----------
    spec : CodeSpec
    category_trunk, style_trunk : Module
        Network input -> (n, width) features; the same module may serve as both.
    category_width, style_width : int
        Widths of those features.
    n_heads : int
        Candidate category heads on the one trunk; the consistency phase keeps the best.
    n_fine_heads : int
        Auxiliary heads with `FINE_RATIO` times as many categories: they only shape the trunk.
    """

    head: Tensor

    def __init__(
        self,
        spec: CodeSpec,
        category_trunk: nn.Module,
        category_width: int,
        style_trunk: nn.Module,
        style_width: int,
        n_heads: int = 1,
        n_fine_heads: int = 0,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.n_heads, self.n_fine_heads = n_heads, n_fine_heads
        self.category_trunk = category_trunk
        self.category_head = nn.Linear(category_width, n_heads * spec.n_categorical)
        n_fine = n_fine_heads * FINE_RATIO * max(spec.categories)
        self.fine_head = nn.Linear(category_width, n_fine) if n_fine else nn.Identity()
        self.style_trunk = style_trunk
        n_style = spec.n_continuous + spec.n_noise
        joined = style_width + spec.n_categorical
        self.style_head = nn.Linear(joined, n_style) if n_style else NoOutput()
        self.register_buffer("head", torch.tensor(0))
        initialise(self)
        nn.init.normal_(self.category_head.weight, std=category_width**-0.5)
        for weight in self.style_head.parameters():
            if weight.dim() == 2:
                nn.init.normal_(weight, std=0.05)

    def candidates(self, features: Tensor) -> Tensor:
        """Logits of every candidate head, (n_heads, n, n_categorical), from trunk features."""
        logits = self.category_head(features)
        return logits.unflatten(1, (self.n_heads, -1)).transpose(0, 1)

    def fine_logits(self, features: Tensor) -> Tensor:
        """Logits of the auxiliary heads with finer categories, (n_fine_heads, n, K)."""
        return self.fine_head(features).unflatten(1, (self.n_fine_heads, -1)).transpose(0, 1)

    def logits(self, x: Tensor) -> Tensor:
        """Logits of the kept head, (n, n_categorical)."""
        return self.candidates(self.category_trunk(x))[self.head]

    def style(self, x: Tensor, categories: Tensor) -> Tensor:
        """Continuous means, then z in (-1, 1), given the categories, side by side."""
        features = torch.cat([self.style_trunk(x), categories], dim=1)
        continuous, noise = self.style_head(features).split(
            [self.spec.n_continuous, self.spec.n_noise], dim=1
        )
        return torch.cat([continuous, noise.tanh()], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Codes (n, spec.width); the categorical part is the posterior q(c | x).

        The style branch reads the most likely category, as it did in training.
        """
        posterior = self.spec.posterior(self.logits(x))
        return torch.cat([posterior, self.style(x, self.spec.harden(posterior))], dim=1)

    def category_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of the category branch."""
        yield from self.category_trunk.parameters()
        yield from self.category_head.parameters()
        yield from self.fine_head.parameters()


class DenseGenerator(nn.Module):
    """G(Z) for table rows: standardised columns, (n, n_features), or unbounded images."""

    def __init__(self, spec: CodeSpec, shape: tuple[int, ...], hidden: Sequence[int]) -> None:
        super().__init__()
        self.shape = shape
        self.layers = dense_stack([spec.width, *hidden])
        self.output = nn.Linear(hidden[-1], math.prod(shape))
        initialise(self)

    def forward(self, codes: Tensor) -> Tensor:
        """Rows of codes (n, spec.width)."""
        return self.output(self.layers(codes)).unflatten(1, self.shape)


class ConvGenerator(nn.Module):
    """G(Z) for images in [0, 1]: dense, then transposed convolutions that double the size.

    Parameters
    ----------
    spec : CodeSpec
    shape : tuple of int
        (C, H, W) of the images; a size that is no multiple of 2 ** doublings is cropped.
    channels : sequence of int
        Channels of each feature map before its doubling.
    norm : {"none", "batch", "group"}
    """

    def __init__(
        self,
        spec: CodeSpec,
        shape: tuple[int, ...],
        channels: Sequence[int],
        norm: str,
    ) -> None:
        super().__init__()
        image_channels, self.height, self.width = shape
        factor = 2 ** len(channels)
        base = (channels[0], math.ceil(self.height / factor), math.ceil(self.width / factor))
        self.project = nn.Sequential(
            nn.Linear(spec.width, math.prod(base)),
            nn.Unflatten(1, base),
            *_norm(norm, base[0]),
            elu(),
        )
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise([*channels, image_channels]):
            layers += [nn.ConvTranspose2d(n_in, n_out, 4, 2, padding=1)]
            layers += [*_norm(norm, n_out), elu()]
        # The last layer gives pixels: neither norm nor ELU, but a sigmoid.
        n_tail = 1 + len(_norm(norm, 1))
        self.layers = nn.Sequential(*layers[:-n_tail], nn.Sigmoid())
        initialise(self)

    def forward(self, codes: Tensor) -> Tensor:
        """Images (n, C, H, W) of codes (n, spec.width)."""
        images = self.layers(self.project(codes))
        return images[:, :, : self.height, : self.width]


class Discriminator(nn.Module):
    """D(x, Z): the logit of "this pair comes from the encoder", shape (n,).

    Parameters
    ----------
    data_trunk : Module
        Network input -> (n, data_width) features.
    data_width : int
    code_width : int
        Width of Z.
    code_hidden : sequence of int
        Layers of Z alone; empty to join Z as it is.
    joint_hidden : sequence of int
        Layers of the joined features, before the logit.
    """

    def __init__(
        self,
        data_trunk: nn.Module,
        data_width: int,
        code_width: int,
        code_hidden: Sequence[int],
        joint_hidden: Sequence[int],
    ) -> None:
        super().__init__()
        sizes = [code_width, *code_hidden]
        self.data_trunk = data_trunk
        self.code_trunk = dense_stack(sizes, leaky_relu)
        joint = [data_width + sizes[-1], *joint_hidden]
        self.joint = dense_stack(joint, leaky_relu)
        self.verdict = nn.Linear(joint[-1], 1)
        initialise(self)
        nn.init.normal_(self.verdict.weight, std=0.02)

    def forward(self, x: Tensor, codes: Tensor) -> Tensor:
        """Logits (n,) of pairs of network input and codes (n, width)."""
        features = torch.cat([self.data_trunk(x), self.code_trunk(codes)], dim=1)
        return self.verdict(self.joint(features)).squeeze(1)
