"""Categories put together from cells of over-clustering heads, by a graph of neighbours."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import entr
from torch import Tensor
from torch.nn import functional as F

from ._neighbours import NeighbourGraph
from ._networks import Encoder
from ._settings import Settings
from ._threads import one_thread

TINY = 1e-6
WEIGHT_DECAY = 1e-4  # of a linear head
# Of its fit. Groups of cells need fewer: on MNIST and clothing more changed no accuracy.
MOST_ITERATIONS, ENOUGH_ITERATIONS = 100, 25
MAX_REGROUPED = 6_000  # images
MOST_SIDE = 32  # pixels of images whose distances are compared
N_KMEANS = 4  # partitions by k-means of the features
LEAST_GAIN = 1e-3  # nats, of a move


class LinearHeads(NamedTuple):
    """Linear heads on the trunk's features."""

    weights: Tensor  # (n_heads, K, width)
    biases: Tensor  # (n_heads, K)

    def logits(self, features: Tensor) -> Tensor:
        """Logits of features of the trunk, (n_heads, n, K)."""
        return features @ self.weights.mT + self.biases[:, None]

    def followed_by(self, weight: Tensor, bias: Tensor) -> "LinearHeads":
        """Heads with further rows, (n_rows, width) and (n_rows,), the same for all heads."""
        n_heads = len(self.biases)
        weights = torch.cat([self.weights, weight.expand(n_heads, -1, -1)], dim=1)
        return LinearHeads(weights, torch.cat([self.biases, bias.expand(n_heads, -1)], dim=1))


def images_needed(n_groups: int, n_neighbors: int) -> int:
    """Least number of images that a graph of neighbours is made of."""
    return 2 * n_groups * n_neighbors


@torch.no_grad()
def regrouped_heads(
    encoder: Encoder, blocks: Sequence[Tensor], settings: Settings
) -> LinearHeads | None:
    """Improve partitions of all sub-heads, and others, by moving cells between categories.

    Of several codes the first is improved.

    A sub-head may put a rare form of one class, such as the crossed seven, into a category of
    another: T cannot tell. A cell of an over-clustering head often holds just this form, and the
    rows near to it, by pixels and by features, tell where it belongs. k-means of the features,
    whose groups need not be equal, gives further partitions to begin with.

    Parameters
    ----------
    encoder : Encoder
    blocks : sequence of Tensors of shape (n, C, H, W)
        Images.
    settings : Settings
        T's results have the category of x. The graph has `n_neighbors` of each row by pixels, and
        as many by features.

    Returns
    -------
    heads : LinearHeads or None
        One for each partition; None if there are too few rows for a graph.
    """
    n_groups, recipe, seed = encoder.spec.categories[0], settings.recipe, settings.seed
    if sum(map(len, blocks)) < images_needed(n_groups, recipe.n_neighbors):
        return None
    features = torch.cat([encoder.category_trunk(x) for x in blocks])
    directions = F.normalize(features).cpu().double().numpy()
    pixels = np.concatenate([_pixels(encoder.seen(x)) for x in blocks])
    graph = _nearest_in_either(pixels, directions, recipe.n_neighbors)
    has_cells = encoder.n_overclustering_heads > 0
    cells = _labels(encoder.overclustering_logits(features)) if has_cells else []
    starts = [
        *_labels(encoder.spec.split(encoder.sub_head_logits(features))[0]),
        *(kmeans(directions, n_groups, 1, seed + i) for i in range(N_KMEANS)),
    ]
    least = recipe.least_group_share
    found = np.stack([regrouped(start, cells, graph, n_groups, least) for start in starts])
    # From clean rows alone a head would be sure everywhere.
    rng = torch.Generator(features.device).manual_seed(seed)
    augmented = [encoder.category_trunk(settings.augment(x, rng)) for x in blocks]
    both = torch.cat([features, *augmented])
    labels = torch.from_numpy(found).to(features.device).repeat(1, 2)
    return linear_heads(both, F.one_hot(labels, n_groups).to(both), ENOUGH_ITERATIONS)


def _labels(logits: Tensor) -> list[np.ndarray]:
    """Labels of rows by each head, from logits of shape (n_heads, n, K)."""
    return list(logits.argmax(dim=-1).cpu().numpy())


def _pixels(x: Tensor) -> np.ndarray:
    """Images as rows, (n, n_pixels), with their sides reduced to at most `MOST_SIDE`."""
    height, width = (min(side, MOST_SIDE) for side in x.shape[2:])
    return F.adaptive_avg_pool2d(x, (height, width)).flatten(1).cpu().double().numpy()


def kmeans(rows: np.ndarray, n_groups: int, n_init: int, seed: int) -> np.ndarray:
    """Labels of rows by k-means; of a few distinct rows, each is a group."""
    from sklearn.cluster import KMeans  # here: it is slow to import

    groups: dict[bytes, int] = {}  # of equal rows; faster than `np.unique`
    found = [groups.setdefault(row.tobytes(), len(groups)) for row in rows + 0.0]  # -0.0 is 0.0
    if len(groups) > n_groups:  # otherwise KMeans would warn
        # The order in which threads add up would change the last bits.
        with one_thread():
            found = KMeans(n_groups, n_init=n_init, random_state=seed % 2**32).fit_predict(rows)
    return np.asarray(found, np.int64)


def _nearest_in_either(one: np.ndarray, other: np.ndarray, n_neighbors: int) -> NeighbourGraph:
    """Graph of the rows nearest by one description of the rows, and of those by another."""
    graphs = [NeighbourGraph.of(rows, n_neighbors) for rows in (one, other)]
    nearest = np.concatenate([graph.nearest for graph in graphs], axis=1)
    distances = np.concatenate([graph.distances for graph in graphs], axis=1)
    return NeighbourGraph(one, nearest, distances)


