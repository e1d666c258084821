"""The code Z = (c, z): which columns hold what, and how it is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate, pairwise
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ._checks import is_count

Prior = tuple[tuple[float, ...], ...]  # per categorical code, the probability of each category


@cache  # must stay in memory: replays of a captured step read it
def on_device(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Numbers as a float32 tensor. Cached: each host-to-device copy would synchronise."""
    return torch.tensor(values, dtype=torch.float32, device=device)


def is_auto(value: Any) -> bool:
    """Whether a parameter is left to the package."""
    return isinstance(value, str) and value == "auto"


def probabilities(given: Any, n: int) -> np.ndarray | None:
    """Read n positive probabilities that add up to 1; None if something else was given."""
    try:
        array = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    fits = array.shape == (n,) and array.min() > 0 and abs(array.sum() - 1) < 1e-6
    return array if fits else None


@dataclass(frozen=True)
class CodeSpec:
    """Layout of a code: one-hot categories, then continuous codes, then noise.

    Parameters
    ----------
    categories : tuple of int
        Number of categories of each categorical code, each at least 1.
    n_continuous : int
        Number of continuous codes, each uniform on [-1, 1] (paper, section 3).
    n_noise : int
        Size of the unstructured noise z, uniform on [-1, 1] (paper, section 2).
    """

    categories: tuple[int, ...]
    n_continuous: int
    n_noise: int

    @classmethod
    def parse(cls, n_clusters: Any, n_continuous: int, n_noise: int) -> Self:
        """Read the estimator's `n_clusters`, an int or a tuple of ints.

        Raises
        ------
        ValueError
            If `n_clusters` is neither an int >= 1 nor a non-empty tuple of such ints.
        """
        categories = n_clusters if isinstance(n_clusters, tuple) else (n_clusters,)
        if not categories or not all(is_count(k, 1) for k in categories):
            raise ValueError(
                "n_clusters must be an int >= 1, or a non-empty tuple with one int >= 1 per "
                f"categorical code; got {n_clusters!r}."
            )
        return cls(tuple(int(k) for k in categories), int(n_continuous), int(n_noise))

    def parse_prior(self, prior: Any) -> str | Prior:
        """Read the estimator's `cluster_prior`: a name, returned as it is, or one array per code.

        Each code's probabilities are sorted in descending order: categories are numbered by size.

        Raises
        ------
        ValueError
            If it is neither a name nor one positive probability per category, adding up to 1.
        """
        if isinstance(prior, str):
            return prior
        is_list = len(self.categories) > 1 and getattr(prior, "ndim", 1) > 0
        parts = list(prior) if is_list else [prior]
        found = [probabilities(*pair) for pair in zip(parts, self.categories, strict=False)]
        arrays = [np.sort(array)[::-1] for array in found if array is not None]
        if not len(arrays) == len(parts) == len(self.categories):
            raise ValueError(
                "cluster_prior must be 'uniform', 'learned', or one positive probability per "
                f"category, adding up to 1, for categories {self.categories} (a list of arrays "
                f"for several codes); got {prior!r}."
            )
        return tuple(tuple(array.tolist()) for array in arrays)

    @cached_property
    def category_slices(self) -> tuple[slice, ...]:
        """Columns of each categorical code."""
        edges = accumulate(self.categories, initial=0)
        return tuple(slice(start, stop) for start, stop in pairwise(edges))

    @cached_property
    def n_categorical(self) -> int:
        """Number of columns of all categorical codes together."""
        return sum(self.categories)

    @property
    def continuous(self) -> slice:
        """Columns of the continuous codes."""
        return slice(self.n_categorical, self.n_categorical + self.n_continuous)

    @property
    def invariant_codes(self) -> slice:
        """Second half of the continuous codes; column 0 is the first continuous code."""
        return slice(self.n_continuous - self.n_continuous // 2, self.n_continuous)

    @property
    def noise(self) -> slice:
        """Columns of the noise z."""
        return slice(self.n_categorical + self.n_continuous, self.width)

    @property
    def width(self) -> int:
        """Number of columns of Z."""
        return self.n_categorical + self.n_continuous + self.n_noise

    def split(self, columns: Tensor) -> tuple[Tensor, ...]:
        """Split the categorical columns by code, along the last axis."""
        return columns.split(self.categories, dim=-1)

    def posterior(self, logits: Tensor) -> Tensor:
        """Softmax of each code's logits along the last axis; shape as given."""
        parts = [torch.softmax(part, dim=-1) for part in self.split(logits)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

    def one_hot(self, labels: Tensor) -> Tensor:
        """One-hot columns, float32 (n, n_categorical), of int64 labels (n, n_codes)."""
        parts = [F.one_hot(labels[:, i], k) for i, k in enumerate(self.categories)]
        return torch.cat(parts, dim=1).float()

    def labels(self, columns: Tensor) -> Tensor:
        """Most likely category of each code: int64, (n, n_codes)."""
        return torch.stack([part.argmax(dim=-1) for part in self.split(columns)], dim=-1)

    def harden(self, columns: Tensor) -> Tensor:
        """One-hot of the most likely category of each code, (n, n_categorical)."""
        return self.one_hot(self.labels(columns)).to(columns.dtype)

    def draw(self, n: int, rng: torch.Generator, prior: Prior | None = None) -> Tensor:
        """Draw n codes: categories from their prior, the rest uniform on [-1, 1].

        Parameters
        ----------
        n : int
        rng : torch.Generator
        prior : tuple of tuple of float or None
            Probability of each category of each code; None is the uniform prior of the paper.

        Returns
        -------
        codes : Tensor of shape (n, width), on the generator's device
        """
        labels = [
            torch.randint(k, (n,), generator=rng, device=rng.device)
            if prior is None
            else on_device(prior[i], rng.device).multinomial(n, True, generator=rng)
            for i, k in enumerate(self.categories)
        ]
        width = self.n_continuous + self.n_noise
        rest = torch.rand((n, width), generator=rng, device=rng.device, dtype=torch.float32)
        return torch.cat([self.one_hot(torch.stack(labels, dim=1)), rest * 2 - 1], dim=1)

    def nested_mask(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw a mask for n codes: 1 keeps a column, 0 sets it to its mean, 0.

        Half of the rows keep all columns. The others keep their categories and the first j
        continuous codes; j is drawn from 1 to `n_continuous`. This is nested dropout (Rippel et
        al. 2014): the first continuous code learns what changes a row most, the second what
        remains, and z the rest.

        Returns
        -------
        mask : Tensor of shape (n, width)
        """
        column = torch.arange(self.width, device=rng.device) - self.n_categorical
        j = torch.rand((n, 1), generator=rng, device=rng.device) * self.n_continuous
        whole = torch.rand((n, 1), generator=rng, device=rng.device) < 0.5
        return (whole | (column < j.ceil())).float()

    def feature_names(self, include_noise: bool) -> list[str]:
        """Names of the columns of `transform`, such as `cluster3`, `continuous0`, `noise0`."""
        single = len(self.categories) == 1
        names = [
            f"cluster{category}" if single else f"cluster{code}_{category}"
            for code, k in enumerate(self.categories)
            for category in range(k)
        ]
        names += [f"continuous{i}" for i in range(self.n_continuous)]
        return names + [f"noise{i}" for i in range(self.n_noise) if include_noise]

    def category_columns(self, orders: Sequence[Sequence[int]]) -> list[int]:
        """Columns that put the categories of each code into the given orders."""
        return [
            part.start + category
            for part, order in zip(self.category_slices, orders, strict=True)
            for category in order
        ]
