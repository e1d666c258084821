"""Augmentations T(x): small random changes that keep the meaning of a row."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from numbers import Real
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ._arrays import subsample
from ._checks import LARGEST_AMOUNT
from ._columns import have_far_piles
from ._layout import Layout, is_large_image

Augmentation = Callable[[Tensor, torch.Generator], Tensor]

WARP_CELLS = 5  # per side of the coarse grid
BACKGROUND = 0.02  # of an image's range of values, above its darkest pixel
UNEVEN_LIGHT = 0.1  # of the range of values; strokes of one brightness have 0.06, clothing 0.17
# Of an image's range of values, for half of its pixels. Digits have 0, or 0.1 with much noise;
# photographs that fill their frame, such as hands and faces, 0.2 to 0.3.
NO_BACKGROUND = 0.15
MOST_SORTED = 2**21  # pixels
REACH = 1.5  # deviations of the noise between two values, from which on these are swapped
COPIES = 1e-6  # of a deviation, between rows that are the same but for rounding
MOST_SWAPPED = 1000  # columns; among more, none decides alone


def _check_amounts(augmentation: Any) -> None:
    """Raise ValueError unless all numbers of an augmentation are from 0 to `LARGEST_AMOUNT`."""
    for field in fields(augmentation):
        value = getattr(augmentation, field.name)
        is_real = isinstance(value, Real)
        if field.type is float and not (is_real and 0 <= value <= LARGEST_AMOUNT):
            raise ValueError(
                f"{field.name} of {type(augmentation).__name__} must be a number from 0 to "
                f"{LARGEST_AMOUNT:g}; got {value!r:.80}."
            )


@dataclass(frozen=True)
class AffineMove:
    """Small random rotation, scaling, shear, shift and local warp of each image of a batch.

    Parameters
    ----------
    rotation : float, default=0.3
        Largest angle, in radians.
    scale : float, default=0.15
        Largest relative change of size.
    shear : float, default=0.3
        Largest shear.
    shift : float, default=0.16
        Largest shift, as a fraction of half the image's side.
    warp : float, default=0.0
        Largest local shift, as a fraction of half the image's side. Local shifts are drawn on a
        coarse grid and interpolated smoothly, as in the elastic distortions of Simard et al. 2003;
        between the grid's points they may be half as large again.
        0 for none.
    reflect : bool, default=False
        Whether the mirrored image fills the pixels that come from outside. Otherwise they are
        zeros, which suit images on a black background but make an edge in a photograph.

    Raises
    ------
    ValueError
        If a number is below 0, above 1e38, or not a number.

    Examples
    --------
    Change the slant of digits less, so that clusters may depend on it:

    >>> from sklearn_binfogan import AffineMove, BInfoGANTransformer
    >>> gentle = AffineMove(rotation=0.1, shear=0.1)
    >>> gan = BInfoGANTransformer(image_shape=(8, 8), augmentation=gentle)

    Augment a batch of images, (n, C, H, W):

    >>> import torch
    >>> gentle(torch.zeros(5, 1, 8, 8), torch.Generator().manual_seed(0)).shape
    torch.Size([5, 1, 8, 8])
    """

    rotation: float = 0.3
    scale: float = 0.15
    shear: float = 0.3
    shift: float = 0.16
    warp: float = 0.0
    reflect: bool = False

    def __post_init__(self) -> None:
        _check_amounts(self)

    def __call__(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Augment images (n, C, H, W); every parameter is drawn from `rng`."""
        padding = "reflection" if self.reflect else "zeros"
        grid = self._grid(x, rng)
        return F.grid_sample(x, grid, padding_mode=padding, align_corners=False)

    def _grid(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Draw the sampling grid for `grid_sample`, (n, H, W, 2).

        One matrix product of the parameters and their effects on each pixel is far faster than
        `affine_grid` and interpolation.
        """
        u = torch.rand((6, len(x)), generator=rng, device=x.device, dtype=x.dtype) * 2 - 1
        angle, shear = self.rotation * u[0], self.shear * u[1]
        scale_x, scale_y = 1 + self.scale * u[2], 1 + self.scale * u[3]
        shift_x, shift_y = self.shift * u[4], self.shift * u[5]
        cos, sin = angle.cos(), angle.sin()
        aspect = x.shape[2] / x.shape[3]  # coordinates go from -1 to 1 along both sides
        x_by_y, y_by_x = scale_x * (shear * cos - sin) * aspect, scale_y * sin / aspect
        top = torch.stack([scale_x * cos, x_by_y, shift_x], dim=1)
        bottom = torch.stack([y_by_x, scale_y * (shear * sin + cos), shift_y], dim=1)
        parameters = torch.stack([top, bottom], dim=1)
        if self.warp > 0:
            shape = (len(x), 2, WARP_CELLS**2)
            u = torch.rand(shape, generator=rng, device=x.device, dtype=x.dtype) * 2 - 1
            parameters = torch.cat([parameters, self.warp * u], dim=2)
        effects = _effects(self.warp > 0, *x.shape[2:], x.dtype, x.device)
        with torch.autocast(x.device.type, enabled=False):  # bfloat16 is too coarse
            grid = parameters.flatten(0, 1) @ effects
        return grid.view(len(x), 2, *x.shape[2:]).permute(0, 2, 3, 1)


@cache  # must stay in memory: replays of a captured step read it
def _effects(warp: bool, height: int, width: int, dtype: torch.dtype, device: Any) -> Tensor:
    """How each parameter enters each pixel's source coordinate, (n_parameters, H * W).

    For the affine parameters: the pixel's coordinates x and y, from -1 to 1, and 1. For the shifts
    of the coarse grid: the weights of the bicubic interpolation.

    Computed on the CPU: the copy to a GPU is complete on return, for all of the GPU's streams.
    """
    y, x = ((2 * torch.arange(n, dtype=dtype, device="cpu") + 1) / n - 1 for n in (height, width))
    y, x = torch.meshgrid(y, x, indexing="ij")
    effects = torch.stack([x, y, torch.ones_like(x)]).flatten(1)
    if warp:
        rows, columns = (_bicubic(n, effects).T.contiguous() for n in (height, width))
        effects = torch.cat([effects, torch.kron(rows, columns)])
    return effects.to(device)


def _bicubic(size: int, like: Tensor) -> Tensor:
    """Weights of bicubic interpolation, (size, WARP_CELLS)."""
    cells = torch.eye(WARP_CELLS, dtype=like.dtype, device=like.device)[None, :, None]
    smooth = F.interpolate(cells, (1, size), mode="bicubic", align_corners=True)
    return smooth[0, :, 0].T


@dataclass(frozen=True)
class ColourMove:
    """An affine move, then a random contrast, brightness and colour cast of each image of a batch.

    Categories then depend on shapes, not on lighting. Values may leave [0, 1]: clipping would
    reveal how bright an image was.

    Parameters
    ----------
    move : AffineMove
    contrast : float, default=0.3
        Largest change of the logarithm of the contrast, around each channel's mean.
    brightness : float, default=0.2
        Largest shift of all channels, as a fraction of the range of values.
    cast : float, default=0.1
        Largest additional change of contrast and brightness, drawn for each channel separately.
    mirror : bool, default=False
        Whether half of the images are flipped left to right.
    invert : bool, default=False
        Whether half of the images become negatives.
    clutter : float, default=0.0
        Largest weight of another image of the batch that is added to each one. The other image
        is shifted by about half its side, and its mean is subtracted. The middle of an image then
        says more than its surroundings. 0 for none.

    Raises
    ------
    ValueError
        If a number is below 0, above 1e38, or not a number.

    Examples
    --------
    Faces may be mirrored, and should be changed less than digits:

    >>> from sklearn_binfogan import AffineMove, BInfoGANTransformer, ColourMove
    >>> gentle = AffineMove(rotation=0.2, shear=0.15, shift=0.12, warp=0.06, reflect=True)
    >>> of_faces = ColourMove(gentle, mirror=True)
    >>> gan = BInfoGANTransformer(image_shape=(32, 32, 3), augmentation=of_faces)

    Augment a batch of images, (n, C, H, W):

    >>> import torch
    >>> of_faces(torch.zeros(5, 3, 32, 32), torch.Generator().manual_seed(0)).shape
    torch.Size([5, 3, 32, 32])
    """

    move: AffineMove
    contrast: float = 0.3
    brightness: float = 0.2
    cast: float = 0.1
    mirror: bool = False
    invert: bool = False
    clutter: float = 0.0

    def __post_init__(self) -> None:
        _check_amounts(self)
        if isinstance(self.move, type) or not callable(self.move):
            raise ValueError(f"move of ColourMove must be an AffineMove(); got {self.move!r}.")

    def __call__(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Augment images (n, C, H, W); every parameter is drawn from `rng`."""
        ground = self._ground(x, rng) if self.clutter > 0 else 0.0
        x = self.move(x, rng) + ground
        shape = (2, len(x), 1 + x.shape[1])
        u = torch.rand(shape, generator=rng, device=x.device, dtype=x.dtype) * 2 - 1
        gain = (self.contrast * u[0, :, :1] + self.cast * u[0, :, 1:]).exp()
        lift = self.brightness * u[1, :, :1] + self.cast * u[1, :, 1:]
        coins = torch.rand((2, len(x)), generator=rng, device=x.device, dtype=x.dtype) < 0.5
        if self.invert:
            gain = torch.where(coins[0, :, None], -gain, gain)
        if self.mirror:
            x = torch.where(coins[1, :, None, None, None], x.flip(3), x)
        mean = x.mean(dim=(2, 3), keepdim=True)
        return mean + (x - mean) * gain[:, :, None, None] + lift[:, :, None, None]

    def _ground(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Draw the clutter of each image, (n, C, H, W), of mean 0.

        The whole batch is shifted by the same distance: three to five eighths of each side.
        """
        device = x.device
        other = x[torch.randperm(len(x), generator=rng, device=device)]
        u = torch.rand(2, generator=rng, device=device)
        u = u if device.type == "mps" else u.double()  # Apple's GPUs have no float64
        for axis in (2, 3):  # `roll` does not accept a distance that is on a GPU
            side = x.shape[axis]
            shift = (side * (3 + 2 * u[axis - 2]) / 8).round().long()
            places = (torch.arange(side, device=device) - shift) % side
            other = other.index_select(axis, places)
        share = torch.rand((len(x), 1, 1, 1), generator=rng, device=device, dtype=x.dtype)
        return self.clutter * share * (other - other.mean(dim=(2, 3), keepdim=True))


@dataclass(frozen=True)
class GaussianNoise:
    """Gaussian noise on standardised columns.

    Parameters
    ----------
    deviation : float
        Standard deviation, relative to that of each column.

    Raises
    ------
    ValueError
        If a number is below 0, above 1e38, or not a number.

    Examples
    --------
    >>> from sklearn_binfogan import BInfoGANTransformer, GaussianNoise
    >>> gan = BInfoGANTransformer(n_clusters=3, augmentation=GaussianNoise(0.2))

    Augment a batch of standardised rows, (n, n_features):

    >>> import torch
    >>> GaussianNoise(0.2)(torch.zeros(5, 4), torch.Generator().manual_seed(0)).shape
    torch.Size([5, 4])
    """

    deviation: float

    def __post_init__(self) -> None:
        _check_amounts(self)

    @classmethod
    def from_neighbours(cls, scaled: np.ndarray) -> Self:
        """Set the deviation from the median distance to the tenth neighbour.

        It is 1.5 times this distance, divided by the root of the number of columns. If most rows
        have ten copies, distances are those between distinct rows.

        Parameters
        ----------
        scaled : ndarray of shape (n, n_features)
            Standardised rows; at most 2 000 of them are used.

        Returns
        -------
        noise : GaussianNoise
        """
        rows = np.asarray(subsample(scaled, 2000), np.float64)
        if len(rows) < 2:
            return cls(0.3)
        distance = _tenth_distance(rows)
        if distance < COPIES * np.sqrt(rows.shape[1]):
            distance = _tenth_distance(np.unique(rows, axis=0))
        return cls(float(1.5 * distance / np.sqrt(rows.shape[1])))

    def __call__(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Add noise to rows (n, n_features)."""
        noise = torch.randn(x.shape, generator=rng, device=x.device, dtype=x.dtype)
        return x + self.deviation * noise


def _tenth_distance(rows: np.ndarray) -> float:
    """Median distance of rows to their tenth neighbour, or to the last one if there are fewer."""
    from sklearn.neighbors import NearestNeighbors  # slow to import

    if len(rows) < 2:
        return 0.0
    search = NearestNeighbors(n_neighbors=min(10, len(rows) - 1)).fit(rows)
    return float(np.median(search.kneighbors()[0][:, -1]))


@dataclass(frozen=True)
class SwappedValues:
    """In each row some columns take the values of other rows of the batch; then comes noise.

    Noise does not reach from one value of a binary column to the other: clusters would be its two
    values, whatever the other columns say. With swaps, clusters are what several columns agree on.
    This is the corruption of SCARF (Bahri et al. 2022), but only of columns of few values, or with
    many rows at one end of the range, such as 0, that noise does not move to the others.

    Parameters
    ----------
    noise : GaussianNoise
    groups : tuple of int, length n_features
        Columns with the same number, such as one-hot columns, are swapped together. Numbers are
        from 1 to n_features; 0: never swapped. There are at most 1 000 columns.
    share : float, default=0.3
        Probability that a group is swapped in a row, from 0 to 1.

    Examples
    --------
    Three numbers, then a kind of two one-hot columns:

    >>> from sklearn_binfogan import BInfoGANTransformer, GaussianNoise, SwappedValues
    >>> swaps = SwappedValues(GaussianNoise(0.2), groups=(0, 0, 0, 1, 1))
    >>> gan = BInfoGANTransformer(n_clusters=3, augmentation=swaps)

    Augment a batch of standardised rows, (n, n_features):

    >>> import torch
    >>> swaps(torch.zeros(5, 5), torch.Generator().manual_seed(0)).shape
    torch.Size([5, 5])
    """

    noise: GaussianNoise
    groups: tuple[int, ...]
    share: float = 0.3

    def __call__(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Swap values of rows (n, n_features), and add noise."""
        return self.noise(self._swapped(x, rng), rng)

    def _swapped(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Swap values of rows (n, n_features)."""
        groups = _group_numbers(self.groups, x.device)
        shape = (len(x), max(self.groups) + 1)
        is_swapped = torch.rand(shape, generator=rng, device=x.device) < self.share
        other = torch.randint(max(len(x), 1), shape, generator=rng, device=x.device)
        values = x.gather(0, other[:, groups])
        return torch.where(is_swapped[:, groups] & (groups > 0), values, x)


@cache  # as `_effects`
def _group_numbers(groups: tuple[int, ...], device: Any) -> Tensor:
    """Group of each column, as a tensor on a device."""
    return torch.tensor(groups, device=device)


def swapping(noise: GaussianNoise, scaled: np.ndarray, layout: Layout) -> Augmentation:
    """Swap the columns of a table whose values, or whose end of the range, noise does not leave."""
    if layout.kinds is None or layout.n_features > MOST_SWAPPED:
        return noise
    reach = REACH * noise.deviation
    groups = layout.kinds.far_apart(reach * layout.scale, have_far_piles(scaled, reach))
    return SwappedValues(noise, tuple(groups.tolist())) if groups.any() else noise


def check_suits(augmentation: Any, layout: Layout) -> None:
    """Raise ValueError if an augmentation of the package does not suit the rows of a layout."""
    if isinstance(augmentation, AffineMove | ColourMove) and not layout.is_image:
        raise ValueError(f"augmentation={augmentation!r} needs images: set image_shape.")
    if isinstance(augmentation, SwappedValues):
        _check_swaps(augmentation, layout.shape)


def _check_swaps(swaps: Any, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless `SwappedValues` suit rows of a shape."""
    groups, share, n_features = swaps.groups, swaps.share, shape[0]
    fits = len(shape) == 1 and isinstance(swaps.noise, GaussianNoise)
    fits = fits and isinstance(groups, tuple) and len(groups) == n_features <= MOST_SWAPPED
    fits = fits and all(
        isinstance(each, int | np.integer) and 0 <= each <= n_features for each in groups
    )
    if not fits or not isinstance(share, float | int | np.number) or not 0 <= share <= 1:
        raise ValueError(
            f"{swaps!r:.200} does not suit X: SwappedValues is for tables of at most "
            f"{MOST_SWAPPED} columns, and has a GaussianNoise, a tuple of groups with an int from "
            "0 to the number of columns for each column, and a share from 0 to 1."
        )


def rows_for_graph(augment: Augmentation, x: Tensor, seed: int) -> Tensor:
    """Rows between which a graph of neighbours is made: gaps of single columns are closed."""
    if not isinstance(augment, SwappedValues):
        return x
    return augment._swapped(x, torch.Generator(x.device).manual_seed(seed))


AUGMENTATIONS = (AffineMove, ColourMove, GaussianNoise, SwappedValues)
NAMED_AUGMENTATIONS = ("affine", "affine-light", "light", "colour", "noise")


def identity(x: Tensor, rng: torch.Generator) -> Tensor:
    """Leave x as it is: consistency then only asks for confident, balanced categories."""
    return x


def resolve_augmentation(augmentation: Any, scaled: np.ndarray, layout: Layout) -> Augmentation:
    """Turn the estimator's `augmentation` into a callable `(x, rng) -> x`.

    Parameters
    ----------
    augmentation : {"auto", "affine", "affine-light", "light", "colour", "noise"}, callable or None
        A callable is returned as it is: see `check_augmentation`.
    scaled : ndarray of shape (n, n_features)
        A sample of rows, as the networks see them.
    layout : Layout
        Of these rows.

    Raises
    ------
    ValueError
        If an augmentation of images is chosen for a table, or swaps do not suit X.
    """
    if augmentation is None:
        return identity
    if isinstance(augmentation, type):
        raise ValueError(
            f"augmentation={augmentation!r} is a class: pass an object, such as GaussianNoise(0.2)."
        )
    shape, is_image = layout.shape, layout.is_image
    is_colour = is_image and shape[0] == 3
    check_suits(augmentation, layout)
    if callable(augmentation):
        return augmentation
    name = augmentation
    if augmentation == "auto":
        name = "noise" if not is_image else "colour" if is_colour else _move_of_grey(scaled, shape)
    if name == "noise":
        return swapping(GaussianNoise.from_neighbours(scaled), scaled, layout)
    if not is_image:
        raise ValueError(f"augmentation={name!r} needs images: set image_shape, or use 'noise'.")
    if name == "light":
        gentle = AffineMove(0.08, 0.1, 0.08, 0.1, 0.05 if is_large_image(shape) else 0.0, is_colour)
        return ColourMove(gentle, contrast=0.5, cast=0.0, brightness=0.3, mirror=True)
    move = AffineMove(warp=0.12 if is_large_image(shape) else 0.0, reflect=is_colour)
    if name == "affine-light":
        return ColourMove(move, contrast=0.5, cast=0.0, brightness=0.3)
    return move if name == "affine" else ColourMove(move)


def check_augmentation(augmentation: Augmentation, x: Tensor) -> None:
    """Try a user's augmentation on a few rows, as the networks see them.

    Raises
    ------
    ValueError
        If it can't be called with rows and a generator, changes rows in place, does not return a
        tensor like them, or returns NaN.
    """
    given = x.clone()
    try:
        result = augmentation(x, torch.Generator(x.device).manual_seed(0))
    except TypeError as error:
        raise ValueError(
            f"augmentation={augmentation!r} must be a function (x, rng) that returns x changed; "
            f"called so, it raises TypeError: {error}"
        ) from error
    if not torch.equal(x, given):
        raise ValueError(
            f"augmentation={augmentation!r} changes its input: it must return a new tensor instead."
        )
    like = f"a tensor of shape {tuple(x.shape)} and {x.dtype} on {x.device}"
    if not isinstance(result, Tensor):
        raise ValueError(f"augmentation={augmentation!r} must return {like}; got {result!r:.80}.")
    if (result.shape, result.dtype, result.device) != (x.shape, x.dtype, x.device):
        raise ValueError(
            f"augmentation={augmentation!r} must return {like}; got one of shape "
            f"{tuple(result.shape)} and {result.dtype} on {result.device}."
        )
    if not result.isfinite().all():
        raise ValueError(
            f"augmentation={augmentation!r} must return finite numbers; got NaN or inf."
        )


def _move_of_grey(scaled: np.ndarray, shape: tuple[int, ...]) -> str:
    """Name the moves that suit grey images: strokes, or shades of things.

    Strokes differ in slant and size, and have one brightness in an image; that of other images may
    be another. Photographs of things, such as clothes, have shades, and kinds of things differ in
    their proportions: moves that change these would hide them. Photographs that fill their frame
    have shades, too, even if all are equally light. Images below 16 pixels a side have too few
    pixels to tell.
    """
    fills_frame = is_large_image(shape) and span_of_half(scaled) > NO_BACKGROUND
    if fills_frame or _is_uneven(_stretched(scaled)):
        return "light"
    return "affine-light" if _is_uneven(scaled) else "affine"


def _is_uneven(images: np.ndarray) -> bool:
    """Whether the light of images, on black or on white, differs."""
    return max(spread_of_light(images), spread_of_light(-images)) > UNEVEN_LIGHT


def _stretched(images: np.ndarray) -> np.ndarray:
    """Images (n, n_features) that all have values from 0 to 1, but for even ones."""
    # minmax_scale would give a data frame where the user asks scikit-learn for these.
    lowest = images.min(axis=1, keepdims=True)
    span = images.max(axis=1, keepdims=True) - lowest
    return (images - lowest) / np.where(span > 0, span, 1)


def spread_of_light(scaled: np.ndarray) -> float:
    """Give how much the light of images differs: the deviation of their means, over the range.

    Parameters
    ----------
    scaled : ndarray of shape (n, n_features)
        Images. What is about as dark as an image's darkest pixel is background and left out.
    """
    total_range = float(np.ptp(scaled))
    if total_range == 0:
        return 0.0
    lowest, highest = scaled.min(axis=1, keepdims=True), scaled.max(axis=1, keepdims=True)
    is_shown = scaled >= lowest + BACKGROUND * (highest - lowest)  # all of an even image
    means = (scaled * is_shown).sum(axis=1) / is_shown.sum(axis=1)
    return float(means.std() / total_range)


def span_of_half(scaled: np.ndarray) -> float:
    """Give the narrowest span of values that half of an image's pixels share, over its range.

    It is the median over images. A background of one value, which the strokes of a digit leave
    free, makes it small.

    Parameters
    ----------
    scaled : ndarray of shape (n, n_features)
        Images, as many of which are used as have `MOST_SORTED` pixels. Even ones don't count.
    """
    some = subsample(scaled, max(MOST_SORTED // scaled.shape[1], 1))
    values = np.sort(some, axis=1)
    half = values.shape[1] // 2
    span = (values[:, half:] - values[:, :-half]).min(axis=1)
    total_range = values[:, -1] - values[:, 0]
    is_even = total_range == 0
    if is_even.all():
        return 0.0
    return float(np.median(span[~is_even] / total_range[~is_even]))
