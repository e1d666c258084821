"""Displays of a fitted model, as in scikit-learn: `from_estimator`, `plot`, `ax_`, `figure_`.

A display imports matplotlib when it draws, not before.
"""

from ._code_grid import CodeGridDisplay
from ._code_usage import CodeUsageDisplay
from ._extremes import ExtremesDisplay
from ._nearest_rows import NearestRowsDisplay
from ._pair_plot import PairPlotDisplay
from ._reconstruction import ReconstructionDisplay
from ._training_curve import TrainingCurveDisplay
from ._traversal import TraversalDisplay
from ._view import FeatureChange, RowFormat

__all__ = [
    "CodeGridDisplay",
    "CodeUsageDisplay",
    "ExtremesDisplay",
    "FeatureChange",
    "NearestRowsDisplay",
    "PairPlotDisplay",
    "ReconstructionDisplay",
    "RowFormat",
    "TrainingCurveDisplay",
    "TraversalDisplay",
]
