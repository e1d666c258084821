"""The graph of nearest rows: how much a partition cuts it, and the groups that gaps separate."""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from scipy.stats import entropy

from ._threads import one_thread

# Number of neighbours that measure how sparse a row's surroundings are, and what a partition cuts.
# More would reach across the gap between two thin groups.
CORE = 5
TIE = 1e-6  # share of the distance that is added to a length, to order equal lengths


class Edges(NamedTuple):
    """Edges between rows."""

    one: np.ndarray
    other: np.ndarray
    length: np.ndarray

    def matrix(self, n_rows: int) -> csr_array:
        """Lengths as a symmetric sparse matrix."""
        matrix = coo_array((self.length, (self.one, self.other)), shape=(n_rows, n_rows)).tocsr()
        return matrix.maximum(matrix.T)


@dataclass(frozen=True, eq=False)
class NeighbourGraph:
    """Rows and their nearest other rows.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
    nearest : ndarray of int64, shape (n, n_neighbors)
        Numbers of the rows nearest to each row, without itself, the nearest first.
    distances : ndarray of shape (n, n_neighbors)
    """

    rows: np.ndarray
    nearest: np.ndarray
    distances: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, n_neighbors: int) -> Self:
        """Find the neighbours of more than `n_neighbors` rows."""
        from sklearn.neighbors import NearestNeighbors  # slow to import

        # Which of several equally near rows are found depends on the number of threads.
        with one_thread():
            distances, nearest = NearestNeighbors(n_neighbors=n_neighbors).fit(rows).kneighbors()
        return cls(rows, nearest, distances)

    def pairs(self, labels: np.ndarray, n_labels: int, n_nearest: int | None = None) -> np.ndarray:
        """Share of all pairs of neighbours that have each two labels, (n_labels, n_labels)."""
        of_nearest = labels[self.nearest[:, :n_nearest]]
        cells = (labels[:, None] * n_labels + of_nearest).ravel()
        counts = np.bincount(cells, minlength=n_labels**2).reshape(n_labels, n_labels)
        both = counts + counts.T
        return both / both.sum()

    def information(self, labels: np.ndarray, n_labels: int) -> float:
        """Mutual information in nats of the labels of a row and of a neighbour."""
        pairs = self.pairs(labels, n_labels)
        return float(2 * entropy(pairs.sum(axis=1)) - entropy(pairs, axis=None))

    def cut(self, labels: np.ndarray, n_labels: int) -> float:
        """Share of the pairs of a group's rows that leave the group, averaged over groups.

        Pairs are those of a row and its five nearest rows. This is the normalised cut (Shi & Malik
        2000), divided by the number of groups. A group without rows counts as cut everywhere.
        """
        pairs = self.pairs(labels, n_labels, CORE)
        sizes = pairs.sum(axis=1)
        kept = np.divide(pairs.diagonal(), sizes, out=np.zeros(n_labels), where=sizes > 0)
        return float(1 - kept.mean())

    def spanning_tree(self) -> Edges:
        """Minimum spanning tree of all rows, by mutual reachability.

        An edge is as long as the distance between its rows, but no shorter than the distance from
        either of them to its fifth neighbour, so that single rows in a gap form no bridge (as in
        HDBSCAN, Campello et al. 2013). The tree uses only edges of the graph. If the graph has
        several parts, the shortest edges that join them are added.
        """
        n_rows, n_neighbors = self.nearest.shape
        sparseness = self.distances[:, min(CORE, n_neighbors) - 1]
        one, other = np.repeat(np.arange(n_rows), n_neighbors), self.nearest.ravel()
        length = _reachability(self.distances.ravel(), sparseness[one], sparseness[other])
        forest = minimum_spanning_tree(Edges(one, other, length).matrix(n_rows)).tocoo()
        edges = Edges(forest.row, forest.col, forest.data)
        n_parts, parts = connected_components(forest, directed=False)
        bridges = [self._bridge(parts, sparseness) for _ in range(n_parts - 1)]
        return Edges(*(np.concatenate(each) for each in zip(edges, *bridges, strict=True)))

    def _bridge(self, parts: np.ndarray, sparseness: np.ndarray) -> Edges:
        """Find the shortest edge from the smallest part to another; join the two in `parts`."""
        from sklearn.neighbors import NearestNeighbors

        numbers, sizes = np.unique(parts, return_counts=True)
        inside = parts == numbers[sizes.argmin()]
        near, far = np.flatnonzero(inside), np.flatnonzero(~inside)
        search = NearestNeighbors(n_neighbors=1).fit(self.rows[far])
        with one_thread():  # as in `of`
            distance, found = search.kneighbors(self.rows[near])
        other = far[found[:, 0]]
        length = _reachability(distance[:, 0], sparseness[near], sparseness[other])
        best = length.argmin()
        parts[inside] = parts[other[best]]
        return Edges(near[[best]], other[[best]], length[[best]])


