"""Presets as data: for each kind of data its networks and every number of the training."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from typing import Any, Self

from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    StrOptions,
    validate_parameter_constraints,
)

from ._architectures import (
    Architecture,
    ConvArchitecture,
    LabelledMLPArchitecture,
    MLPArchitecture,
    Networks,
    PaperArchitecture,
)
from ._augmentation import NAMED_AUGMENTATIONS
from ._checks import LARGEST_AMOUNT, LARGEST_COUNT
from ._codes import CodeSpec, Prior, is_auto
from ._layout import is_large_image
from ._losses import ADVERSARIAL_LOSSES
from ._networks import relu
from ._threads import MOST_THREADS

PRECISIONS = ("float32", "bf16")
MOST_PIXELS = 32 * 32  # of images without further stages in their networks


@dataclass(frozen=True)
class Recipe:
    """Every number of the training, resolved; estimators' parameters go by their own names."""

    mi_weight: float = 1.0
    consistency_weight: float = 1.0
    cycle_weight: float = 0.3
    adversarial_loss: str = "relativistic"
    warmup_iter: int = 0
    max_iter: int = 0
    batch_size: int = 128
    learning_rate: float = 2e-3
    discriminator_learning_rate: float = 5e-4
    cluster_prior: str | Prior = "uniform"
    label_weight: float = 0.0  # of labelled rows, where there are labels
    precision: str = "float32"  # of the networks in training
    n_threads: int = 1  # of torch
    compile: bool = False
    cuda_graph: bool | str = "auto"  # whether a GPU replays a captured step

    # Consistency phase
    warmup_rate: float = 0.5  # learning rate, relative to the game's
    warmup_betas: tuple[float, float] = (0.9, 0.99)  # of Adam
    warmup_rate_floor: float = 0.05  # share of the rate that the last step has
    warmup_average_decay: float = 0.99  # of the running averages of the weights
    confidence_weight: float = 0.25  # of H(q)
    balance_weight: float = 1.0
    # Below 1; otherwise splitting a dense cluster would lower the loss.
    learned_balance_weight: float = 0.5  # with cluster_prior="learned"
    merged_balance_weight: float = 0.3  # the same, where merged cells are judged
    # Classes are never of exactly one size: after a first part in which every batch is balanced,
    # only a running mean of the posterior is, and only up to a slack.
    batch_balance_share: float = 1 / 3  # of the phase
    balance_momentum: float = 0.1
    balance_slack: float = 0.004  # nats
    head_draws: int = 4  # of T, to choose among sub-heads
    unlabelled_share: float = 1 / 3  # of the phase, before classes get their categories
    labelled_share: float = 0.25  # labelled rows of a step, relative to its other rows
    label_gain: float = 1.0  # factor of `label_weight` in the phase: see `counting_labels`
    unlabelled_weight: float = 1.0  # of the phase's terms without labels

    # Partitions found with a graph of neighbours, at the end of the consistency phase: those of
    # images by moving cells, those of tables by k-means, ellipses and gaps, with the numbers below
    n_neighbors: int = 0  # of a row in the graph; 0: no graph
    least_group_share: float = 0.25  # least size of a group, relative to groups of equal size
    largest_cut: float = 0.015  # of neighbours in another group, of clearly separated groups
    relative_cut: float = 0.5  # the same, relative to the best partition otherwise
    partition_iter: int = 500  # steps to learn a partition; at most four times the phase's
    partition_rate: float = 1.5  # learning rate, relative to the game's

    # Game
    betas: tuple[float, float] = (0.5, 0.99)  # of Adam
    rate_power: float = 1.0  # learning rates decay by (1 - share of steps) ** power
    rate_floor: float = 0.05  # to this share
    average_decay: float = 0.995  # of the running averages of the weights
    adversarial_weight: float = 1.0  # of G and E's adversarial term
    category_gain: float = 1.0  # factor of the categories' part of L_I
    log_epsilon: float = 0.0  # added to probabilities before their logarithm, in the losses
    # Weight of details relative to `cycle_weight`; share of the game that comes before them.
    # From the start on, continuous codes would learn details instead of slant and stroke width.
    detail_gain: float = 0.0
    detail_start: float = 0.25
    density_components: int = 1  # at most, Gaussians of each category that samples are drawn by
    invariance_weight: float = 0.0  # of T's change in the second half of the continuous codes
    # Of the distance of E(x)'s continuous codes and z from U[-1, 1].
    prior_matching_weight: float = 0.0

    @property
    def given_prior(self) -> Prior | None:
        """Probabilities of the categories that the user gave; None: the name of a prior."""
        return None if isinstance(self.cluster_prior, str) else self.cluster_prior

    @property
    def detail_weight(self) -> float:
        """Weight of the term for details."""
        return self.detail_gain * self.cycle_weight


