"""scikit-learn's own checks: no failure, no expected failure, no skip."""

import importlib
import os

import pytest
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_estimator

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer

ESTIMATORS = [BInfoGANTransformer, BInfoGANClassifier]
# What further checks look at does not hang on the number of steps.
SHORT = {"warmup_iter": 1, "max_iter": 1}
# Some checks want good clusters of blobs. Default instances take three to seven times as long.
ENOUGH = {"warmup_iter": 20, "max_iter": 1}

NOT_RUN_FOR_THIRD_PARTIES = [
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_global_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_set_output_transform_polars",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_get_feature_names_out_error",
    "check_dataframe_column_names_consistency",
    "check_param_validation",
    "check_n_features_in_after_fitting",
    "check_inplace_ensure_writeable",
]


@pytest.mark.parametrize(
    "budget",
    [
        pytest.param(ENOUGH, id="few steps"),
        pytest.param({}, id="defaults", marks=pytest.mark.nightly),
    ],
)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_check_estimator_passes_every_check(estimator, budget):
    # Without them scikit-learn skips the checks that need them.
    for needed in ("pandas", "polars", "array_api_strict"):
        importlib.import_module(needed)
    assert os.environ.get("SCIPY_ARRAY_API") == "1"

    results = check_estimator(estimator(**budget), on_fail=None, on_skip=None)

    offending = [
        f"{result['check_name']}: {result['status']}: {result['exception']!r}"
        for result in results
        if result["status"] != "passed"
    ]
    assert len(results) > 40
    assert not offending, "\n".join(offending)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", NOT_RUN_FOR_THIRD_PARTIES)
def test_check_called_by_name(name, estimator):
    check = getattr(estimator_checks, name)

    check(estimator.__name__, estimator(**SHORT))