def regrouped(
    labels: np.ndarray,
    cells: Sequence[np.ndarray],
    graph: NeighbourGraph,
    n_groups: int,
    least_share: float,
) -> np.ndarray:
    """Move cells between groups as long as neighbours' groups then tell more about each other.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        Groups to begin with.
    cells : sequence of ndarray of int64, shape (n,)
        Finer partitions, used in turn. A cell that groups share is as many cells.
    graph : NeighbourGraph
    n_groups : int
    least_share : float
        Least size of a group that a move may leave, relative to groups of equal size.

    Returns
    -------
    labels : ndarray of int64, shape (n,)
    """
    least = least_share * len(labels) / n_groups
    for cell in cells:
        _, numbers = np.unique(labels * (cell.max() + 1) + cell, return_inverse=True)
        group_of = np.zeros(numbers.max() + 1, np.int64)
        group_of[numbers] = labels
        pairs = graph.pairs(numbers, len(group_of))
        labels = _climbed(group_of, pairs, np.bincount(numbers), n_groups, least)[numbers]
    return labels


def _climbed(
    group_of: np.ndarray, pairs: np.ndarray, sizes: np.ndarray, n_groups: int, least: float
) -> np.ndarray:
    """Move each cell to its best group, in turn, until none moves; return their groups, (n_cells,).

    Parameters
    ----------
    group_of : ndarray of int64, shape (n_cells,)
    pairs : ndarray of shape (n_cells, n_cells)
        Share of pairs of neighbours in each two cells.
    sizes : ndarray of int64, shape (n_cells,)
        Rows of each cell.
    n_groups : int
    least : float
        Rows that a move must leave in a group.
    """
    group_of, is_in = group_of.copy(), np.eye(n_groups)[group_of]
    of_groups, n_rows = is_in.T @ pairs @ is_in, sizes @ is_in
    within, moved = pairs.diagonal(), True
    others = pairs - np.diag(within)
    while moved:
        moved = False
        for cell, old in enumerate(group_of):
            if n_rows[old] - sizes[cell] < least:
                continue
            to_groups = others[cell] @ is_in
            without = _joined(of_groups, old, -to_groups, -within[cell])
            gains = _gains(without, to_groups, within[cell])
            new = int(gains.argmax())
            if gains[new] - gains[old] < LEAST_GAIN:
                continue
            of_groups = _joined(without, new, to_groups, within[cell])
            n_rows[[old, new]] += -sizes[cell], sizes[cell]
            group_of[cell], is_in[cell], moved = new, np.eye(n_groups)[new], True
    return group_of


def _joined(of_groups: np.ndarray, group: int, to_groups: np.ndarray, within: float) -> np.ndarray:
    """Pairs of groups, (K, K), after a cell has joined one; with negative shares, after it left."""
    joined = of_groups.copy()
    joined[group] += to_groups
    joined[:, group] += to_groups
    joined[group, group] += within
    return joined.clip(0)  # of rounding errors


def _gains(of_groups: np.ndarray, to_groups: np.ndarray, within: float) -> np.ndarray:
    """Information of neighbours' groups by the group that a cell joins, (K,), up to a constant."""
    shares = of_groups.sum(axis=1) + to_groups  # whatever group the cell joins
    share = to_groups.sum() + within
    of_one = entr(shares + share) - entr(shares)
    of_both = 2 * (entr(of_groups + to_groups) - entr(of_groups)).sum(axis=1)
    own = of_groups.diagonal()
    of_both += entr(own + 2 * to_groups + within) + entr(own) - 2 * entr(own + to_groups)
    return 2 * of_one - of_both


def group_cells(cells: Tensor, augmented: Tensor, n_groups: int) -> Tensor:
    """Group cells between which T moves many rows, by average linkage.

    Parameters
    ----------
    cells, augmented : Tensor of shape (n, n_cells)
        Posteriors of the rows and of T of the rows.
    n_groups : int
        From 1 to n_cells.

    Returns
    -------
    groups : Tensor of shape (n_cells, n_groups)
        1 where a cell belongs to a group, else 0.
    """
    from sklearn.cluster import AgglomerativeClustering  # here: it is slow to import

    flow = cells.T @ augmented
    flow = flow + flow.T
    stays = flow.diagonal().clamp_min(TINY).sqrt()
    distance = 1 - (flow / stays[:, None] / stays).clamp(0, 1)
    linkage = AgglomerativeClustering(n_groups, metric="precomputed", linkage="average")
    labels = torch.from_numpy(linkage.fit_predict(distance.cpu().double().numpy()))
    return F.one_hot(labels, n_groups).to(cells)


def linear_heads(
    features: Tensor, posteriors: Tensor, n_iterations: int = MOST_ITERATIONS
) -> LinearHeads:
    """Fit a linear layer whose softmax is closest to each of several posteriors, (n_heads, n, K).

    One fit of all is several times faster than one after the other.
    """
    n_heads, _, n_groups = posteriors.shape
    weight = features.new_zeros((n_heads * n_groups, features.shape[1]), requires_grad=True)
    bias = features.new_zeros(len(weight), requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=n_iterations, line_search_fn="strong_wolfe"
    )
    targets = posteriors.permute(1, 2, 0).contiguous()

    def loss() -> Tensor:
        optimizer.zero_grad()
        with torch.enable_grad():
            logits = F.linear(features, weight, bias).unflatten(1, (n_heads, n_groups))
            error = n_heads * F.cross_entropy(logits.transpose(1, 2), targets)
            loss = error + WEIGHT_DECAY * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(loss)
    heads = (n_heads, n_groups)
    return LinearHeads(weight.detach().unflatten(0, heads), bias.detach().unflatten(0, heads))
