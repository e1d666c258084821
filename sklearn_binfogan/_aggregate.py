"""The aggregate posterior: the distribution of E's continuous codes and z on real data.

The game draws codes from their prior, but E does not fill the prior evenly, and G learns little
about the gaps. Samples are better when codes are drawn where real data lies. This is density
estimation after training, as in Ghosh et al. 2020 (https://arxiv.org/abs/1903.12436).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ._codes import CodeSpec

PRIOR_VARIANCE = 1 / 3  # of U[-1, 1]


class AggregatePosterior(nn.Module):
    """A Gaussian of the continuous codes and z for each category.

    Before `fit` it has the mean and the variance of the prior. Several categorical codes have too
    many combinations of categories, so these share one Gaussian.

    Parameters
    ----------
    spec : CodeSpec
    """

    mean: Tensor  # (n_groups, width)
    root: Tensor  # (n_groups, width, width), lower triangular: root @ root.T is the covariance

    def __init__(self, spec: CodeSpec) -> None:
        super().__init__()
        self.spec = spec
        width = spec.width - spec.n_categorical
        n_groups = spec.categories[0] if len(spec.categories) == 1 else 1
        root = PRIOR_VARIANCE**0.5 * torch.eye(width)
        self.register_buffer("mean", torch.zeros(n_groups, width))
        self.register_buffer("root", root.repeat(n_groups, 1, 1))

    def fit(self, codes: Tensor) -> None:
        """Estimate mean and covariance of each group from E(x), (n, spec.width).

        The prior counts as many rows as there are columns. So a group of few rows, or of none, has
        a covariance of full rank.
        """
        codes = codes.cpu()  # small matrices, and Apple's GPUs have no float64
        groups, style = self._groups(codes), codes[:, self.spec.n_categorical :].double()
        width = style.shape[1]
        prior = PRIOR_VARIANCE * width * torch.eye(width, dtype=style.dtype)
        for group in range(len(self.mean)):
            rows = style[groups == group]
            total = len(rows) + width
            mean = rows.sum(dim=0) / max(total, 1)
            spread = rows - mean
            covariance = (spread.T @ spread + prior) / max(total, 1)
            self.mean[group] = mean
            self.root[group] = torch.linalg.cholesky(covariance)

    def draw(self, categories: Tensor, rng: torch.Generator) -> Tensor:
        """Draw continuous codes and z for given categories, one-hot (n, n_categorical).

        Returns
        -------
        columns : Tensor of shape (n, n_continuous + n_noise), on the generator's device
        """
        groups = self._groups(categories).to(rng.device)
        mean, root = self.mean.to(rng.device), self.root.to(rng.device)
        shape = (len(categories), self.mean.shape[1])
        normal = torch.randn(shape, generator=rng, device=rng.device, dtype=self.mean.dtype)
        return mean[groups] + (root[groups] @ normal[:, :, None])[:, :, 0]

    def _groups(self, codes: Tensor) -> Tensor:
        if len(self.mean) == 1:
            return torch.zeros(len(codes), dtype=torch.int64, device=codes.device)
        return codes[:, : self.spec.n_categorical].argmax(dim=1)
