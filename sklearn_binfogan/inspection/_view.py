"""What displays read from a fitted estimator. No other module here touches its private names."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._classifier import BInfoGANClassifier
from .._codes import CodeSpec
from .._transformer import BInfoGANTransformer
from ._row_format import RowFormat

Estimator = BInfoGANTransformer | BInfoGANClassifier


class View:
    """A fitted estimator as displays see it. Categories are in the public order.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    """

    def __init__(self, estimator: Estimator) -> None:
        check_is_fitted(estimator)
        self.estimator = estimator

    @property
    def spec(self) -> CodeSpec:
        """Layout of the codes."""
        return self.estimator._spec

    @property
    def row_format(self) -> RowFormat:
        """What a row of X is."""
        layout = self.estimator._net.settings.layout
        image_shape = None
        if layout.is_image:
            channels, height, width = layout.shape
            image_shape = (height, width, channels)
        numbered = [f"x{i}" for i in range(layout.n_features)]
        names = getattr(self.estimator, "feature_names_in_", numbered)
        return RowFormat(image_shape, layout.center, layout.scale, list(names))

    @property
    def history(self) -> list[dict[str, Any]]:
        """One dict per epoch: `epoch`, `phase` and the losses."""
        return list(self.estimator.history_)

    def rows(self, X: Any) -> Any:
        """Validate X."""
        return self.estimator._checked(X)

    def encode(self, rows: Any) -> np.ndarray:
        """Codes with noise, (n, width), of validated rows."""
        return self.estimator._encode(rows)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Rows of codes, in the units of X. Codes without noise get noise 0."""
        return self.estimator.inverse_transform(codes)

    def labels(self, rows: Any) -> np.ndarray:
        """Most likely category of each code, (n, n_codes), of validated rows."""
        return self.estimator._labels(rows)

    def priors(self) -> list[np.ndarray]:
        """Probability of each category, one array per categorical code."""
        return self.estimator._priors()

    def sample(self, n: int, categorical_code: int, category: int, rng: Any) -> np.ndarray:
        """Generate n rows of one category of one code; all other codes are drawn."""
        chosen: list[int | None] = [None] * len(self.spec.categories)
        chosen[categorical_code] = category
        # A classifier's `sample` draws from classes, which leaves out its free categories.
        prior = self.estimator._drawing_prior()
        return self.estimator._sampled(n, chosen, rng, prior, from_prior=False)[0]
