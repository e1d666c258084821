"""The networks of one model: the players, and the running averages that users see."""

import copy
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from ._aggregate import AggregatePosterior
from ._architectures import ARCHITECTURES
from ._arrays import BLOCK
from ._marginals import Marginals
from ._networks import Encoder
from ._settings import Settings
from ._threads import seeded


class Players(nn.Module):
    """Encoder, generator, discriminator, running averages of the first two, aggregate posterior."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        networks: Any = settings.architecture.build(settings.spec, settings.layout.shape)
        is_list = isinstance(networks, tuple | list) and len(networks) == 3
        if not is_list or not all(isinstance(each, nn.Module) for each in networks):
            raise ValueError(
                "architecture.build must return three PyTorch modules, encoder, generator and "
                f"discriminator; got {networks!r:.80}."
            )
        if not isinstance(networks[0], Encoder):
            raise ValueError(
                "architecture.build must return an encoder of networks.make_encoder; got a "
                f"{type(networks[0]).__name__}."
            )
        self.encoder, self.generator, self.discriminator = _copied(networks)
        _check_weights(self.encoder, self.generator, self.discriminator)
        self.fixed = [not weight.requires_grad for weight in self.encoder.parameters()]
        self.averaged_encoder = copy.deepcopy(self.encoder).requires_grad_(False).eval()
        self.averaged_generator = copy.deepcopy(self.generator).requires_grad_(False).eval()
        n_components, layout = settings.recipe.density_components, settings.layout
        # Images with independent noise in each pixel would not look like real ones.
        has_residual = n_components > 1 and not layout.is_image
        n_residual = layout.n_features if has_residual else 0
        self.aggregate = AggregatePosterior(settings.spec, n_components, n_residual)
        self.marginals = Marginals(n_residual) if has_residual else None

    def forward(self, losses_of: Callable[[Tensor], Any], x: Tensor) -> Any:
        """Losses of a batch: a module, since DistributedDataParallel wraps modules."""
        return losses_of(x)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the players; the averages stay in evaluation mode."""
        super().train(mode)
        self.averaged_encoder.eval()
        self.averaged_generator.eval()
        return self

    @torch.no_grad()
    def draw(self, categories: Tensor, rng: torch.Generator) -> Tensor:
        """Draw network input of given categories, one-hot (n, n_categorical), on the CPU.

        Codes and residual are drawn where real rows have them.
        """
        style, residual = self.aggregate.draw(categories, rng)
        codes = torch.cat([categories, style], dim=1).to(self.aggregate.mean.device)
        rows = torch.cat([self.averaged_generator(part).cpu() for part in codes.split(BLOCK)])
        return rows + residual if residual.shape[1] else rows

    def compile_players(self) -> None:
        """Compile E and G.

        D is left out: its graph is differentiated twice, once for D and once for G and E, which
        compiled code does not allow.
        """
        encoder = self.encoder
        for network in {encoder.category_trunk, encoder.style_trunk, self.generator}:
            _compile(network)

    def by_optimizer(self) -> list[list[nn.Parameter]]:
        """Weights of each optimizer: the category branch in its phase, (E, G) in the game, D."""
        both = nn.ModuleList([self.encoder, self.generator])  # they may share weights
        return [
            list(self.encoder.category_parameters()),
            list(both.parameters()),
            list(self.discriminator.parameters()),
        ]

    def train_categories(self, trained: bool) -> None:
        """Freeze the category branch, or let it learn; what `build` froze never learns."""
        branch = set(self.encoder.category_parameters())
        for weight, is_fixed in zip(self.encoder.parameters(), self.fixed, strict=True):
            if weight in branch:
                weight.requires_grad_(trained and not is_fixed)
                weight.grad = None  # Adam would keep applying a frozen weight's last gradient

    @torch.no_grad()
    def update_ema(self, decay: float | Tensor) -> None:
        """Move the averages towards the players by 1 - decay."""
        if isinstance(decay, Tensor):  # `_foreach_lerp_` does not accept one
            differences = torch._foreach_sub(self._sources, self._averages)
            torch._foreach_mul_(differences, 1 - decay)
            torch._foreach_add_(self._averages, differences)
        else:
            torch._foreach_lerp_(self._averages, self._sources, 1 - decay)

    def link(self) -> None:
        """Pair every weight and statistic with its average; call it after a change of device."""
        self._averages = _tensors(self.averaged_encoder) + _tensors(self.averaged_generator)
        self._sources = _tensors(self.encoder) + _tensors(self.generator)


