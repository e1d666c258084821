"""What users hand over: tensors, read-only arrays, far values, and mistakes with a clear answer."""

import pickle
import warnings
from contextlib import ExitStack
from datetime import timedelta

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import torch
from conftest import DIGITS, TABLE, tiny, trained_arrays
from scipy.special import expit
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine, make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from skorch.callbacks import Callback

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer, load, save
from sklearn_binfogan.exceptions import ImageShapeWarning, ScaleWarning

X, Y = make_blobs(120, centers=3, n_features=4, random_state=0)
BUDGET = {"n_clusters": 3, "warmup_iter": 2, "max_iter": 2, "random_state": 0}
ONE_STEP = {"n_clusters": 1, "warmup_iter": 1, "max_iter": 0, "random_state": 0}
RNG = np.random.default_rng(0)
LARGE = RNG.random((200, 24 * 24))


@pytest.fixture
def no_warnings():
    """Turn every warning into an error, but for those on two steps of training."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


@pytest.fixture(scope="module")
def fitted():
    return BInfoGANTransformer(**BUDGET).fit(X)


def unchanged(estimator, call, error, message):
    """Expect an error that changes nothing in the estimator."""
    state = dict(vars(estimator))
    with pytest.raises(error, match=message) as caught:
        call(estimator)
    assert vars(estimator) == state
    return str(caught.value)


# -- read-only arrays ------------------------------------------------------------------------------


def frozen(array):
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.usefixtures("no_warnings")
def test_two_jobs_on_images_are_silent_and_equal_to_one():
    params = {**BUDGET, "image_shape": (24, 24), "n_init": 2}

    two = BInfoGANTransformer(**params, n_jobs=2).fit(LARGE)
    one = BInfoGANTransformer(**params).fit(LARGE)

    np.testing.assert_array_equal(two.transform(LARGE), one.transform(LARGE))


@pytest.mark.usefixtures("no_warnings")
def test_a_memory_mapped_model_is_silent_and_the_same(fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "model")

    mapped = joblib.load(tmp_path / "model", mmap_mode="r")

    assert not all(array.flags.writeable for array in trained_arrays(mapped).values())
    np.testing.assert_array_equal(mapped.transform(X), fitted.transform(X))
    for ours, theirs in zip(
        mapped.sample(5, random_state=0), fitted.sample(5, random_state=0), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    codes = frozen(fitted.transform(X))
    np.testing.assert_array_equal(mapped.inverse_transform(codes), fitted.inverse_transform(codes))
    assert mapped.score(X) == fitted.score(X)
    mapped.partial_fit(X)


@pytest.mark.usefixtures("no_warnings")
def test_a_model_in_another_process_is_silent_and_the_same(fitted):
    # max_nbytes=1: each of its arrays is sent as a read-only memory map.
    parallel = joblib.Parallel(n_jobs=2, max_nbytes=1)

    # One task, so that only one of the processes imports torch.
    (codes,) = parallel([joblib.delayed(BInfoGANTransformer.transform)(fitted, X)])

    np.testing.assert_array_equal(codes, fitted.transform(X))


@pytest.mark.usefixtures("no_warnings")
def test_read_only_rows_and_labels():
    few = np.where(np.arange(len(Y)) < 30, Y, -1)

    ours = BInfoGANClassifier(warmup_iter=3, max_iter=2, random_state=0).fit(frozen(X), frozen(few))

    theirs = BInfoGANClassifier(warmup_iter=3, max_iter=2, random_state=0).fit(X, few)
    np.testing.assert_array_equal(ours.transform(frozen(X)), theirs.transform(X))
    ours.predict_proba(frozen(X))


# -- torch tensors ---------------------------------------------------------------------------------


@pytest.fixture(params=[False, True], ids=["dispatch off", "dispatch on"])
def dispatch(request):
    with ExitStack() as context:
        try:
            context.enter_context(sklearn.config_context(array_api_dispatch=request.param))
        except ImportError as error:  # scikit-learn asks for a newer SciPy there than elsewhere
            pytest.skip(str(error))
        yield


TENSORS = {
    "float64": torch.tensor(X),
    "float32": torch.tensor(X, dtype=torch.float32),
    "gradient": torch.tensor(X, requires_grad=True),
    "bfloat16": torch.tensor(X, dtype=torch.bfloat16),
    "float16": torch.tensor(X, dtype=torch.float16),
    "float8": torch.tensor(X, dtype=torch.float32).to(torch.float8_e4m3fn),
    "int64": torch.tensor((X * 3).astype(np.int64)),
    "uint8": torch.tensor((X * 3 + 60).astype(np.uint8)),
    "list": [torch.tensor(row, requires_grad=True) for row in X],
    "strided": torch.tensor(X.T.copy()).T,
}


def as_array(tensor):
    if isinstance(tensor, list):
        return np.stack([as_array(row) for row in tensor])
    tensor = tensor.detach()
    small = tensor.dtype in (torch.bfloat16, torch.float8_e4m3fn)
    return (tensor.float() if small else tensor).numpy()


@pytest.mark.usefixtures("dispatch", "no_warnings")
@pytest.mark.parametrize("kind", TENSORS)
def test_tensors_are_taken_like_arrays(kind):
    tensor, array = TENSORS[kind], as_array(TENSORS[kind])

    ours, theirs = (BInfoGANTransformer(**BUDGET).fit(data) for data in (tensor, array))

    codes = ours.transform(tensor)
    assert isinstance(codes, np.ndarray)
    single = ("float32", "bfloat16", "float8", "uint8")
    assert codes.dtype == (np.float32 if kind in single else np.float64)
    np.testing.assert_array_equal(codes, theirs.transform(array))
    np.testing.assert_array_equal(ours.predict(tensor), theirs.predict(array))
    assert ours.score(tensor) == theirs.score(array)


@pytest.mark.usefixtures("dispatch", "no_warnings")
def test_tensors_in_further_methods(fitted):
    tensor = TENSORS["gradient"]
    codes = torch.tensor(fitted.transform(X), requires_grad=True)

    rows = fitted.inverse_transform(codes)
    first = BInfoGANTransformer(**BUDGET).partial_fit(tensor).partial_fit(tensor)
    piped = make_pipeline(StandardScaler(), BInfoGANTransformer(**BUDGET)).fit(tensor.detach())

    np.testing.assert_array_equal(rows, fitted.inverse_transform(fitted.transform(X)))
    assert fitted.inverse_transform(codes.bfloat16()).shape == rows.shape
    again = BInfoGANTransformer(**BUDGET).partial_fit(X).partial_fit(X)
    np.testing.assert_array_equal(first.transform(tensor), again.transform(X))
    assert len(piped.predict(tensor.detach())) == len(X)
    assert BInfoGANTransformer(**BUDGET).fit_predict(tensor).shape == (len(X),)
    assert BInfoGANTransformer(**BUDGET).fit_transform(tensor).shape == (len(X), 5)


@pytest.mark.usefixtures("dispatch", "no_warnings")
def test_tensors_as_labels():
    ours = BInfoGANClassifier(warmup_iter=3, max_iter=2, random_state=0)
    theirs = BInfoGANClassifier(warmup_iter=3, max_iter=2, random_state=0).fit(X, Y)

    ours.fit(TENSORS["float64"], torch.tensor(Y))

    np.testing.assert_array_equal(ours.predict(TENSORS["float64"]), theirs.predict(X))


@pytest.mark.parametrize("method", ["fit", "partial_fit", "transform"])
def test_a_sparse_tensor_is_refused_like_a_sparse_matrix(fitted, method):
    with pytest.raises(TypeError, match=r"dense data is required.*to_dense"):
        getattr(fitted, method)(torch.tensor(X).to_sparse())


# -- labels that are missing -----------------------------------------------------------------------

MISSING = {
    "None among numbers": [None, 0, 1],
    "NaN": np.array([np.nan, 0, 1]),
    "NaN among strings": np.array([np.nan, "a", "b"], dtype=object),
    "None among strings": [None, "a", "b"],
    "NA": pd.Series([pd.NA, 0, 1], dtype="Int64"),
    "NA among strings": pd.Series([pd.NA, "a", "b"], dtype="string"),
    "pandas' own strings": pd.Series([None, "a", "b"]),
    "a category": pd.Series([None, "a", "b"], dtype="category"),
    "a table": pd.DataFrame({"y": [None, 0, 1]}),
    "polars": pl.Series([None, 0, 1]),
    "polars' strings": pl.Series([None, "a", "b"]),
    "a tensor": torch.tensor([np.nan, 0, 1]),
    "NaT": np.array([pd.NaT, "a", "b"], dtype=object),
    "masked": np.ma.masked_equal([2, 0, 1], 2),
}


@pytest.mark.parametrize("kind", MISSING)
def test_missing_labels(kind):
    y = MISSING[kind]
    message = unchanged(
        BInfoGANClassifier(), lambda clf: clf.fit(X[:3], y), ValueError, "y contains .* in row 0"
    )
    assert "mark rows without a label with -1" in message
    assert "'-1' if classes are strings" in message


def test_labels_marked_as_the_message_says():
    y = np.where(np.arange(120) < 30, Y.astype(str), "-1")

    clf = BInfoGANClassifier(warmup_iter=3, max_iter=0).fit(X, y)

    assert clf.classes_.tolist() == ["0", "1", "2"]


# -- images ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            np.zeros((5, 9, 12)),
            r"shape \(9, 12\).*X.reshape\(len\(X\), -1\).*image_shape=\(9, 12\)",
        ),
        (np.zeros((5, 9, 12, 3)), r"reshape\(len\(X\), -1\)` and pass `image_shape=\(9, 12, 3\)"),
        (np.zeros((5, 3, 9, 12)), r"last.*transpose\(0, 2, 3, 1\).*image_shape=\(9, 12, 3\)"),
        (torch.zeros((5, 9, 12)), r"image_shape=\(9, 12\)"),
        (np.zeros((5, 9, 12)).tolist(), r"image_shape=\(9, 12\)"),
        (list(np.zeros((5, 9, 12))), r"image_shape=\(9, 12\)"),
        (np.zeros((1, 5, 9, 12, 3)), r"dim 5.*a row must be flat"),
    ],
)
def test_images_that_are_not_flat(method, images, message):
    unchanged(
        BInfoGANTransformer(**BUDGET), lambda e: getattr(e, method)(images), ValueError, message
    )


def test_images_that_are_not_flat_for_a_fitted_model(fitted):
    with pytest.raises(ValueError, match="flatten with"):
        fitted.predict(np.zeros((5, 2, 2)))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_first(channels):
    images = RNG.random((9, channels, 8, 10))
    message = unchanged(
        BInfoGANTransformer(**BUDGET, image_shape=(channels, 8, 10)),
        lambda e: e.fit(images.reshape(9, -1)),
        ValueError,
        rf"\(H, W, C\), channels last; got \({channels}, 8, 10\)",
    )
    # What the message says to do is right.
    assert f"image_shape=(8, 10, {channels})" in message
    recipe = message.split("`")[1]
    rows = eval(recipe, {"X": images.reshape(9, -1), "len": len})
    np.testing.assert_array_equal(rows.reshape(9, 8, 10, channels)[..., 0], images[:, 0])


@pytest.mark.parametrize("shape", [(5, 5), (1, 5, 5), (100, 1)])
def test_small_images_are_a_table(shape):
    X = RNG.random((9, *shape))

    message = unchanged(
        BInfoGANTransformer(**BUDGET), lambda e: e.fit(X), ValueError, "at least 8 x 8 pixels"
    )

    rows = eval(message.split("`")[1], {"X": X, "len": len})
    assert rows.shape == (9, X[0].size)


def test_channels_left_out():
    unchanged(
        BInfoGANTransformer(**BUDGET, image_shape=(8, 8)),
        lambda e: e.fit(np.zeros((9, 192))),
        ValueError,
        r"X has 192 features. If a pixel has 3 channels, pass image_shape=\(8, 8, 3\)",
    )


def smooth_images(n, side, channels=1):
    """Blots at random places."""
    at = np.arange(side)
    middle = RNG.uniform(2, side - 2, (2, n, 1))
    lines = np.exp(-((at - middle) ** 2) / 4)
    grey = lines[0][:, :, None] * lines[1][:, None, :]
    return np.repeat(grey[..., None], channels, axis=3).reshape(n, -1)


IMAGES = {
    "digits": (DIGITS[:300], (8, 8)),
    "few digits": (DIGITS[:20], (8, 8)),
    "digits in [0, 1]": (DIGITS[:300] / 16, (8, 8)),
    "digits in [-1, 1]": (DIGITS[:300] / 8 - 1, (8, 8)),
    "black and white digits": ((DIGITS[:300] > 8).astype(float), (8, 8)),
    "bytes": ((smooth_images(200, 12) * 255).astype(np.uint8), (12, 12)),
    "colour": (smooth_images(200, 10, 3), (10, 10, 3)),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_forgotten_image_shape(kind):
    images, shape = IMAGES[kind]
    with pytest.warns(ImageShapeWarning) as caught:
        BInfoGANTransformer(**ONE_STEP).fit(images)

    assert len(caught) == 1
    assert f"image_shape={shape}" in str(caught[0].message)


@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_predict", "fit_transform"])
def test_the_hint_comes_once_and_at_the_users_line(method):
    gan = BInfoGANTransformer(**BUDGET, n_init=2)
    with pytest.warns(ImageShapeWarning) as caught:
        getattr(gan, method)(DIGITS[:60])
    hints = [warning for warning in caught if warning.category is ImageShapeWarning]
    assert [warning.filename for warning in hints] == [__file__]

    with warnings.catch_warnings():
        warnings.simplefilter("error", ImageShapeWarning)
        gan.predict(DIGITS[:60])
        gan.partial_fit(DIGITS[:60])


def test_the_hint_of_a_classifier_in_a_pipeline_is_at_the_users_line():
    pipe = make_pipeline(MinMaxScaler(), BInfoGANClassifier(warmup_iter=2, max_iter=0))
    with pytest.warns(ImageShapeWarning) as caught:
        pipe.fit(DIGITS[:60], load_digits().target[:60])
    assert __file__ in [warning.filename for warning in caught]


def test_the_hint_in_code_that_belongs_to_no_module():
    typed = compile("gan.fit(X)", "typed", "exec")
    with pytest.warns(ImageShapeWarning) as caught:
        exec(typed, {"gan": BInfoGANTransformer(**BUDGET), "X": DIGITS[:60]})
    assert "typed" in [warning.filename for warning in caught]


def test_a_hint_that_is_an_error_changes_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error", ImageShapeWarning)
        unchanged(
            BInfoGANTransformer(**BUDGET), lambda e: e.fit(DIGITS[:60]), ImageShapeWarning, "8, 8"
        )


def one_hot(n_columns, n_levels):
    parts = [np.eye(n_levels)[RNG.integers(0, n_levels, 300)] for _ in range(n_columns)]
    return np.concatenate(parts, axis=1)


def waves():
    """Measurements in rows: neighbours are alike, but nothing lies below."""
    phase, rate = RNG.random((2, 300, 1))
    return (1 + np.sin(2 * np.pi * (phase + rate * np.arange(144) / 20))) / 2


def walks():
    steps = np.cumsum(RNG.normal(size=(300, 144)), axis=1)
    return (steps - steps.min()) / np.ptp(steps)


FACTORS = RNG.normal(size=(300, 10))
TABLES = {
    "iris": load_iris().data,
    "wine": load_wine().data,
    "breast cancer": load_breast_cancer().data,
    "blobs": make_blobs(300, n_features=64, random_state=0)[0],
    "blobs in [0, 1]": MinMaxScaler().fit_transform(make_blobs(300, n_features=64)[0]),
    "noise": RNG.random((300, 64)),
    "one column of 64 levels": one_hot(1, 64),
    "8 columns of 8 levels": one_hot(8, 8),
    "16 columns of 4 levels": one_hot(16, 4),
    "words": RNG.poisson(0.3, (300, 100)).astype(float),
    "shares": RNG.dirichlet(np.ones(64), 300),
    "answers": np.clip(np.round(3 + FACTORS[:, :1] + RNG.normal(size=(300, 100))), 1, 5),
    "groups of columns": expit(np.repeat(FACTORS, 10, axis=1) + RNG.normal(size=(300, 100))),
    "ten sensors, ten times": expit(np.tile(FACTORS, 10) + RNG.normal(size=(300, 100))),
    "waves": waves(),
    "walks": walks(),
    "shuffled digits": DIGITS[:300, np.random.default_rng(1).permutation(64)],
    "digits without a column": DIGITS[:300, 1:],
    "standardised digits": StandardScaler().fit_transform(DIGITS),
    "zeros": np.zeros((20, 64)),
    "one row": DIGITS[:1],
}


@pytest.mark.usefixtures("no_warnings")
@pytest.mark.parametrize("kind", TABLES)
def test_no_hint_on_tables(kind):
    BInfoGANTransformer(**ONE_STEP).fit(TABLES[kind])


@pytest.mark.usefixtures("no_warnings")
@pytest.mark.parametrize("params", [{"image_shape": (8, 8)}, {"architecture": "mlp"}])
def test_no_hint_where_the_choice_is_made(params):
    BInfoGANTransformer(**ONE_STEP, **params).fit(DIGITS)


# -- columns that hold no numbers ------------------------------------------------------------------

TEXT = {"size": [1.0, 2.0, 3.0], "kind": ["a", "b", "c"], "colour": ["red", "blue", "red"]}
NO_NUMBERS = {
    "pandas": (pd.DataFrame(TEXT), "'a'.*column 'kind', column 'colour'.*OneHotEncoder"),
    "categories": (pd.DataFrame(TEXT).astype({"kind": "category"}), "'a'.*column 'kind'"),
    "polars": (pl.DataFrame(TEXT), "'a'.*column 'kind', column 'colour'.*OneHotEncoder"),
    "lazy": (pl.DataFrame(TEXT).lazy(), r"LazyFrame.*pass X\.collect\(\)"),
    "dates": (pd.DataFrame({"a": [1.0], "day": pd.to_datetime(["2020-01-02"])}), "2020.*'day'"),
    "an array of dates": (np.array([["2020-01-02"], ["NaT"]], "M8[ns]"), "2020.*column 0.*days"),
    "a date that is missing first": (
        pd.DataFrame({"a": [1.0, 2.0], "day": pd.to_datetime([None, "2020-01-02"])}),
        "2020.*'day'.*days",
    ),
    "dates that are all missing": (pd.DataFrame({"day": pd.to_datetime([None])}), "NaT.*'day'"),
    "dates alone": (pd.DataFrame({"day": pd.to_datetime(["2020-01-02"])}), "2020.*'day'"),
    "categories of dates": (
        pd.DataFrame({"day": pd.to_datetime(["2020-01-02"])}).astype("category"),
        "2020.*'day'",
    ),
    "lists of dates": ([[np.datetime64("2020-01-02")]], "2020.*column 0"),
    "objects of dates": (np.array([[np.datetime64("2020-01-02"), 1]], dtype=object), "2020.*col"),
    "dates among numbers of polars": (
        pl.DataFrame({"a": [1.0], "day": pd.to_datetime(["2020-01-02"])}),
        "2020.*'day'",
    ),
    "durations of polars": (pl.DataFrame({"a": [timedelta(1)]}), "microseconds.*'a'"),
    "one text": (pd.DataFrame({"a": [1.0, "?"]}), r"'\?'.*column 'a'"),
    "same names": (pd.DataFrame([[1.0, "x"]], columns=["a", "a"]), "'x'.*column 'a'"),
    "an array": (np.array([[1, "x"], [2, "y"]], dtype=object), r"'x'.*column 1 \(counted from 0"),
    "strings": (np.array([["1", "x"], ["2", "y"]]), "'x'.*column 1"),
    "lists": ([[1.0, "x"], [2.0, "y"]], "'x'.*column 1"),
    "periods": (pd.DataFrame({"a": [1.0], "b": pd.Period("2020")}), "Period.*column 'b'"),
    "NA": (pd.DataFrame({"a": pd.Series([1, pd.NA], dtype=object)}), "<NA>.*'a'.*SimpleImputer"),
}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_columns_without_numbers(kind, method):
    data, message = NO_NUMBERS[kind]
    unchanged(
        BInfoGANTransformer(**BUDGET), lambda e: getattr(e, method)(data), ValueError, message
    )


def test_columns_of_arrow_without_numbers():
    reason = "this pyarrow needs a newer NumPy"
    arrow = pytest.importorskip("pyarrow", reason=reason, exc_type=ImportError)
    with pytest.raises(ValueError, match=r"'a'.*column 'kind', column 'colour'.*OneHotEncoder"):
        BInfoGANTransformer(**BUDGET).fit(arrow.table(TEXT))
    with pytest.raises(ValueError, match=r"2020.*column 'day'"):
        BInfoGANTransformer(**BUDGET).fit(arrow.table({"day": pd.to_datetime(["2020-01-02"])}))
    missing_first = arrow.table({"a": [1.0, 2.0], "day": pd.to_datetime([None, "2020-01-02"])})
    with pytest.raises(ValueError, match=r"2020.*column 'day'"):
        BInfoGANTransformer(**BUDGET).fit(missing_first)


@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict"])
def test_masked_values(fitted, method):
    masked = np.ma.masked_less(X, 0)
    message = rf"masked array, and {(X < 0).sum()} of its values.*SimpleImputer"
    unchanged(fitted, lambda e: getattr(e, method)(masked), ValueError, message)
    np.testing.assert_array_equal(fitted.predict(np.ma.asarray(X)), fitted.predict(X))


def test_nan_that_scikit_learn_was_told_not_to_look_for():
    rows = X.copy()
    rows[3, 1] = np.nan
    with sklearn.config_context(assume_finite=True):
        unchanged(BInfoGANTransformer(**BUDGET), lambda e: e.fit(rows), ValueError, "magnitude nan")


@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict"])
def test_a_series_is_no_table(fitted, method):
    series = pd.Series(X[:, 0])
    unchanged(fitted, lambda e: getattr(e, method)(series), ValueError, "2D array, got 1D|2-dim")


def test_other_errors_are_scikit_learns():
    unchanged(
        BInfoGANTransformer(**BUDGET),
        lambda e: e.fit(np.array([[1, {}]], dtype=object)),
        TypeError,
        "dict",
    )
    unchanged(BInfoGANTransformer(**BUDGET), lambda e: e.fit([[1, 2], [3]]), ValueError, "inhomog")


# -- values far from all others --------------------------------------------------------------------


def with_far(value, rows, columns=(1,)):
    data = X.copy()
    data[np.ix_(rows, columns)] = value
    return data


@pytest.mark.parametrize("n_columns", [2, 4])
def test_clusters_are_found_beside_far_values(n_columns):
    data, y = make_blobs(300, centers=3, n_features=4, random_state=0)
    data[np.ix_([0, 100, 200], range(n_columns))] = -999
    with pytest.warns(ScaleWarning):
        labels = BInfoGANTransformer(3, max_iter=0, random_state=0).fit_predict(data)

    whole = np.delete(np.arange(300), [0, 100, 200])
    assert adjusted_rand_score(y[whole], labels[whole]) > 0.95


@pytest.mark.parametrize("seed", range(4))
def test_standardised_columns_are_not_taken_for_constant_ones(seed):
    data = np.random.default_rng(seed).normal(size=(200, 6))
    data = (data - data.mean(axis=0)) / data.std(axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScaleWarning)
        model = BInfoGANTransformer(**BUDGET).partial_fit(data)
        for rows in np.split(data[:20], 10):
            model.partial_fit(rows)


def test_the_value_of_most_rows_is_not_far():
    rng = np.random.default_rng(0)
    data = np.column_stack([rng.normal(size=400), rng.uniform(5000, 5100, 400).round()])
    data[40:, 1] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScaleWarning)
        rows, _ = BInfoGANTransformer(**BUDGET).fit(data).sample(200, random_state=0)

    assert (rows[:, 1] == 0).any()


def test_the_warning_names_columns_values_and_rows():
    frame = pd.DataFrame(with_far(-999, [3, 4, 60], (1, 2)), columns=list("abcd"))
    frame.loc[70, "d"] = 12345.0
    with pytest.warns(ScaleWarning) as caught:
        BInfoGANTransformer(**BUDGET, n_init=2).fit(frame)

    (warning,) = [w for w in caught if w.category is ScaleWarning]
    assert warning.filename == __file__
    message = str(warning.message)
    assert "column 'b' holds -999 in 3 rows" in message
    assert "column 'c' holds -999 in 3 rows" in message
    assert "column 'd' holds 12345 in 1 row;" in message or "12345 in 1 row." in message
    assert "'a'" not in message


def test_a_model_with_far_values_is_saved_and_pickled(tmp_path):
    data = with_far(-999, [3, 4])
    with pytest.warns(ScaleWarning):
        gan = BInfoGANTransformer(**BUDGET).fit(data)

    save(gan, tmp_path / "model")
    joblib.dump(gan, tmp_path / "pickle")

    for again in (load(tmp_path / "model"), joblib.load(tmp_path / "pickle")):
        np.testing.assert_array_equal(again.transform(data), gan.transform(data))


# -- a later piece outside the scale ---------------------------------------------------------------


def test_a_piece_outside_the_scale_of_the_first():
    first, later = X.copy(), X.copy()
    first[:, 2] = 7
    later[:, 2] += 30_000
    gan = BInfoGANTransformer(**BUDGET).partial_fit(pd.DataFrame(first, columns=list("abcd")))

    with pytest.warns(ScaleWarning) as caught:
        gan.partial_fit(pd.DataFrame(later, columns=list("abcd")))

    (warning,) = [w for w in caught if w.category is ScaleWarning]
    assert warning.filename == __file__
    assert "column 'c' ranges from 2" in str(warning.message)
    assert "7 +- 1" in str(warning.message)
    assert "StandardScaler" in str(warning.message)


def test_bright_things_on_an_even_background_are_no_far_pixels():
    """Discs of many values cover 5 % of the pixels."""
    rng = np.random.default_rng(0)
    images = rng.normal(0.1, 0.01, (200, 16, 16))
    y, x = np.mgrid[:16, :16]
    for image in images:
        row, column = rng.uniform(5, 11, 2)
        image[(y - row) ** 2 + (x - column) ** 2 < 4] += 0.8
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScaleWarning)
        BInfoGANTransformer(**BUDGET, image_shape=(16, 16)).fit(images.reshape(200, -1))


def test_a_piece_outside_the_scale_of_images():
    gan = BInfoGANTransformer(**BUDGET, image_shape=(8, 8)).partial_fit(DIGITS[:60] / 16)

    with pytest.warns(
        ScaleWarning, match=r"pixels range from 0 to 16 here.*compared to 0 to 1 there\."
    ):
        gan.partial_fit(DIGITS[:60])


@pytest.mark.parametrize("constant", [0.0, 1.7e9])
def test_a_piece_that_hardly_varies_where_the_first_was_constant(constant):
    first, later = X.copy(), X.copy()
    first[:, 2] = constant
    later[:, 2] = constant + 1e-3 * X[:, 2] * max(1, constant * 1e-8)
    gan = BInfoGANTransformer(**BUDGET).partial_fit(first)

    with pytest.warns(ScaleWarning, match="does not fit the scale.*column 2 "):
        gan.partial_fit(later)


def test_a_piece_with_values_that_samples_can_not_have():
    first, later = X.copy(), X.copy()
    first[:, 1], first[:, 2] = np.rint(10 * X[:, 1]), 0
    gan = BInfoGANTransformer(**BUDGET).partial_fit(first)

    with pytest.warns(ScaleWarning, match=r"will not have, in column 1 .*, column 2 .* whole"):
        gan.partial_fit(later)


@pytest.mark.usefixtures("no_warnings")
def test_few_new_values_in_a_small_piece_are_no_reason_to_warn():
    first, later = X[:40].copy(), X[40:80].copy()
    first[:, 1] = later[:, 1] = np.arange(40) % 5
    later[:4, 1] = 9
    BInfoGANTransformer(**BUDGET).partial_fit(first).partial_fit(later)


@pytest.mark.usefixtures("no_warnings")
def test_a_piece_that_the_scale_of_the_first_fits():
    first, later = X.copy(), X.copy()
    first[:, 2] = later[:, 2] = 0
    later[5, 2] = 1  # rare, but seen
    later[:, 1] *= 0.01  # a column that did vary
    BInfoGANTransformer(**BUDGET).partial_fit(first).partial_fit(later)


def test_a_piece_of_images_that_hardly_vary():
    gan = BInfoGANTransformer(**BUDGET, image_shape=(8, 8)).partial_fit(DIGITS[:60])

    with pytest.warns(ScaleWarning, match=r"pixels range from 0 to 1 here.*0 to 16 there\..*range"):
        gan.partial_fit(DIGITS[:60] / 16)


@pytest.mark.parametrize(("value", "count"), [(-9999.0, "3 pixels"), (65535.0, "1 pixel")])
def test_pixels_far_from_all_others(value, count):
    images = DIGITS[:300].copy()
    images.ravel()[: int(count[0])] = value
    with pytest.warns(ScaleWarning) as caught:
        BInfoGANTransformer(**BUDGET | {"max_iter": 0}, image_shape=(8, 8)).fit(images)

    (warning,) = [w for w in caught if w.category is ScaleWarning]
    assert f"{value:g} in {count}." in str(warning.message)
    assert warning.filename == __file__


@pytest.mark.usefixtures("no_warnings")
@pytest.mark.parametrize("scale", [1, 1 / 16, 4000])
def test_ordinary_pixels_are_not_far(scale):
    gan = BInfoGANTransformer(**BUDGET | {"max_iter": 0}, image_shape=(8, 8))
    gan.fit(DIGITS[:300] * scale)


def test_a_warning_that_is_an_error_changes_nothing():
    gan = BInfoGANTransformer(**BUDGET).partial_fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScaleWarning)
        unchanged(gan, lambda e: e.partial_fit(X + 1e4), ScaleWarning, "column 0")


# -- columns far from zero ---------------------------------------------------------------------


def far_from_zero(dtype=np.float64):
    X = make_blobs(600, centers=3, n_features=4, random_state=0)[0]
    X[:, 0] = 1.7e9 + 10 * X[:, 0]  # Unix seconds
    X[:, 1] = 1e6 + 29 * X[:, 1]
    return X.astype(dtype)


def test_columns_far_from_zero_keep_their_values():
    X = far_from_zero()
    gan = BInfoGANTransformer(3, warmup_iter=300, max_iter=300, random_state=0).fit(X)

    rows = {
        "sample": gan.sample(400, random_state=0)[0],
        "rebuilt": gan.inverse_transform(gan.transform(X)),
        "rebuilt from float32": gan.inverse_transform(gan.transform(X).astype(np.float32)),
    }

    assert not [sign for sign in gan.diagnostics_["findings"] if "samples" in sign]
    for name, found in rows.items():
        assert found.dtype == np.float64, name
        for column in (0, 1):
            assert len(np.unique(found[:, column])) > 0.9 * len(found), name
            assert 0.3 < found[:, column].std() / X[:, column].std() < 1.5, name


def test_masked_codes_are_refused():
    gan = tiny().fit(TABLE)
    codes = np.ma.array(gan.transform(TABLE), mask=False)
    np.testing.assert_array_equal(
        gan.inverse_transform(codes), gan.inverse_transform(codes.filled())
    )
    codes[0, 0] = np.ma.masked

    with pytest.raises(ValueError, match="codes is a masked array, and 1 of its values"):
        gan.inverse_transform(codes)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(np.float64, np.float64), (np.float32, np.float32), (np.uint8, np.float32)],
)
def test_rows_come_back_in_the_dtype_of_fit(dtype, expected):
    X = np.random.default_rng(0).integers(0, 200, (60, 4)).astype(dtype)
    gan = BInfoGANTransformer(3, warmup_iter=3, max_iter=3, random_state=0).fit(X)

    for codes in (gan.transform(X), gan.transform(X).astype(np.float64)):
        assert gan.inverse_transform(codes).dtype == expected
    assert gan.sample(5)[0].dtype == expected


# -- fewer categories than classes -------------------------------------------------------------


@pytest.mark.parametrize("n_clusters", [5, (5, 2), 9])
def test_fewer_categories_than_classes_are_an_error(n_clusters):
    X, y = make_blobs(100, centers=10, random_state=0)
    clf = BInfoGANClassifier(n_clusters, warmup_iter=2, max_iter=2)

    first = n_clusters[0] if isinstance(n_clusters, tuple) else n_clusters
    with pytest.raises(ValueError, match=rf"{first} categories for 10 classes.*at least 10"):
        clf.fit(X, y)
    assert not hasattr(clf, "labels_")


def test_so_few_as_scikit_learns_checks_give_are_raised_with_a_warning():
    X, y = make_blobs(60, centers=3, random_state=0)
    clf = BInfoGANClassifier(2, warmup_iter=2, max_iter=2, random_state=0)

    with pytest.warns(UserWarning, match="2 categories for 3 classes.*Using 3") as caught:
        clf.fit(X, y)

    assert ["Using 3" in str(one.message) for one in caught].count(True) == 1
    assert clf.predict_proba(X).shape == (60, 3)


# -- parameters changed between calls of partial_fit -------------------------------------------

BLOBS = make_blobs(60, centers=3, n_features=4, random_state=0)[0]


def begun(**params):
    return BInfoGANTransformer(3, warmup_iter=2, max_iter=4, random_state=0, **params).partial_fit(
        BLOBS
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_clusters", 4),
        ("n_continuous", 1),
        ("n_noise", 3),
        ("image_shape", (2, 2)),
        ("architecture", "mlp"),
        ("augmentation", None),
        ("adversarial_loss", "nonsaturating"),
        ("cluster_prior", np.full(3, 1 / 3)),
        ("random_state", 1),
    ],
)
def test_what_is_settled_cannot_change_between_calls(name, value):
    gan = begun()
    before = gan.transform(BLOBS)
    gan.set_params(**{name: value})

    with pytest.raises(ValueError, match=f"^{name} was .* can't change between calls"):
        gan.partial_fit(BLOBS)

    np.testing.assert_array_equal(gan.transform(BLOBS), before)


def test_a_generator_as_random_state_cannot_change_to_a_seed():
    gan = BInfoGANTransformer(3, warmup_iter=2, max_iter=4, random_state=np.random.RandomState(0))
    gan.partial_fit(BLOBS).partial_fit(BLOBS)

    with pytest.raises(ValueError, match="random_state was"):
        gan.set_params(random_state=1).partial_fit(BLOBS)


def test_a_consistency_phase_that_was_switched_off_comes_back():
    gan = begun().set_params(consistency_weight=0).partial_fit(BLOBS)
    gan.set_params(consistency_weight=1, warmup_iter=5).partial_fit(BLOBS)

    assert "consistency" in {epoch["phase"] for epoch in list(gan.history_)[2:]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mi_weight", 5.0),
        ("cycle_weight", 2.0),
        ("learning_rate", 0.1),
        ("discriminator_learning_rate", 0.1),
        ("batch_size", 10),
        ("max_iter", 100),
    ],
)
@pytest.mark.parametrize("stored", [False, True])
def test_what_can_change_between_calls_does(name, value, stored, tmp_path):
    def twice(**changes):
        gan = begun().partial_fit(BLOBS).partial_fit(BLOBS)
        if stored:
            save(gan, tmp_path / "model.safetensors")
            gan = load(tmp_path / "model.safetensors")
        gan.set_params(**changes).partial_fit(BLOBS).partial_fit(BLOBS)
        return gan.sample(20, random_state=0)[0]

    assert not np.array_equal(twice(**{name: value}), twice())


def test_a_parameter_set_to_its_own_value_changes_nothing():
    prior = np.array([0.5, 0.3, 0.2])
    gan = begun(cluster_prior=prior)
    gan.set_params(cluster_prior=prior.copy(), learning_rate="auto").partial_fit(BLOBS)
    np.testing.assert_array_equal(
        gan.transform(BLOBS), begun(cluster_prior=prior).partial_fit(BLOBS).transform(BLOBS)
    )


def test_an_unknown_parameter_names_the_public_class():
    for kind in (BInfoGANTransformer, BInfoGANClassifier):
        with pytest.raises(TypeError, match=rf"^{kind.__name__}.*n_cluster"):
            kind(n_cluster=3)


def test_a_stored_model_remembers_what_it_was_trained_by(tmp_path):
    gan = begun().set_params(learning_rate=1e-5, warmup_iter=0)
    save(gan, tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")

    for model in (gan, again):
        model.partial_fit(BLOBS)

    np.testing.assert_array_equal(again.transform(BLOBS), gan.transform(BLOBS))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 0),
        ("learning_rate", -1.0),
        ("mi_weight", np.nan),
        ("cycle_weight", np.inf),
        ("precision", "fp8"),
        ("n_threads", 0),
        ("n_init", 0),
    ],
)
def test_an_invalid_value_between_calls_is_an_error(name, value):
    gan = begun().set_params(**{name: value})
    unchanged(gan, lambda e: e.partial_fit(BLOBS), ValueError, f"'{name}' parameter .* must be")


def test_a_list_and_a_tuple_are_the_same_image_shape():
    gan = BInfoGANTransformer(**BUDGET, image_shape=(8, 8)).partial_fit(DIGITS[:60])
    gan.set_params(image_shape=[8, 8]).partial_fit(DIGITS[:60])


def test_a_wrong_device_between_calls_is_an_error():
    with pytest.raises(ValueError, match="gpuu"):
        begun().set_params(device="gpuu").partial_fit(BLOBS)


def test_changed_parameters_must_still_go_together():
    gan = begun().set_params(consistency_weight=0).partial_fit(BLOBS)
    assert [epoch["phase"] for epoch in gan.history_] == ["consistency", "game"]

    with pytest.raises(ValueError, match="both 0"):
        gan.set_params(max_iter=0).partial_fit(BLOBS)


def test_callbacks_that_were_taken_off_are_not_stored():
    class Local(Callback):
        pass

    gan = BInfoGANTransformer(**BUDGET, callbacks=[Local()]).fit(X)
    gan.set_params(callbacks=None)
    pickle.dumps(gan)


def test_a_callback_may_end_the_game_in_the_midst_of_an_epoch():
    class Stop(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            if training and net.training.phase.name == "game":
                raise KeyboardInterrupt

    gan = BInfoGANTransformer(**BUDGET, callbacks=[Stop()]).fit(X)
    assert gan.n_iter_ == 3
