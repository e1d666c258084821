"""The fitted model: trained networks and the public order of their categories, in one object."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ._arrays import row_blocks
from ._codes import Prior
from ._collapse import Evidence
from ._layout import row_dtype
from ._networks import Encoder
from ._rows import Source
from ._state import TrainingState
from ._terms import guessing_loss
from ._threads import undisturbed
from ._trainer import Trainer


class FittedModel:
    """Encodes rows and decodes codes, with categories in the public order.

    The networks number categories in their own order. Only this class converts between the two.

    Parameters
    ----------
    trainer : Trainer
        Holds the networks, and no rows.
    order : ndarray of int, shape (n_categorical,), or None
        Columns of the networks' categories in public order; None: the networks' own order.
    """

    def __init__(self, trainer: Trainer, order: np.ndarray | None = None) -> None:
        self.trainer, self.settings = trainer, trainer.settings
        self.spec, self.layout = trainer.settings.spec, trainer.settings.layout
        self.order = np.arange(self.spec.n_categorical) if order is None else order

    @property
    def history(self) -> Any:
        """Skorch's history of the training."""
        return self.trainer.net.history

    def state(self) -> TrainingState:
        """Everything that training has changed, as NumPy arrays."""
        return self.trainer.state().as_arrays()

    def reordered(self, orders: Sequence[Sequence[int]]) -> "FittedModel":
        """Return a model whose public order is given as the numbers of this one, for each code."""
        return FittedModel(self.trainer, self.order[self.spec.category_columns(orders)])

    # -- rows to codes -------------------------------------------------------------------------

    @undisturbed()
    def encode(self, X: Source, n_columns: int | None = None) -> np.ndarray:
        """Leading columns of E(x), (n, width), of validated rows: posteriors, means, z.

        float64 for float64 rows, else float32.
        """
        shape = (len(X), self.spec.width if n_columns is None else n_columns)
        encoded = np.empty(shape, row_dtype(X))
        for part, codes in zip(row_blocks(encoded), self._encoded(self._inputs(X)), strict=True):
            part[:] = codes[:, : shape[1]]
        return encoded

    @undisturbed()
    def posterior(self, X: Source) -> np.ndarray:
        """q(c | x) of validated rows, (n, n_categorical)."""
        return np.concatenate(list(self._encoded(self._inputs(X), Encoder.posterior)))

    @undisturbed()
    def predict(self, X: Source) -> np.ndarray:
        """Most likely category of each code, int64 (n, n_codes), of validated rows."""
        posteriors = map(torch.from_numpy, self._encoded(self._inputs(X), Encoder.posterior))
        return torch.cat([self.spec.labels(q) for q in posteriors]).numpy()

    def _inputs(self, X: Source) -> Iterator[Tensor]:
        """Network input of validated rows, block by block: in float64 for float64 rows."""
        for block in row_blocks(X):
            yield self.layout.to_network(torch.from_numpy(self.layout.scaled(block, row_dtype(X))))

    def _encoded(
        self, inputs: Iterable[Tensor], read: Callable[[Encoder, Tensor], Tensor] = Encoder.__call__
    ) -> Iterator[np.ndarray]:
        """Encode block by block, so that callers need not hold the codes of all rows in memory."""
        for codes in _computed(read, self.trainer.players.averaged_encoder, inputs):
            codes[:, : self.spec.n_categorical] = codes[:, self.order]
            yield codes

    # -- codes to rows -------------------------------------------------------------------------

    @undisturbed()
    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Generate rows from codes (n, width), in the units and the dtype of the rows of `fit`."""
        return self.layout.to_rows(self._generated(codes))

    def _generated(self, codes: np.ndarray) -> np.ndarray:
        """Generate network input from codes (n, width)."""
        generator, blocks = self.trainer.players.averaged_generator, row_blocks(self._own(codes))
        output = _computed(nn.Module.__call__, generator, map(torch.from_numpy, blocks))
        return np.concatenate(list(output))

    def _own(self, codes: np.ndarray) -> np.ndarray:
        """Copy codes (n, width), with their categories as the networks number them."""
        own = codes.copy()
        own[:, self.order] = codes[:, : self.spec.n_categorical]
        return own

    @undisturbed()
    def sample(
        self,
        n: int,
        chosen: Sequence[int | None],
        seed: int,
        prior: Prior | None = None,
        from_prior: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw codes and decode them.

        Parameters
        ----------
        n : int
        chosen : sequence of int or None
            Category of each code; None: drawn from the prior.
        seed : int
        prior : tuple of tuple of float, or None
            Probabilities of the categories, in public order; None: uniform.
        from_prior : bool
            Whether continuous codes and z are uniform instead of distributed as E(x) of real rows.

        Returns
        -------
        rows : ndarray of shape (n, n_features)
        labels : ndarray of int64, shape (n, n_codes)
        """
        spec, rng = self.spec, torch.Generator().manual_seed(seed)
        codes = spec.draw(n, rng, prior)
        labels = spec.labels(codes[:, : spec.n_categorical])
        for code, category in enumerate(chosen):
            if category is not None:
                labels[:, code] = category
        codes[:, : spec.n_categorical] = spec.one_hot(labels)
        if from_prior:
            return self.decode(codes.numpy()), labels.numpy()
        own, players = torch.from_numpy(self._own(codes.numpy())), self.trainer.players
        drawn = players.draw(own[:, : spec.n_categorical], rng).numpy()
        rows = self.layout.unscaled(drawn)
        if players.marginals is not None:
            rows = players.marginals.corrected(rows)
        return self.layout.kept(rows), labels.numpy()

    # -- priors and measures -------------------------------------------------------------------

    @property
    def priors(self) -> list[np.ndarray]:
        """For each categorical code, the probability of each category."""
        own = self.trainer.common.prior or [[1 / k] * k for k in self.spec.categories]
        columns = np.concatenate(own)[self.order]
        return [columns[part] for part in self.spec.category_slices]

    @property
    def drawing_prior(self) -> Prior | None:
        """The prior as `sample` takes it; None where it is uniform."""
        if self.trainer.common.prior is None:
            return None
        return tuple(tuple(probabilities.tolist()) for probabilities in self.priors)

    @undisturbed()
    def evaluate(self, X: np.ndarray) -> dict[str, float]:
        """Label-free measures on validated rows: see `_scoring.evaluate`."""
        rows = torch.from_numpy(self.layout.scaled(X, np.float32)).to(self.trainer.device)
        return self.trainer.evaluate(self.layout.to_network(rows))

    @undisturbed()
    def evidence(self, X: np.ndarray, sizes: list[list[int]]) -> Evidence:
        """Gather the evidence for signs of collapse, with the same draws at every call.

        Samples are judged as G generates them, since in the units of X they may be rounded.
        """
        layout, spec, rng = self.layout, self.spec, torch.Generator().manual_seed(0)
        scaled = layout.scaled(X, np.float32)
        x = layout.to_network(torch.from_numpy(scaled))
        augmented = self.settings.augment(x, rng)
        drawn = spec.draw(len(X), rng, self.drawing_prior).numpy()
        samples = self._generated(drawn)
        return Evidence(
            spec=spec,
            prior=self.priors,
            sizes=sizes,
            rows=scaled,
            samples=layout.flattened(samples),
            posterior=self.posterior(X),
            augmented_posterior=next(self._encoded([augmented], Encoder.posterior)),
            drawn=drawn,
            found=next(self._encoded([torch.from_numpy(samples)])),
            mi_weight=self.settings.recipe.mi_weight,
            discriminator_loss=self._relative_discriminator_loss(),
            has_consistency_phase=self.trainer.consistency.n_steps > 0,
            has_cycle_terms=self.settings.recipe.cycle_weight > 0,
        )

    def _relative_discriminator_loss(self) -> float:
        """D's loss over the last epoch of the game, relative to guessing; NaN without a game."""
        # An epoch that a callback ended early has no mean.
        losses = [e["discriminator_loss"] for e in self.history if "discriminator_loss" in e]
        return losses[-1] / guessing_loss(self.settings.recipe) if losses else math.nan


def _computed(
    compute: Callable[[Any, Tensor], Tensor], network: nn.Module, inputs: Iterable[Tensor]
) -> Iterator[np.ndarray]:
    """Compute a network's output of each input, in the dtype that all inputs share.

    In float64, results do not depend on how rows are batched.
    """
    own = network
    for x in inputs:
        if x.dtype == torch.float64 and own is network:
            own = copy.deepcopy(network)
            on_apples_gpu = next(own.parameters()).device.type == "mps"  # has no float64
            own = (own.cpu() if on_apples_gpu else own).double()
        with torch.no_grad():
            output = compute(own, x.to(next(own.parameters()).device))
        yield output.cpu().numpy()
