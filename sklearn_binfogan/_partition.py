"""Partitions that a graph of neighbours knows better than the heads: chosen, then learned by E."""

import math
from functools import partial

import numpy as np
import torch
from scipy.stats import entropy
from sklearn.metrics import adjusted_rand_score
from torch import Tensor
from torch.nn import functional as F

from ._augmentation import SwappedValues, rows_for_graph
from ._cells import MAX_REGROUPED, images_needed, kmeans
from ._ellipses import all_there_is, ellipses
from ._neighbours import NeighbourGraph, separated_groups
from ._networks import Encoder
from ._rows import n_held_out
from ._settings import Settings

N_KMEANS = 10  # starts of k-means
# Nats taken off the information about neighbours for each nat of the categories' entropy: otherwise
# halves of a large group would be better than a small group.
PRICE = 0.5
CLEARER = 0.2  # times as large a `relative_cut`, where ellipses are all there is
# Ellipses may cut this many times as much as the best partition, or `largest_cut` if it cuts less.
MOST_CUT = 3.0


def uses_neighbours(settings: Settings) -> bool:
    """Whether a graph of neighbours helps to settle the categories.

    There must be a code whose sizes are free, and a wish for information. Cells of images
    are grouped by information, which is largest for equal sizes: no prior is learned with them.
    Of several codes of images only the first is settled so: the later ones are to be other
    partitions than the one that neighbours suggest.
    """
    spec, recipe, is_image = settings.spec, settings.recipe, settings.layout.is_image
    prior = recipe.cluster_prior
    free = prior == "uniform" or (prior == "learned" and not is_image)
    has_code = spec.categories[0] > 1 and (is_image or len(spec.categories) == 1)
    return recipe.n_neighbors > 0 and recipe.mi_weight > 0 and free and has_code


def check_neighbours(settings: Settings, n_rows: int) -> None:
    """Raise ValueError if a number of neighbours that the user gave can't be used."""
    spec, recipe, is_image = settings.spec, settings.recipe, settings.layout.is_image
    given = f"n_neighbors={recipe.n_neighbors}"
    if len(spec.categories) > 1 and not is_image:
        raise ValueError(
            f"With a table, {given} needs one categorical code; n_clusters={spec.categories} has "
            f"{len(spec.categories)}. Use n_neighbors=0."
        )
    if recipe.given_prior is not None:
        raise ValueError(
            f"{given} finds clusters of any size, and cluster_prior gives their sizes: use one "
            "of the two."
        )
    if is_image and recipe.cluster_prior == "learned":
        raise ValueError(
            f"{given} finds categories of images that are about equally likely, and "
            "cluster_prior='learned' finds unequal ones: use one of the two."
        )
    if recipe.warmup_iter == 0:
        raise ValueError(
            f"{given} is used at the end of the consistency phase, and there is none: set "
            "warmup_iter and consistency_weight above 0, or use n_neighbors=0."
        )
    n_used = min(n_rows - n_held_out(n_rows), MAX_REGROUPED)
    n_groups = spec.categories[0]
    if is_image and n_used < images_needed(n_groups, recipe.n_neighbors):
        raise ValueError(
            f"{given} needs {images_needed(1, recipe.n_neighbors)} images for each of the "
            f"{n_groups} clusters; of n_samples={n_rows} it can use {n_used}. Use fewer "
            "neighbours, or 0."
        )
    if recipe.n_neighbors >= n_rows:
        raise ValueError(f"{given} must be less than n_samples={n_rows}.")