def _reachability(distance: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Length of edges; above 0, since a sparse matrix does not store zeros."""
    length: np.ndarray = np.maximum(distance, np.maximum(one, other)) + TIE * distance
    return np.maximum(length, np.finfo(float).tiny)


def separated_groups(tree: Edges, n_groups: int, least_share: float) -> np.ndarray:
    """Cut a tree at its longest edges into groups that are all large enough.

    Outlying rows stay with the group that they are nearest to.

    Parameters
    ----------
    tree : Edges
    n_groups : int
        At most as many as there are rows.
    least_share : float
        Least size of a group, relative to groups of equal size. It is halved until there are
        enough groups.

    Returns
    -------
    labels : ndarray of int64, shape (n,)
        From 0 to n_groups - 1.
    """
    pieces = _Pieces(tree)
    least = least_share * pieces.n_rows / n_groups
    while pieces.n_pieces < n_groups:
        pieces.cut(n_groups, least)
        least /= 2
    return pieces.labels()


class _Pieces:
    """A rooted tree of rows, and the pieces that it has been cut into.

    Every piece has its own root. The size of a row is the number of rows below it in its piece,
    itself included.
    """

    def __init__(self, tree: Edges) -> None:
        self.n_rows, self.n_pieces = len(tree.length) + 1, 1
        order, parents = breadth_first_order(tree.matrix(self.n_rows), 0, directed=False)
        self.order, self.parents = order.tolist(), parents.tolist()
        self.sizes = [1] * self.n_rows
        for row in self.order[:0:-1]:
            self.sizes[self.parents[row]] += self.sizes[row]
        self.is_root = [False] * self.n_rows
        self.is_root[0] = True
        # Each edge is identified by its lower row.
        lower = np.where(parents[tree.one] == tree.other, tree.one, tree.other)
        self.longest_first = lower[np.argsort(-tree.length, kind="stable")].tolist()

    def cut(self, n_pieces: int, least: float) -> None:
        """Cut the longest edges first, if both pieces keep at least `least` rows."""
        for row in self.longest_first:
            if self.n_pieces == n_pieces:
                return
            size = self.sizes[row]
            if self.is_root[row] or size < least:
                continue
            above = self._above(row)
            if self.sizes[above[-1]] - size < least:
                continue
            for each in above:
                self.sizes[each] -= size
            self.is_root[row] = True
            self.n_pieces += 1

    def _above(self, row: int) -> list[int]:
        """Rows above a row, up to the root of its piece."""
        above = [self.parents[row]]
        while not self.is_root[above[-1]]:
            above.append(self.parents[above[-1]])
        return above

    def labels(self) -> np.ndarray:
        """Give each row the number of its piece."""
        labels = np.zeros(self.n_rows, np.int64)
        n_found = 0
        for row in self.order:
            if self.is_root[row]:
                labels[row] = n_found
                n_found += 1
            else:
                labels[row] = labels[self.parents[row]]
        return labels
