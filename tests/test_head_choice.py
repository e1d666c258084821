"""Which candidate head gives the categories."""

import torch
from torch import Tensor, nn

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan._augmentation import identity
from sklearn_binfogan._consistency import Consistency, nearest

SURE = 20.0


class ReadsColumns(nn.Module):
    """Candidate heads of two categories each: head i tells rows by the sign of column i."""

    def __init__(self, n_heads: int) -> None:
        super().__init__()
        self.category_trunk = nn.Identity()
        self.register_buffer("head", torch.tensor(0))
        self.n_heads, self.n_overclustering_heads = n_heads, 0

    def sub_head_logits(self, features: Tensor) -> Tensor:
        columns = SURE * features.sign().T[: self.n_heads]
        return torch.stack([columns, -columns], dim=2)


def consistency(X: Tensor) -> Consistency:
    gan = BInfoGANTransformer(n_clusters=2, augmentation=identity)
    return Consistency(gan._settings(X.numpy(), seed=0), torch.Generator().manual_seed(0))


def test_near_rows_decide_between_heads_that_agree_with_themselves():
    """Both heads are sure, balanced and the same for x and T(x)."""
    near, far = 0.001, 10.0
    X = torch.tensor([[a * near, b * far] for a in (-1, 1) for b in (-1, 1)] * 25)
    encoder = ReadsColumns(n_heads=2)

    consistency(X).settle(encoder, [X[:60], X[60:]])

    assert encoder.head == 1


def test_a_single_row_settles_the_head():
    encoder = ReadsColumns(n_heads=2)

    consistency(torch.ones(4, 2)).settle(encoder, [torch.ones(1, 2)])

    assert encoder.head == 0


def test_nearest():
    rows = torch.tensor([[0.0], [1.0], [3.0], [100.0]])

    assert nearest(rows, 2).tolist() == [[0, 1], [1, 0], [2, 1], [3, 2]]
    assert nearest(rows, 9).shape == (4, 4)
