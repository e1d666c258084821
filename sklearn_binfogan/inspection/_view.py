"""A fitted estimator as displays see it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._base import fitted_model
from .._classifier import BInfoGANClassifier
from .._rows import Source, checked_rows
from .._transformer import BInfoGANTransformer
from ._row_format import RowFormat

Estimator = BInfoGANTransformer | BInfoGANClassifier


class View:
    """A fitted estimator as displays see it. Categories are in the public order.

    Attributes
    ----------
    estimator : BInfoGANTransformer or BInfoGANClassifier
    model : FittedModel

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    """

    def __init__(self, estimator: Estimator) -> None:
        self.estimator, self.model = estimator, fitted_model(estimator)

    @property
    def row_format(self) -> RowFormat:
        """What a row of X is."""
        layout = self.model.layout
        numbered = [f"x{i}" for i in range(layout.n_features)]
        names = list(getattr(self.estimator, "feature_names_in_", numbered))
        if not layout.is_image:
            return RowFormat(None, layout.center, layout.scale, names)
        channels, height, width = layout.shape
        darkest = np.asarray(layout.pixel_range[0])
        return RowFormat((height, width, channels), darkest, np.abs(layout.scale), names)

    def rows(self, X: Any) -> Source:
        """Validate X."""
        return checked_rows(self.estimator, X, reset=False)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Rows of codes, in the units of X. Codes without noise get noise 0."""
        return self.estimator.inverse_transform(codes)

    def sample(
        self, n: int, rng: np.random.RandomState, chosen: Mapping[int, int] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Generate n rows; give them and their categories, (n, n_codes).

        `chosen` maps numbers of categorical codes to categories; all other codes are drawn.
        """
        codes = range(len(self.model.spec.categories))
        categories = [(chosen or {}).get(code) for code in codes]
        seed = int(rng.randint(2**31 - 1))
        # A classifier's `sample` draws from classes, which leaves out its free categories.
        return self.model.sample(n, categories, seed, self.model.drawing_prior)
