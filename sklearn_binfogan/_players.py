"""The networks of one model: the players, and what users see of them."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ._aggregate import AggregatePosterior
from ._settings import Settings


class Players(nn.Module):
    """Encoder, generator, discriminator, the running averages that users see, where E(x) lies."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        networks = settings.architecture.build(settings.spec, settings.layout.shape)
        self.encoder, self.generator, self.discriminator = networks
        self.averaged_encoder = copy.deepcopy(self.encoder).requires_grad_(False).eval()
        self.averaged_generator = copy.deepcopy(self.generator).requires_grad_(False).eval()
        self.aggregate = AggregatePosterior(settings.spec)

    def train(self, mode: bool = True) -> Players:
        """Set the mode of the players; the averages are only ever evaluated."""
        super().train(mode)
        self.averaged_encoder.eval()
        self.averaged_generator.eval()
        return self

    def compile_players(self, mode: str | None) -> None:
        """Compile E and G, by a mode of `torch.compile`; None: its default.

        D stays as it is: two gradients of one graph, its own and that of G and E, do not compile.
        """
        encoder = self.encoder
        for network in {encoder.category_trunk, encoder.style_trunk, self.generator}:
            _compile(network, mode)

    def by_optimizer(self) -> list[list[nn.Parameter]]:
        """Weights of each optimizer: E's categories on real data, (E, G) in the game, and D."""
        return [
            list(self.encoder.category_parameters()),
            [*self.encoder.parameters(), *self.generator.parameters()],
            list(self.discriminator.parameters()),
        ]

    def update_ema(self, decay: float) -> None:
        """Move the averages towards the players by 1 - decay."""
        with torch.no_grad():
            torch._foreach_lerp_(self._averages, self._sources, 1 - decay)

    def link(self) -> None:
        """Pair every weight and statistic with its average; call after moving devices."""
        pairs = [
            (average, source)
            for averaged, player in (
                (self.averaged_encoder, self.encoder),
                (self.averaged_generator, self.generator),
            )
            for average, source in zip(_tensors(averaged), _tensors(player), strict=True)
        ]
        self._averages = [average for average, _ in pairs]
        self._sources = [source for _, source in pairs]


def _compile(network: nn.Module, mode: str | None) -> None:
    forward = network.forward

    def run(*inputs: Tensor) -> Tensor:
        output: Tensor = forward(*inputs)
        return output

    # `Module.compile` leaves a `Sequential` of PyTorch's own layers as it is. Dynamo counts graphs
    # by code object and gives up after eight, silently: each network gets its own.
    run.__code__ = run.__code__.replace()
    network.forward = torch.compile(run, mode=mode)


def _tensors(module: nn.Module) -> list[Tensor]:
    """Floating-point parameters and buffers of a module."""
    tensors = [*module.parameters(), *module.buffers()]
    return [t.detach() for t in tensors if t.is_floating_point()]