# What else belongs to the paper's objective: its terms as they are, and none of ours.
PAPERS_OBJECTIVE: dict[str, Any] = {
    "adversarial_weight": 1.0,
    "category_gain": 1.0,
    "invariance_weight": 0.0,
    "prior_matching_weight": 0.0,
}


@dataclass(frozen=True)
class AllLabels:
    """What training is where all rows have a label.

    Parameters
    ----------
    gain : float
        What `label_gain` grows to.
    unlabelled_weight : float
        What the weight of the terms without labels falls to.
    networks : Architecture or None
        Networks where most rows have a label; None: the same.
    """

    gain: float = 2.0  # with more, small tables would be memorised
    unlabelled_weight: float = 1.0
    networks: Architecture | None = None


MOST_LABELS = 0.5  # emphasis of labels from which they choose the networks


def counting_labels(recipe: Recipe, emphasis: float, to: AllLabels) -> Recipe:
    """Increase the weight of labels with their number.

    Few labels name what the categories have found by themselves. Where all rows have one, there
    is nothing to find: labels count from the first step on, in as many rows as the batch has, and
    for more than the terms without labels.

    Parameters
    ----------
    recipe : Recipe
    emphasis : float
        From 0, which changes nothing, to 1.
    to : AllLabels
        What 1 stands for.
    """
    return replace(
        recipe,
        labelled_share=max(recipe.labelled_share, emphasis),
        unlabelled_share=recipe.unlabelled_share * (1 - emphasis),
        label_gain=recipe.label_gain * (1 + (to.gain - 1) * emphasis),
        unlabelled_weight=recipe.unlabelled_weight * (1 + (to.unlabelled_weight - 1) * emphasis),
    )


def consistent(recipe: Recipe) -> Recipe:
    """Make dependent values consistent.

    Raises
    ------
    ValueError
        If there is nothing to train, or no phase that learns the prior.
    """
    if recipe.consistency_weight == 0:
        recipe = replace(recipe, warmup_iter=0)
    has_own_terms = recipe.consistency_weight != 0 or recipe.cycle_weight != 0
    if recipe.adversarial_loss == "nonsaturating" and not has_own_terms:
        recipe = replace(recipe, **PAPERS_OBJECTIVE)
    if recipe.cluster_prior == "learned" and recipe.warmup_iter == 0:
        raise ValueError(
            "cluster_prior='learned' is estimated in the consistency phase, and there is none: "
            "set warmup_iter and consistency_weight above 0, or give an array."
        )
    if recipe.warmup_iter == recipe.max_iter == 0:
        raise ValueError(
            "warmup_iter and max_iter are both 0, or consistency_weight and max_iter: there is "
            "nothing to train."
        )
    return recipe


LABELLED_STEPS_A_ROW = 4  # at most: more only learn a few rows by heart