@torch.no_grad()
def better_partition(encoder: Encoder, x: Tensor, settings: Settings) -> Tensor | None:
    """Find a partition of network input that is better than that of the kept head.

    Neighbours should share their category. So k-means or ellipses replace the head's partition if
    the category of a row tells more about those of its neighbours, apart from what more equal sizes
    alone would tell. Ellipses may overlap, where neighbours can't tell: they are better in any case
    if rows are drawn from them, unless they cut far more pairs of neighbours. Yet one of the three,
    or the groups that gaps separate, are better if they cut hardly any pairs of neighbours, and far
    fewer, above all than ellipses from which rows are drawn. In real tables groups that gaps
    separate are often only the rows of a sparse region. Where values are swapped, neither gaps nor
    ellipses are tried: both often find only the values of one column.

    Returns
    -------
    labels : Tensor of int64, shape (n,), or None
        None: the head's own partition is kept.
    """
    n_groups, recipe, augment = encoder.spec.n_categorical, settings.recipe, settings.augment
    least = max(recipe.n_neighbors, 2 * n_groups)
    if len(x) <= least:
        return None
    own = encoder.logits(x).argmax(dim=1).cpu().numpy()
    linked = rows_for_graph(augment, x, settings.seed)
    first, copies = _once_each(linked.cpu().numpy(), least)
    rows = x.cpu().double().numpy()
    linked_rows = rows if linked is x else linked.cpu().double().numpy()
    graph = NeighbourGraph.of(linked_rows[first], recipe.n_neighbors)
    means = kmeans(rows, n_groups, N_KMEANS, settings.seed)
    has_swaps = isinstance(augment, SwappedValues)
    mixed = [] if has_swaps else ellipses(rows, means, n_groups)

    def less_entropy(labels: np.ndarray, price: float) -> float:
        chosen = labels[first]
        return graph.information(chosen, n_groups) - price * float(entropy(np.bincount(chosen)))

    # Where there are hardly any groups, the best would be a few rows beside the rest.
    merit = partial(less_entropy, price=PRICE if less_entropy(own, PRICE) >= 0 else 0.0)
    partitions = [own, means, *(each.labels for each in mixed)]
    best, relative_cut = max(partitions, key=merit), recipe.relative_cut
    if mixed:
        most = MOST_CUT * max(graph.cut(best[first], n_groups), recipe.largest_cut)
        fitting = [each.labels for each in all_there_is(mixed, rows)]
        fitting = [labels for labels in fitting if graph.cut(labels[first], n_groups) <= most]
        if fitting:
            best, relative_cut = max(fitting, key=merit), CLEARER * relative_cut
    if not has_swaps:
        tree = graph.spanning_tree()
        groups = separated_groups(tree, n_groups, recipe.least_group_share)
        partitions.append(groups[copies])
    largest = min(recipe.largest_cut, relative_cut * graph.cut(best[first], n_groups))
    apart = [labels for labels in partitions if graph.cut(labels[first], n_groups) <= largest]
    best = max(apart, key=merit, default=best)
    # Equal partitions may be numbered differently.
    if best is own or adjusted_rand_score(best, own) == 1:
        return None
    return torch.from_numpy(best).to(x.device)


def _once_each(rows: np.ndarray, least: int) -> tuple[np.ndarray | slice, np.ndarray | slice]:
    """Choose the rows of a graph: where most have duplicates, each distinct one once.

    Otherwise a row's neighbours would be its duplicates, which tell nothing. Rows of rounded
    numbers, such as ages, have many. More than `least` rows are needed.

    Returns
    -------
    first : ndarray of int64, shape (n_chosen,), or slice
        Numbers of the chosen rows; a slice of all rows takes no copy of them.
    copies : ndarray of int64, shape (n,), or slice
        For each row, the place in `first` of the one that it equals.
    """
    _, first, copies = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    if least < len(first) < len(rows) / 2:
        return first, copies.ravel()
    return slice(None), slice(None)


def learn_partition(encoder: Encoder, x: Tensor, labels: Tensor, settings: Settings) -> None:
    """Train the category branch to give rows their labels, (n,), by the kept head.

    T(x) has the label of x. From x alone E would learn to be sure everywhere, also of new rows and
    at the borders, where it is often wrong.
    """
    recipe, rng = settings.recipe, torch.Generator(x.device).manual_seed(settings.seed)
    rate = recipe.partition_rate * recipe.learning_rate
    weights = [*encoder.category_trunk.parameters(), *encoder.category_head.parameters()]
    optimizer = torch.optim.Adam(weights, rate, recipe.warmup_betas, fused=True)
    n_steps = min(recipe.partition_iter, 4 * recipe.warmup_iter)
    floor = recipe.warmup_rate_floor
    size = min(recipe.batch_size, len(x))
    order = torch.empty(0, dtype=torch.int64, device=x.device)
    for step in range(n_steps):
        if len(order) < size:
            order = torch.randperm(len(x), generator=rng, device=x.device)
        batch, order = order[:size], order[size:]
        cosine = 0.5 + 0.5 * math.cos(math.pi * step / n_steps)
        optimizer.param_groups[0]["lr"] = rate * (floor + (1 - floor) * cosine)
        optimizer.zero_grad()
        both = torch.cat([x[batch], settings.augment(x[batch], rng)])
        loss = F.cross_entropy(encoder.logits(both), labels[batch].repeat(2))
        loss.backward()
        optimizer.step()
    optimizer.zero_grad()
