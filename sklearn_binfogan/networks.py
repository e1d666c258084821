"""Building blocks for your own networks: see the guide on extending."""

from typing import Any

from torch import nn

from ._networks import Encoder

__all__ = ["make_encoder"]


def make_encoder(
    spec: Any,
    category_trunk: nn.Module,
    category_width: int,
    style_trunk: nn.Module,
    style_width: int,
    n_heads: int = 1,
    keep_weights: bool = False,
) -> nn.Module:
    """Put an encoder around two networks that compute features.

    One computes features for the categories, the other those for the style codes: continuous codes
    and noise. The encoder adds the layers that turn features into codes, and what the consistency
    phase needs.

    Parameters
    ----------
    spec : object
        The first argument of `build`: it says which columns of a code hold what.
    category_trunk : torch.nn.Module
        Turns rows, (n, n_features) or (n, C, H, W), into features, (n, category_width). Weights
        that need no gradient are kept and not trained; a batch norm still adapts its statistics.
    category_width : int
        Number of features for the categories.
    style_trunk : torch.nn.Module
        Turns rows into features, (n, style_width). It may be the same module as `category_trunk`;
        then the game continues to train the categories.
    style_width : int
        Number of features for the style codes.
    n_heads : int, default=1
        Number of candidate heads for the categories, at least 1; the consistency phase keeps the
        best. Eight find better clusters than one, and cost little.
    keep_weights : bool, default=False
        Whether training begins with the weights that the trunks have, such as those of a network
        trained before. By default those of `nn.Linear`, `nn.Conv2d` and `nn.ConvTranspose2d` are
        drawn anew, in place: deep trunks with PyTorch's own initial weights may put all rows into
        one cluster. Parametrised layers and all others keep theirs.

    Returns
    -------
    encoder : torch.nn.Module
        The first of the three networks that `build` returns.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import make_blobs
    >>> from torch import nn
    >>> from sklearn_binfogan import BInfoGANTransformer
    >>> from sklearn_binfogan.networks import make_encoder
    >>> class Judge(nn.Module):
    ...     def __init__(self, n_inputs):
    ...         super().__init__()
    ...         self.layers = nn.Sequential(nn.Linear(n_inputs, 16), nn.ReLU(), nn.Linear(16, 1))
    ...
    ...     def forward(self, x, codes):
    ...         return self.layers(torch.cat([x, codes], dim=1)).squeeze(1)
    >>> class Small:
    ...     def build(self, spec, shape):
    ...         (n,) = shape
    ...         trunks = [nn.Sequential(nn.Linear(n, 16), nn.Tanh()) for _ in range(2)]
    ...         encoder = make_encoder(spec, trunks[0], 16, trunks[1], 16, n_heads=8)
    ...         return encoder, nn.Linear(spec.width, n), Judge(n + spec.width)
    >>> X, _ = make_blobs(60, centers=3, random_state=0)
    >>> gan = BInfoGANTransformer(n_clusters=3, architecture=Small(), random_state=0).fit(X)
    >>> gan.transform(X).shape
    (60, 5)
    """
    trunks = (category_trunk, category_width, style_trunk, style_width)
    return Encoder(spec, *trunks, n_heads, draws_trunks=not keep_weights)