@dataclass(frozen=True)
class Budget:
    """Steps of the two phases, by the number of rows.

    Parameters
    ----------
    least, enough : int
        The consistency phase takes one step per row, at least `least` and at most `enough`.
    most : int
        With very many rows it takes more, but no more than this.
    rows_per_step : int
        How many rows such a further step needs.
    game_share : float
        Steps of the game, relative to those of the consistency phase.
    most_game : int
        No more steps of the game than this, unless very many rows ask for more; 0 for no limit.
    least_labelled : int
        What `least` grows to where all rows have a label, but no more than four steps a row.
    """

    least: int
    enough: int
    most: int = 0
    rows_per_step: int = 40
    game_share: float = 1.0
    most_game: int = 0
    least_labelled: int = 0

    def steps(self, n_rows: int, emphasis: float = 0.0) -> tuple[int, int]:
        """Give the steps of the consistency phase and of the game; `emphasis` is that of labels."""
        labelled = min(self.least_labelled, LABELLED_STEPS_A_ROW * n_rows)
        least = max(self.least, int(emphasis * labelled))
        few = min(max(n_rows, least), self.enough)
        many = min(n_rows // self.rows_per_step, self.most)
        game, game_of_many = int(self.game_share * few), int(self.game_share * many)
        game = min(game, self.most_game) if self.most_game else game
        return max(few, many), max(game, game_of_many)


def emphasis_of(label_share: float) -> float:
    """How much labels count, from 0 to 1: a few change next to nothing."""
    return label_share**2


@dataclass(frozen=True)
class Preset:
    """Networks and the training that suits them.

    Parameters
    ----------
    networks : Architecture
    recipe : Recipe
    n_noise : int
        Size of z.
    budget : Budget or None
        None: the recipe's own numbers of steps, whatever the number of rows.
    all_labels : AllLabels
        What changes as more rows have a label.
    """

    networks: Architecture
    recipe: Recipe
    n_noise: int
    budget: Budget | None = None
    all_labels: AllLabels = AllLabels()

    def build(self, spec: CodeSpec, shape: tuple[int, ...]) -> Networks:
        """Build the networks: a preset is an architecture, too."""
        return self.networks.build(spec, shape)

    def with_networks(self, **numbers: Any) -> Self:
        """Give a preset with other numbers of its networks, such as their widths."""
        networks = replace(self.networks, **numbers)  # type: ignore[type-var]  # a dataclass
        return replace(self, networks=networks)

    def networks_for(self, label_share: float) -> Architecture:
        """Give the networks for rows of which a share has a label."""
        own = self.all_labels.networks
        return self.networks if own is None or emphasis_of(label_share) < MOST_LABELS else own

    def resolved(self, n_rows: int, given: Mapping[str, Any], label_share: float = 0.0) -> Recipe:
        """Recipe for some rows, in which given values replace the preset's.

        `label_share` is the share of the rows that have a label.

        Raises
        ------
        ValueError
            If there is nothing to train, or no phase that learns the prior.
        """
        recipe = self.recipe
        emphasis = emphasis_of(label_share)
        if self.budget is not None:
            warmup_iter, max_iter = self.budget.steps(n_rows, emphasis)
            recipe = replace(recipe, warmup_iter=warmup_iter, max_iter=max_iter)
        recipe = counting_labels(recipe, emphasis, self.all_labels)
        return consistent(replace(recipe, **given))


TABLE = Preset(
    MLPArchitecture(),
    Recipe(
        batch_size=256,
        learning_rate=2e-2,
        discriminator_learning_rate=2e-3,
        cycle_weight=0.1,
        confidence_weight=0.5,
        balance_slack=0.05,
        n_neighbors=10,
        density_components=20,
    ),
    n_noise=8,
    # A game of 1 000 steps takes 2.5 times as long, for samples that are no better.
    budget=Budget(least=100, enough=1000, most_game=400, least_labelled=600),
    all_labels=AllLabels(gain=1.0, unlabelled_weight=0.0, networks=LabelledMLPArchitecture()),
)
SMALL_IMAGES = Preset(
    ConvArchitecture(most_pixels=MOST_PIXELS),
    Recipe(n_neighbors=10, cycle_weight=1.0, detail_gain=5.0, density_components=20),
    n_noise=16,
    budget=Budget(least=200, enough=1000, most=1400, game_share=0.6, most_game=300),
)
IMAGES = Preset(
    ConvArchitecture(
        category_channels=(16, 32, 64),
        category_strides=(2, 2, 2),
        category_activation=relu,
        most_pixels=MOST_PIXELS,
    ),
    Recipe(
        learning_rate=3e-3,
        warmup_rate=4 / 3,
        n_neighbors=10,
        cycle_weight=0.15,
        adversarial_weight=0.5,
        detail_gain=20.0,
        invariance_weight=0.75,
        prior_matching_weight=0.5,
        density_components=20,
    ),
    n_noise=32,
    budget=Budget(least=200, enough=1000, most=1400, game_share=0.75, most_game=375),
)
# Photographs differ in brightness and in contrast, too, and their backgrounds need many numbers.
# A z that says so much would leave nothing to the categories, if these did not count for more.
COLOUR_IMAGES = replace(
    IMAGES.with_networks(style_norm=False),
    recipe=replace(IMAGES.recipe, category_gain=5.0),
    n_noise=128,
)
PAPER_MNIST = Preset(
    PaperArchitecture(),
    Recipe(
        consistency_weight=0.0,
        cycle_weight=0.0,
        adversarial_loss="nonsaturating",
        max_iter=30_000,
        learning_rate=5e-4,
        discriminator_learning_rate=1e-4,
        betas=(0.5, 0.999),
        rate_power=0.5,
        rate_floor=0.2,
        log_epsilon=1e-8,
    ),
    n_noise=16,
)
# The supplement's system for SVHN and CelebA. The strides that it prints for G end at 8 x 8: the
# two doublings that are missing go to the next two layers, of 128 and 64. Without padding, as for
# MNIST, E's convolutions end at 2 x 2 x 512, from which G starts.
PAPER_32X32 = Preset(
    PaperArchitecture(
        generator_channels=(512, 512, 256, 128, 64, 32),
        generator_strides=(2, 2, 2, 2, 1, 1),
        generator_kernels=(5, 5, 5, 5, 5, 4),
        encoder_channels=(32, 64, 128, 256, 512),
        encoder_strides=(1, 2, 1, 2, 2),
        discriminator_channels=(64, 128, 256),
        discriminator_kernel=4,
        discriminator_dense=1024,
        discriminator_code=(64, 128, 256),
        noise=(),
    ),
    replace(PAPER_MNIST.recipe, max_iter=300_000, batch_size=32, learning_rate=1e-4),
    n_noise=64,
)


def _by_name(preset: Preset) -> dict[str, Preset]:
    return {"conv": preset, "conv-contrast": preset.with_networks(local_contrast=True)}


PRESETS = {
    "mlp": TABLE,
    **_by_name(SMALL_IMAGES),
    "paper-mnist": PAPER_MNIST,
    "paper-32x32": PAPER_32X32,
}
# In place of these for images from 16 pixels a side on.
LARGE, LARGE_IN_COLOUR = _by_name(IMAGES), _by_name(COLOUR_IMAGES)


AUTO = StrOptions({"auto"})
POSITIVE = Interval(Real, 0, LARGEST_AMOUNT, closed="right")
NOT_NEGATIVE = Interval(Real, 0, LARGEST_AMOUNT, closed="both")
COUNT = Interval(Integral, 0, LARGEST_COUNT, closed="both")
POSITIVE_COUNT = Interval(Integral, 1, LARGEST_COUNT, closed="both")
MOST_STARTS, MOST_CODES = 10_000, 1_000

# What users may give for each parameter of an estimator, as scikit-learn checks it.
CONSTRAINTS: dict[str, list[Any]] = {
    "n_clusters": [POSITIVE_COUNT, tuple],
    "n_continuous": [Interval(Integral, 0, MOST_CODES, closed="both")],
    "n_noise": [Interval(Integral, 0, MOST_CODES, closed="both"), AUTO],
    "include_noise": ["boolean"],
    "image_shape": [tuple, list, None],
    "architecture": [StrOptions({"auto", *PRESETS}), HasMethods(["build"])],
    "mi_weight": [NOT_NEGATIVE],
    "consistency_weight": [NOT_NEGATIVE, AUTO],
    "augmentation": [StrOptions({"auto", *NAMED_AUGMENTATIONS}), callable, None],
    "cycle_weight": [NOT_NEGATIVE, AUTO],
    "adversarial_loss": [StrOptions({"auto", *ADVERSARIAL_LOSSES})],
    "cluster_prior": [StrOptions({"uniform", "learned"}), "array-like"],
    "n_neighbors": [COUNT, AUTO],
    "warmup_iter": [COUNT, AUTO],
    "max_iter": [COUNT, AUTO],
    "batch_size": [POSITIVE_COUNT, AUTO],
    "learning_rate": [POSITIVE, AUTO],
    "discriminator_learning_rate": [POSITIVE, AUTO],
    "n_init": [Interval(Integral, 1, MOST_STARTS, closed="both")],
    "n_jobs": [Integral, None],
    "device": [str],
    "n_threads": [Interval(Integral, 1, MOST_THREADS, closed="both"), AUTO],
    "precision": [StrOptions({*PRECISIONS, "auto"})],
    "compile": ["boolean"],
    "cuda_graph": ["boolean", AUTO],
    "callbacks": [list, None],
    "verbose": ["verbose"],
    "checkpoint_dir": [str, os.PathLike, None],
    "checkpoint_every": [POSITIVE_COUNT],
    "random_state": ["random_state"],
}


# What a training has settled with its first rows, so that `partial_fit` can't go on with another
# value. Other parameters may change between its calls.
SETTLED = (
    "n_clusters",
    "n_continuous",
    "n_noise",
    "image_shape",
    "architecture",
    "augmentation",
    "adversarial_loss",
    "cluster_prior",
    "n_neighbors",
    "random_state",
)


def resolve_preset(architecture: Any, shape: tuple[int, ...], n_rows: int) -> Preset:
    """Turn the estimator's `architecture` into a preset.

    Parameters
    ----------
    architecture : str or object
        A name, or an object that builds networks: it may say some numbers of its training.
    shape : tuple of int
        (C, H, W) of images, (n_features,) of tables.
    n_rows : int
        Of the training data.

    Raises
    ------
    ValueError
        If the name does not suit the data.
    """
    if isinstance(architecture, Preset):
        return architecture
    if not isinstance(architecture, str):
        return _preset_around(architecture, resolve_preset("auto", shape, n_rows), n_rows)
    is_image = len(shape) == 3
    name = ("conv" if is_image else "mlp") if architecture == "auto" else architecture
    if name != "mlp" and not is_image:
        raise ValueError(f"architecture={name!r} needs images: set image_shape, or use 'mlp'.")
    if name in LARGE and is_large_image(shape):
        return (LARGE_IN_COLOUR if shape[0] > 1 else LARGE)[name]
    return PRESETS[name]


def _preset_around(architecture: Architecture, preset: Preset, n_rows: int) -> Preset:
    """Put a user's networks and the numbers that they come with into a preset."""
    own = dict(architecture.recipe(n_rows)) if hasattr(architecture, "recipe") else {}
    known = {"n_noise", *(field.name for field in fields(Recipe))}
    if unknown := sorted(own.keys() - known):
        raise ValueError(
            f"{type(architecture).__name__}.recipe gives {unknown}; it may give any of "
            f"{sorted(known)}."
        )
    validate_parameter_constraints(CONSTRAINTS, own, f"{type(architecture).__name__}.recipe")
    own = {name: value for name, value in own.items() if not is_auto(value)}
    n_noise = own.pop("n_noise", preset.n_noise)
    if preset.budget is not None:
        steps = dict(zip(("warmup_iter", "max_iter"), preset.budget.steps(n_rows), strict=True))
        own = steps | own
    return Preset(architecture, replace(preset.recipe, **own), n_noise)