def _copied(networks: Any) -> Any:
    """Networks of this fit's own: an architecture may return the same modules for every fit."""
    try:
        return copy.deepcopy(tuple(networks))
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"architecture.build must return networks that can be copied, but: {error}. In place "
            "of torch.nn.utils.weight_norm use torch.nn.utils.parametrizations.weight_norm."
        ) from error


def _check_weights(encoder: nn.Module, generator: nn.Module, discriminator: nn.Module) -> None:
    """Raise ValueError if networks that `build` returns can't be trained against each other."""
    own = {*encoder.parameters(), *generator.parameters()}
    if not own.isdisjoint(discriminator.parameters()):
        raise ValueError(
            "architecture.build: the discriminator shares weights with encoder or generator, but "
            "is trained against them. Use copies."
        )
    for network in (encoder, generator, discriminator):
        for name, values in network.named_buffers():
            if not values.is_meta and not values.isfinite().all():
                raise ValueError(
                    f"architecture.build: the buffer {name!r} is not finite, so NaN could not be "
                    "told from it. Use large numbers, such as -1e9, or no buffer."
                )


@torch.no_grad()
def _try_out(players: Players, settings: Settings, device: str) -> None:
    """Raise ValueError if a user's networks fail on a batch, or give output of a wrong shape."""
    n, spec = settings.recipe.batch_size, settings.spec
    x = torch.zeros(n, *settings.layout.shape, device=device)
    codes = spec.draw(n, torch.Generator().manual_seed(0)).to(device)
    discriminator = copy.deepcopy(players.discriminator).eval()
    trials: list[tuple[str, nn.Module, tuple[Tensor, ...], list[tuple[int, ...]]]] = [
        ("encoder", players.averaged_encoder, (x,), [tuple(codes.shape)]),
        ("generator", players.averaged_generator, (codes,), [tuple(x.shape)]),
        ("discriminator", discriminator, (x, codes), [(n,), (n, 1)]),
    ]
    for name, network, inputs, allowed in trials:
        batch = f"a batch of {n} rows of shape {settings.layout.shape}"
        try:
            found = network(*inputs)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise ValueError(f"architecture.build: the {name} fails on {batch}: {error}") from error
        is_tensor = isinstance(found, Tensor)
        if not is_tensor or tuple(found.shape) not in allowed:
            got = tuple(found.shape) if is_tensor else f"a {type(found).__name__}"
            raise ValueError(
                f"architecture.build: the {name} must turn {batch} into a tensor of shape "
                f"{allowed[0]}; got {got}."
            )


def new_players(settings: Settings, device: str, tried_out: bool = True) -> Players:
    """Build the players from the seed, without changing torch's global generator."""
    with seeded(settings.seed):
        players = Players(settings).float().to(device)
        if tried_out and type(settings.architecture) not in ARCHITECTURES:
            _try_out(players, settings, device)
    if settings.recipe.compile:
        players.compile_players()
    players.link()
    return players


def _compile(network: nn.Module) -> None:
    forward = network.forward

    def run(*inputs: Tensor) -> Tensor:
        return forward(*inputs)

    # `Module.compile` does not compile a `Sequential` of PyTorch's own layers. Dynamo silently
    # gives up after eight graphs of one code object: each network gets a code object of its own.
    run.__code__ = run.__code__.replace()
    network.forward = torch.compile(run)


def _tensors(module: nn.Module) -> list[Tensor]:
    """Floating-point parameters and buffers of a module."""
    tensors = [*module.parameters(), *module.buffers()]
    return [t.detach() for t in tensors if t.is_floating_point()]
