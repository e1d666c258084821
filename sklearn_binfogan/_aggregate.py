"""The aggregate posterior: the distribution of E's continuous codes and z on real data.

The game draws codes from their prior, but E does not fill the prior evenly, and G learns little
about the gaps. Samples are better when codes are drawn where real data lies. This is density
estimation after training, as in Ghosh et al. 2020 (https://arxiv.org/abs/1903.12436).

G also leaves out what the few numbers of a code can't say. In tables this residual x - G(E(x)) is
part of the density: this restores the spread of columns that G smooths too much.
"""

import numpy as np
import torch
from torch import Tensor, nn

from ._arrays import subsample
from ._codes import CodeSpec
from ._threads import one_thread

PRIOR_VARIANCE = 1 / 3  # of U[-1, 1]
ROWS_PER_COMPONENT = 4
# Each Gaussian's covariance is shrunk towards their mean covariance, or towards that within all
# categories if a category has too few rows for two Gaussians. It counts as this many rows per
# column. Otherwise Gaussians of few rows would reproduce these rows.
SHRINKAGE = 1 / 8
LEAST_VARIANCE = 1e-5  # added to each component's; columns have a variance of 1
TOLERANCE = 1e-2  # of a mixture's log-likelihood per row: half of the default's iterations
MOST_NUMBERS = 1_000_000  # of all covariances
MOST_MIXED = 2_000  # rows of a category that its mixture is fitted to


def needs_too_many_numbers(n_groups: int, n_style: int, n_residual: int) -> bool:
    """Whether covariances of style codes and residual together would fill too much memory."""
    return n_residual > 0 and n_groups * (n_style + n_residual) ** 2 > MOST_NUMBERS


class AggregatePosterior(nn.Module):
    """A density of the continuous codes, z and the residual for each category.

    It is a Gaussian, or a mixture of several. Before `fit` codes have the mean and the variance of
    the prior, and the residual is 0. Several categorical codes have too many combinations of
    categories: there each category of the first code has a density.

    Parameters
    ----------
    spec : CodeSpec
    n_components : int
        Gaussians of each category, at most: with many columns and categories there are fewer.
    n_residual : int
        Columns of the residual; 0: it is left out. If there are too many for their covariances,
        each column is drawn by itself.
    """

    weight: Tensor  # (n_groups, n_components)
    mean: Tensor  # (n_groups, n_components, width)
    # (n_groups, n_components, width, width), lower triangular: root @ root.T is the covariance
    root: Tensor
    # (n_groups, n_residual), only if each column of the residual is drawn by itself
    offset: Tensor
    spread: Tensor

    def __init__(self, spec: CodeSpec, n_components: int = 1, n_residual: int = 0) -> None:
        super().__init__()
        n_style = spec.width - spec.n_categorical
        n_groups = spec.categories[0]
        self.n_independent = 0
        if needs_too_many_numbers(n_groups, n_style, n_residual):
            self.n_independent, n_residual = n_residual, 0
            for moment in ("offset", "spread"):
                self.register_buffer(moment, torch.zeros(n_groups, self.n_independent))
        n_numbers = n_groups * max(n_style + n_residual, 1) ** 2
        n_components = max(min(n_components, MOST_NUMBERS // n_numbers), 1)
        self.spec, self.n_components, self.n_residual = spec, n_components, n_residual
        variance = torch.cat([torch.full((n_style,), PRIOR_VARIANCE), torch.zeros(n_residual)])
        self.register_buffer("weight", torch.eye(n_components)[:1].repeat(n_groups, 1))
        self.register_buffer("mean", torch.zeros(n_groups, n_components, len(variance)))
        self.register_buffer("root", variance.sqrt().diag().repeat(n_groups, n_components, 1, 1))

    def fit(self, codes: Tensor, residual: Tensor | None = None) -> None:
        """Estimate the density of each group from E(x), (n, spec.width).

        Parameters
        ----------
        codes : Tensor of shape (n, spec.width)
        residual : Tensor of shape (n, n_residual), or None
        """
        codes = codes.cpu()  # small matrices, and Apple's GPUs have no float64
        groups, rows = self._groups(codes), codes[:, self.spec.n_categorical :].double()
        if residual is not None:
            rows = torch.cat([rows, residual.cpu().double()], dim=1)
        parts = [rows[groups == group] for group in range(len(self.mean))]
        is_small = [0 < len(own) < 2 * ROWS_PER_COMPONENT for own in parts]
        within = _within(parts) if any(is_small) else None
        for group, own in enumerate(parts):
            if self.n_components == 1 and not self.n_residual:
                self.mean[group, 0], self.root[group, 0] = gaussian(own)
            elif len(own) and own.shape[1]:
                some = subsample(own.numpy(), MOST_MIXED)
                self._fit_mixture(group, some, within if is_small[group] else None)

    def _fit_mixture(self, group: int, rows: np.ndarray, within: np.ndarray | None) -> None:
        from sklearn.mixture import GaussianMixture  # here: it is slow to import

        n_used = min(max(len(rows) // ROWS_PER_COMPONENT, 1), self.n_components)
        mixture = GaussianMixture(
            n_used,
            tol=TOLERANCE,
            reg_covar=LEAST_VARIANCE,
            init_params="k-means++",  # "kmeans" depends on the number of threads
            random_state=0,
        )
        with one_thread():
            mixture.fit(rows if len(rows) > 1 else rows.repeat(2, axis=0))
        covariances = _shrunken(mixture.covariances_, mixture.weights_, len(rows), within)
        roots = np.linalg.cholesky(covariances)
        self.weight[group] = 0
        self.weight[group, :n_used] = torch.from_numpy(mixture.weights_)
        self.mean[group, :n_used] = torch.from_numpy(mixture.means_)
        self.root[group, :n_used] = torch.from_numpy(roots)

    def draw(self, categories: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw from the density of given categories, one-hot (n, n_categorical).

        Returns
        -------
        style : Tensor of shape (n, n_continuous + n_noise)
            Continuous codes and z, on the generator's device.
        residual : Tensor of shape (n, n_residual)
        """
        groups = self._groups(categories).to(rng.device)
        mean, root = (part.to(rng.device).flatten(0, 1) for part in (self.mean, self.root))
        gaussians = groups * self.n_components
        if self.n_components > 1:
            weight = self.weight.to(rng.device)[groups]
            gaussians += weight.multinomial(1, generator=rng)[:, 0]
        shape = (len(categories), self.mean.shape[2])
        normal = torch.randn(shape, generator=rng, device=rng.device, dtype=self.mean.dtype)
        drawn = mean[gaussians]
        # A root for each row would take much more memory than the rows.
        for number in gaussians.unique().tolist():
            chosen = gaussians == number
            drawn[chosen] += normal[chosen] @ root[number].T
        if self.n_independent:
            shape = (len(categories), self.n_independent)
            normal = torch.randn(shape, generator=rng, device=rng.device)
            offset, spread = (part.to(rng.device)[groups] for part in (self.offset, self.spread))
            return drawn, offset + spread * normal
        n_style = shape[1] - self.n_residual
        return drawn[:, :n_style], drawn[:, n_style:]

    def fit_independent(self, sums: Tensor, squares: Tensor, counts: Tensor) -> None:
        """Set mean and spread of independent columns of the residual.

        Spreads of groups of few rows are drawn towards that within all groups, as covariances are.
        Groups without rows keep what they had.

        Parameters
        ----------
        sums, squares : Tensor of shape (n_groups, n_residual)
            Of the residuals of each group's rows, and of their squares.
        counts : Tensor of shape (n_groups,)
            Numbers of these rows.
        """
        has_rows = counts > 0
        sums, squares, counts = sums[has_rows], squares[has_rows], counts[has_rows, None]
        offset = sums / counts
        around = (squares - counts * offset.square()).clamp_min(0)  # sums of squares
        within = around.sum(dim=0) / (counts.sum() - len(counts)).clamp_min(1)
        n_prior = SHRINKAGE * self.n_independent * (counts < 2 * ROWS_PER_COMPONENT)
        self.offset[has_rows] = offset
        self.spread[has_rows] = ((around + n_prior * within) / (counts + n_prior)).sqrt()

    def _groups(self, codes: Tensor) -> Tensor:
        return codes[:, : self.spec.categories[0]].argmax(dim=1)


def _within(parts: list[Tensor]) -> np.ndarray:
    """Covariance within groups of rows."""
    centred = torch.cat([own - own.mean(dim=0) for own in parts if len(own)])
    n_free = len(centred) - sum(len(own) > 0 for own in parts)
    return np.asarray(centred.T @ centred / max(n_free, 1))


def _shrunken(
    own: np.ndarray, weights: np.ndarray, n_rows: int, within: np.ndarray | None
) -> np.ndarray:
    """Covariances of a mixture fitted to some rows, drawn towards one for all.

    That is `within` for a single Gaussian of few rows; None: the weighted mean of all covariances.
    """
    weight = weights[:, None, None]
    within = (weight * own).sum(axis=0) if within is None else within
    n_prior = SHRINKAGE * own.shape[1]
    return (n_rows * weight * own + n_prior * within) / (n_rows * weight + n_prior)


def gaussian(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and root of the covariance of codes (n, width).

    The prior counts as many rows as there are columns. So a group of few rows, or of none, has a
    covariance of full rank.
    """
    width = rows.shape[1]
    prior = PRIOR_VARIANCE * width * torch.eye(width, dtype=rows.dtype)
    total = len(rows) + width
    mean = rows.sum(dim=0) / max(total, 1)
    spread = rows - mean
    covariance = (spread.T @ spread + prior) / max(total, 1)
    return mean, torch.linalg.cholesky(covariance)
