"""What the displays hold and draw, on fits of a few steps."""

import sys
import warnings
from itertools import pairwise

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from matplotlib.transforms import Bbox
from sklearn.datasets import load_digits, make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer, inspection
from sklearn_binfogan.inspection import (
    CodeGridDisplay,
    CodeUsageDisplay,
    ExtremesDisplay,
    NearestRowsDisplay,
    PairPlotDisplay,
    ReconstructionDisplay,
    TrainingCurveDisplay,
    TraversalDisplay,
)

DIGITS = load_digits().data[:120]
TABLE, _ = make_blobs(90, n_features=4, centers=3, random_state=0)
FRAME = pd.DataFrame(TABLE * [1, 10, 100, 1000], columns=["a", "b", "c", "d"])


class EndsWithin(Callback):
    """Ends a phase after some steps."""

    def __init__(self, phase, n_steps):
        self.phase, self.n_steps = phase, n_steps

    def on_batch_end(self, net, training=True, **kwargs):
        if net.training.phase.name == self.phase and net.training.steps[self.phase] >= self.n_steps:
            raise KeyboardInterrupt


def tiny(X, y=None, kind=BInfoGANTransformer, **parameters):
    """Return a model that has learned next to nothing."""
    budget = {"warmup_iter": 3, "max_iter": 3, "batch_size": 16}
    budget |= {"n_neighbors": 0} if kind is BInfoGANTransformer else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kind(random_state=0, **(budget | parameters)).fit(X, y)


@pytest.fixture(scope="module")
def digits():
    return tiny(DIGITS, n_clusters=4, image_shape=(8, 8))


@pytest.fixture(scope="module")
def colours():
    X = np.random.default_rng(0).integers(0, 256, (40, 192)).astype(np.uint8)
    return tiny(X, n_clusters=2, image_shape=(8, 8, 3)), X


@pytest.fixture(scope="module")
def table():
    return tiny(FRAME, n_clusters=3, warmup_iter=60, max_iter=60)


@pytest.fixture(scope="module")
def several():
    return tiny(TABLE, n_clusters=(2, 3), n_continuous=1, n_noise=0)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def tiles(ax, n_rows, n_columns, side=8):
    """Cut the first image of an Axes into the tiles of a grid without gaps between groups."""
    canvas = ax.get_images()[0].get_array()
    pitch = side + 1
    return np.stack(
        [
            [
                canvas[r * pitch : r * pitch + side, c * pitch : c * pitch + side]
                for c in range(n_columns)
            ]
            for r in range(n_rows)
        ]
    )


# -- all of them -----------------------------------------------------------------------------------


def test_a_classifier_has_pictures_too():
    y = np.full(len(DIGITS), -1)
    y[:40] = load_digits().target[:40] % 2
    clf = tiny(DIGITS, y, BInfoGANClassifier, n_clusters=3, image_shape=(8, 8))

    samples = CodeGridDisplay.from_samples(clf, n_columns=2, random_state=0)
    assert samples.rows.shape == (3, 2, 64)  # two classes, one free category
    for display in (CodeGridDisplay, ExtremesDisplay, ReconstructionDisplay, CodeUsageDisplay):
        assert display.from_estimator(clf, DIGITS).ax_.has_data()
    for display in (TraversalDisplay, TrainingCurveDisplay):
        assert display.from_estimator(clf).ax_.has_data()


# -- CodeGridDisplay -------------------------------------------------------------------------------


def test_code_grid_puts_the_surest_rows_of_a_category_first(digits):
    display = CodeGridDisplay.from_estimator(digits, DIGITS, n_columns=5)

    proba = digits.predict_proba(DIGITS)
    labels = digits.predict(DIGITS)
    for k in range(4):
        members = np.flatnonzero(labels == k)
        expected = members[np.argsort(-proba[members, k], kind="stable")][:5]
        shown = display.indices[k][display.indices[k] >= 0]
        np.testing.assert_array_equal(shown, expected)
        np.testing.assert_allclose(display.posteriors[k, : len(shown)], proba[shown, k])
        assert np.isnan(display.posteriors[k, len(shown) :]).all()
    assert display.figure_ is display.ax_.figure


def test_code_grid_draws_those_rows(digits):
    display = CodeGridDisplay.from_estimator(digits, DIGITS, n_columns=5)

    drawn = tiles(display.ax_, 4, 5)
    for k, i in np.ndindex(4, 5):
        row = display.indices[k, i]
        if row < 0:
            assert (drawn[k, i][..., 3] == 0).all()
        else:
            grey = DIGITS[row].reshape(8, 8) / 16
            np.testing.assert_allclose(drawn[k, i][..., 0], grey, atol=1e-6)
            np.testing.assert_allclose(drawn[k, i][..., 2], grey, atol=1e-6)
    names = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert names == [f"category {k}" for k in range(4)]


def test_code_grid_leaves_places_empty_where_a_category_has_no_more_rows(digits):
    display = CodeGridDisplay.from_estimator(digits, DIGITS[:3], n_columns=5)

    assert (display.indices >= 0).sum() == 3
    assert (tiles(display.ax_, 4, 5)[..., 3].max(axis=(2, 3)) > 0).sum() == 3


def test_code_grid_in_random_order_repeats_with_its_seed(digits):
    grids = [
        CodeGridDisplay.from_estimator(digits, DIGITS, order="random", random_state=seed).indices
        for seed in (0, 0, 1)
    ]

    np.testing.assert_array_equal(grids[0], grids[1])
    assert (grids[0] != grids[2]).any()


def test_code_grid_draws_dark_digits_on_white_as_they_are():
    X = 16 - DIGITS
    display = CodeGridDisplay.from_estimator(tiny(X, image_shape=(8, 8)), X, n_columns=4)

    drawn = tiles(display.ax_, len(display.indices), 4)
    grey = X[display.indices[0, 0]].reshape(8, 8) / 16
    np.testing.assert_allclose(drawn[0, 0][..., 0], grey, atol=1e-6)


def test_code_grid_draws_colours(colours):
    gan, X = colours
    display = CodeGridDisplay.from_estimator(gan, X, n_columns=3)

    drawn = tiles(display.ax_, 2, 3)
    k, i = np.argwhere(display.indices >= 0)[0]
    expected = X[display.indices[k, i]].reshape(8, 8, 3) / 255
    np.testing.assert_allclose(drawn[k, i][..., :3], expected, atol=1e-6)


def test_code_grid_draws_a_table_in_standard_deviations(table):
    display = CodeGridDisplay.from_estimator(table, FRAME, n_columns=2)

    heat = display.ax_.get_images()[0].get_array()
    standardised = (FRAME - FRAME.mean()) / FRAME.std(ddof=0)
    for k, i in np.ndindex(3, 2):
        if display.indices[k, i] >= 0:
            expected = standardised.iloc[display.indices[k, i]]
            np.testing.assert_allclose(heat[3 * k + i], expected, atol=1e-6)
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == ["a", "b", "c", "d"]


def test_code_grid_of_samples_draws_what_sample_gives(digits):
    rng = np.random.RandomState(0)
    expected = [digits.sample(3, cluster=k, random_state=rng)[0] for k in range(4)]

    display = CodeGridDisplay.from_samples(digits, n_columns=3, random_state=0)

    np.testing.assert_array_equal(display.rows, np.stack(expected))
    np.testing.assert_allclose(
        tiles(display.ax_, 4, 3)[2, 1][..., 0],
        (expected[2][1].reshape(8, 8) / 16).clip(0, 1),
        atol=1e-6,
    )


def test_code_grid_of_the_second_code(several):
    display = CodeGridDisplay.from_estimator(several, TABLE, categorical_code=1, n_columns=4)

    labels = several.predict(TABLE)[:, 1]
    for k in range(3):
        shown = display.indices[k][display.indices[k] >= 0]
        assert (labels[shown] == k).all()
    drawn = CodeGridDisplay.from_samples(several, categorical_code=1, n_columns=4)
    assert drawn.rows.shape == (3, 4, 4)


# -- TraversalDisplay ------------------------------------------------------------------------------


def test_traversal_varies_one_code_and_keeps_the_others(digits):
    display = TraversalDisplay.from_estimator(digits, code=1, values=[-1, 0, 1])

    codes = np.zeros((3, 6))
    codes[:, 2] = 1
    codes[:, 5] = [-1, 0, 1]
    np.testing.assert_allclose(display.rows[2], digits.inverse_transform(codes), atol=1e-5)
    assert display.code_name == "continuous1"
    ticks = [text.get_text() for text in display.ax_.get_xticklabels()]
    assert ticks == ["-1", "0", "1"]


def test_traversal_shows_the_mean_difference_image(digits):
    display = TraversalDisplay.from_estimator(digits, code="continuous0")

    expected = (display.rows[:, -1] - display.rows[:, 0]).mean(axis=0)
    np.testing.assert_allclose(display.difference, expected, rtol=1e-5)
    grid, beside = display.ax_.get_images()
    np.testing.assert_allclose(beside.get_array(), expected.reshape(8, 8) / 16, atol=1e-5)
    assert beside.get_extent()[0] > grid.get_extent()[1]  # right of the grid, not on it
    assert display.ax_.get_xlim()[1] >= beside.get_extent()[1]


def test_traversal_of_a_table_draws_the_features_moved_most(table):
    display = TraversalDisplay.from_estimator(table, code=0, n_features=2)

    changes = np.array([change.scaled_change for change in display.feature_changes])
    assert (np.diff(np.abs(changes)) <= 0).all()
    assert {change.name for change in display.feature_changes} == set("abcd")
    lines = display.ax_.get_lines()
    assert len(lines) == 2 * (1 + 3)  # a mean and a line per category, of two features
    first = display.feature_changes[0]
    column = "abcd".index(first.name)
    curve = (display.rows[..., column] - FRAME[first.name].mean()) / FRAME[first.name].std(ddof=0)
    np.testing.assert_allclose(lines[0].get_ydata(), curve.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(lines[0].get_xdata(), np.linspace(-1, 1, 9))
    assert first.change == pytest.approx(float(display.difference[column]))
    assert display.ax_.get_legend().get_texts()[0].get_text().startswith(f"{first.name}: ")


def test_traversal_of_noise(digits):
    display = TraversalDisplay.from_estimator(digits, code="noise3", values=[-1, 1])

    codes = np.zeros((2, 4 + 2 + 16))
    codes[:, 0], codes[:, 4 + 2 + 3] = 1, [-1, 1]
    np.testing.assert_allclose(display.rows[0], digits.inverse_transform(codes), atol=1e-5)


def test_traversal_leaves_another_categorical_code_undecided(several):
    display = TraversalDisplay.from_estimator(several, categorical_code=1, values=[-1, 1])

    codes = np.array([[0.5, 0.5, 0, 1, 0, -1], [0.5, 0.5, 0, 1, 0, 1]])
    np.testing.assert_allclose(display.rows[1], several.inverse_transform(codes), rtol=1e-6)


# -- ReconstructionDisplay -------------------------------------------------------------------------


def test_reconstruction_draws_rows_above_their_reconstructions(digits):
    display = ReconstructionDisplay.from_estimator(digits, DIGITS, indices=[5, 3, 8], n_columns=2)

    digits.set_params(include_noise=True)
    rebuilt = digits.inverse_transform(digits.transform(DIGITS[[5, 3, 8]]))
    digits.set_params(include_noise=False)
    np.testing.assert_allclose(display.reconstructions, rebuilt, atol=1e-5)
    canvas = display.ax_.get_images()[0].get_array()
    x, again = canvas[:8, 9:17, 0], canvas[9:17, 9:17, 0]
    np.testing.assert_allclose(x, DIGITS[3].reshape(8, 8) / 16, atol=1e-6)
    np.testing.assert_allclose(again, (rebuilt[1].reshape(8, 8) / 16).clip(0, 1), atol=1e-5)
    assert (canvas[-17:, 9:17, 3] == 0).all()  # the fourth place has no row


def test_reconstruction_counts_errors_in_constant_pixels(digits):
    display = ReconstructionDisplay.from_estimator(digits, DIGITS, use_noise=False, n_rows=4)

    rebuilt = digits.inverse_transform(digits.transform(DIGITS))
    assert (rebuilt - DIGITS)[:, DIGITS.std(axis=0) == 0].any()
    residual = ((rebuilt - DIGITS) ** 2).sum()
    assert display.r2 == pytest.approx(
        1 - residual / ((DIGITS - DIGITS.mean(axis=0)) ** 2).sum(), abs=1e-4
    )


def test_reconstruction_of_one_row_has_no_r2(table):
    assert np.isnan(ReconstructionDisplay.from_estimator(table, FRAME[:1]).r2)


def test_reconstruction_measures_all_rows(table):
    display = ReconstructionDisplay.from_estimator(
        table, FRAME, n_rows=4, use_noise=False, random_state=0
    )

    rebuilt = table.inverse_transform(table.transform(FRAME))
    scale = FRAME.std(ddof=0).to_numpy()
    residual = (((FRAME.to_numpy() - rebuilt) / scale) ** 2).sum()
    assert display.r2 == pytest.approx(1 - residual / FRAME.size, abs=1e-5)
    assert display.feature_r2.shape == (4,)
    assert f"{display.r2:.2f}" in display.ax_.get_title()
    np.testing.assert_allclose(display.rows, FRAME.iloc[display.indices])
    labels = table.predict(FRAME.iloc[display.indices])
    assert (np.diff(labels) >= 0).all()


# -- NearestRowsDisplay ----------------------------------------------------------------------------


def test_nearest_rows_are_found_in_scaled_units(table):
    display = NearestRowsDisplay.from_estimator(table, FRAME, n_rows=6, random_state=0)

    scale = FRAME.std(ddof=0).to_numpy()
    between = np.linalg.norm((display.rows[:, None] - FRAME.to_numpy()) / scale, axis=2)
    np.testing.assert_array_equal(display.indices, between.argmin(axis=1))
    np.testing.assert_allclose(display.distances, between.min(axis=1), rtol=1e-4)
    np.testing.assert_allclose(display.neighbors, FRAME.iloc[display.indices])
    real = np.linalg.norm((FRAME.to_numpy()[:, None] - FRAME.to_numpy()) / scale, axis=2)
    np.fill_diagonal(real, np.inf)
    assert display.real_distance == pytest.approx(np.median(real.min(axis=1)), rel=1e-4)


def test_nearest_images_are_drawn_below_the_generated_ones(digits):
    display = NearestRowsDisplay.from_estimator(
        digits, DIGITS, n_rows=5, n_columns=3, random_state=0
    )

    canvas = display.ax_.get_images()[0].get_array()
    generated, nearest = canvas[:8, 9:17, 0], canvas[9:17, 9:17, 0]
    np.testing.assert_allclose(
        generated, (display.rows[1].reshape(8, 8) / 16).clip(0, 1), atol=1e-5
    )
    np.testing.assert_allclose(nearest, DIGITS[display.indices[1]].reshape(8, 8) / 16, atol=1e-6)
    labels = digits.predict(display.rows)
    assert (np.diff(labels) >= 0).mean() > 0.5  # samples of few steps may not show their category


def test_copies_of_training_rows_are_at_distance_0(table):
    drawn = NearestRowsDisplay.from_estimator(table, FRAME, n_rows=4, random_state=0).rows
    rows = np.concatenate([FRAME, drawn])

    display = NearestRowsDisplay.from_estimator(
        table, pd.DataFrame(rows, columns=FRAME.columns), n_rows=4, random_state=0
    )

    assert display.relative_distance < 1e-6
    assert display.indices.tolist() == [90, 91, 92, 93]


def test_of_many_rows_a_part_is_searched(table):
    X = np.repeat(FRAME.to_numpy(), 250, axis=0)  # 22 500

    display = NearestRowsDisplay.from_estimator(table, pd.DataFrame(X, columns=FRAME.columns))

    np.testing.assert_allclose(display.neighbors, X[display.indices])
    assert (display.indices % 3 == 0).all()


# -- PairPlotDisplay -------------------------------------------------------------------------------


def test_pair_plot_draws_real_and_generated_rows(table):
    display = PairPlotDisplay.from_estimator(
        table, FRAME, features=["d", 0], n_rows=30, random_state=0
    )

    assert display.feature_names == ["d", "a"]
    np.testing.assert_allclose(display.real, FRAME.iloc[::3, [3, 0]])
    real, generated = display.axes_[0, 1].collections
    np.testing.assert_allclose(real.get_offsets(), display.real[:, ::-1])
    np.testing.assert_allclose(generated.get_offsets(), display.generated[:, ::-1])
    assert display.generated.shape == (30, 2)


def test_pair_plot_takes_the_features_that_tell_categories_apart():
    X, _ = make_blobs(120, centers=2, n_features=2, random_state=0)
    noise = np.random.default_rng(0).normal(size=(120, 5))
    X = np.column_stack([noise[:, :2], X[:, 0], noise[:, 2:], X[:, 1], np.ones(120)])
    gan = tiny(X, n_clusters=2, warmup_iter=100)

    display = PairPlotDisplay.from_estimator(gan, X, random_state=0)

    assert len(display.feature_names) == 4
    assert {"x2", "x6"} & set(display.feature_names)
    assert "x7" not in display.feature_names  # constant


@pytest.mark.filterwarnings("error")
def test_pair_plot_of_a_column_that_is_the_category():
    kind = np.arange(120) % 2
    X = np.column_stack([kind, 3 * kind, np.random.default_rng(0).normal(size=120)])
    gan = tiny(X, n_clusters=2, warmup_iter=100)
    assert adjusted_rand_score(gan.labels_, kind) == 1

    PairPlotDisplay.from_estimator(gan, X, random_state=0)


def test_pair_plot_refuses_images(digits):
    with pytest.raises(ValueError, match=r"draws tables.*image_shape=\(8, 8, 1\)"):
        PairPlotDisplay.from_estimator(digits, DIGITS)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ("a", "list.*got 'a'"),
        ([], r"list.*got \[\]"),
        (["e"], "no feature 'e'.*'a'"),
        ([4], "0 to 3"),
    ],
)
def test_bad_features_are_quoted(features, message, table):
    with pytest.raises(ValueError, match=message):
        PairPlotDisplay.from_estimator(table, FRAME, features=features)


def test_pair_plot_draws_in_the_place_of_given_axes(table):
    figure, axes = plt.subplots(1, 2, layout="constrained")

    display = PairPlotDisplay.from_estimator(table, FRAME, ax=axes[1], random_state=0)

    figure.canvas.draw()
    assert display.figure_ is figure
    assert display.ax_ is axes[1]
    right = axes[1].get_position()
    for panel in display.axes_.ravel():
        place = panel.get_position()
        assert right.x0 - 0.1 < place.x0 < place.x1 < right.x1 + 0.1


def test_long_names_in_a_pair_plot_do_not_overlap():
    names = [f"{kind}_of_the_nuclei_in_the_whole_image_{kind}" for kind in ("area", "size", "hue")]
    rows = np.random.default_rng(0).normal(size=(9, 3))

    display = PairPlotDisplay(rows, rows, names).plot()

    display.figure_.canvas.draw()
    for axis, panels in ((0, display.axes_[-1]), (1, display.axes_[::-1, 0])):
        labels = [(panel.xaxis, panel.yaxis)[axis].label for panel in panels]
        assert len({label.get_text() for label in labels}) == 3
        ends = [np.array(label.get_window_extent())[:, axis] for label in labels]
        assert (np.diff(np.ravel(ends)) > 0).all()
    assert display.feature_names == names


@pytest.mark.parametrize("inset", [False, True])
def test_pair_plot_draws_in_axes_that_no_grid_holds(inset, table):
    figure = plt.figure()
    ax = figure.add_axes((0.2, 0.3, 0.5, 0.6))
    box = ax.get_position()
    if inset:
        ax = ax.inset_axes((0.5, 0.5, 0.5, 0.5))
        box = Bbox.from_bounds(0.45, 0.6, 0.25, 0.3)

    display = PairPlotDisplay.from_estimator(table, FRAME, ax=ax, random_state=0)

    figure.canvas.draw()
    for panel in display.axes_.ravel():
        place = panel.get_position()
        assert box.x0 - 0.01 < place.x0 < place.x1 < box.x1 + 0.01
        assert box.y0 - 0.01 < place.y0 < place.y1 < box.y1 + 0.01


@pytest.mark.parametrize("shift", [1e16, 1.7e18])
@pytest.mark.parametrize("scale", [0, 1])
def test_pair_plot_of_numbers_as_large_as_times_in_nanoseconds(scale, shift):
    X = TABLE.copy()
    X[:, 2] = shift + scale * X[:, 2]

    display = PairPlotDisplay.from_estimator(tiny(X, n_clusters=3), X)

    display.figure_.canvas.draw()
    assert plt.get_fignums() == [display.figure_.number]


def test_names_of_features_are_no_markup():
    """As "$" begins a formula of matplotlib, and "_" the label of what a legend leaves out."""
    names = ["_a", "in_$_out_$", "cost $", "d"]
    frame = pd.DataFrame(TABLE[:, :4], columns=names)
    gan = tiny(frame, n_clusters=3)

    traversal = TraversalDisplay.from_estimator(gan)
    others = [
        CodeGridDisplay.from_estimator(gan, frame),
        ExtremesDisplay.from_estimator(gan, frame),
        PairPlotDisplay.from_estimator(gan, frame),
    ]

    for display in (traversal, *others):
        display.figure_.canvas.draw()
    entries = [text.get_text() for text in traversal.ax_.get_legend().get_texts()]
    assert {entry.replace("\\$", "$").rpartition(":")[0].strip() for entry in entries} == set(names)


# -- ExtremesDisplay -------------------------------------------------------------------------------


def test_extremes_are_the_ends_of_the_code_in_each_category(digits):
    display = ExtremesDisplay.from_estimator(digits, DIGITS, code=1, n_ends=2)

    value, labels = digits.transform(DIGITS)[:, 5], digits.predict(DIGITS)
    k = int(np.bincount(labels).argmax())
    members = np.flatnonzero(labels == k)
    ordered = members[np.argsort(value[members], kind="stable")]
    np.testing.assert_array_equal(display.indices[k], ordered[[0, 1, -2, -1]])
    np.testing.assert_allclose(display.values[k], value[display.indices[k]])
    rows = DIGITS[display.indices[k]]
    np.testing.assert_allclose(
        display.differences[k], rows[2:].mean(axis=0) - rows[:2].mean(axis=0)
    )
    grid, beside = display.ax_.get_images()
    canvas = grid.get_array()
    last = canvas[9 * k : 9 * k + 8, -8:, 0]
    np.testing.assert_allclose(last, DIGITS[ordered[-1]].reshape(8, 8) / 16, atol=1e-6)
    np.testing.assert_allclose(beside.get_array(), display.difference.reshape(8, 8) / 16, atol=1e-6)


def test_extremes_show_no_row_twice(digits):
    display = ExtremesDisplay.from_estimator(digits, DIGITS[:9], n_ends=5)

    shown = display.indices[display.indices >= 0]
    assert len(set(shown.tolist())) == len(shown) == 9
    values = display.values[~np.isnan(display.values).any(axis=1)]
    assert (np.diff(values, axis=1) >= 0).all()


def test_extremes_of_single_rows_have_no_difference(digits):
    display = ExtremesDisplay.from_estimator(digits, DIGITS[:1])

    assert np.isnan(display.differences).all()
    assert (display.difference == 0).all()


def test_extremes_of_a_table_are_bars_of_the_features_that_differ_most(table):
    display = ExtremesDisplay.from_estimator(table, FRAME, code=0, n_features=3)

    bars = display.ax_.containers[0]
    widths = [bar.get_width() for bar in bars]
    assert widths == [change.scaled_change for change in display.feature_changes[:3]]
    names = [text.get_text().split(":")[0] for text in display.ax_.get_yticklabels()]
    assert names == [change.name for change in display.feature_changes[:3]]
    dots = display.ax_.get_lines()[0].get_xdata()
    columns = ["abcd".index(name) for name in names]
    np.testing.assert_allclose(
        dots, display.differences[0, columns] / FRAME.std(ddof=0).to_numpy()[columns]
    )


# -- TrainingCurveDisplay --------------------------------------------------------------------------


def test_training_curves_are_the_history(table):
    display = TrainingCurveDisplay.from_estimator(table)

    history = list(table.history_)
    assert display.phases == ["consistency"] * 2 + ["game"] * 2
    np.testing.assert_allclose(display.scores, [1 - row["valid_loss"] for row in history])
    np.testing.assert_allclose(display.losses["train_loss"], [r["train_loss"] for r in history])
    assert np.isnan(display.losses["discriminator_loss"][:2]).all()
    assert "valid_loss" not in display.losses


def test_training_curves_of_a_phase_ended_within_an_epoch():
    gan = tiny(TABLE, warmup_iter=60, max_iter=60, callbacks=[EndsWithin("consistency", 55)])

    display = TrainingCurveDisplay.from_estimator(gan)

    assert np.isnan(display.scores).any()
    assert np.isfinite(display.scores).any()


def test_training_curves_break_between_phases_and_mark_them(table):
    display = TrainingCurveDisplay.from_estimator(table, curves=["train_loss", "cycle_loss"])

    first, second, cycle = display.ax_.get_lines()
    np.testing.assert_array_equal(first.get_xdata(), [1, 2])
    np.testing.assert_array_equal(second.get_xdata(), [3, 4])
    np.testing.assert_allclose(second.get_ydata(), display.losses["train_loss"][2:])
    np.testing.assert_allclose(cycle.get_ydata(), display.losses["cycle_loss"][2:])
    assert [text.get_text().strip() for text in display.ax_.texts] == ["consistency", "game"]
    (score,) = display.score_ax_.get_lines()
    np.testing.assert_allclose(score.get_ydata(), display.scores)
    legend = [text.get_text() for text in display.score_ax_.get_legend().get_texts()]
    assert legend == ["train loss", "cycle loss", "score"]


# -- CodeUsageDisplay ------------------------------------------------------------------------------


def test_code_usage_counts_rows_and_confidence(digits):
    display = CodeUsageDisplay.from_estimator(digits, DIGITS)

    labels, proba = digits.predict(DIGITS), digits.predict_proba(DIGITS)
    np.testing.assert_array_equal(display.sizes, np.bincount(labels, minlength=4))
    heights = [bar.get_height() for bar in display.ax_.containers[0]]
    assert heights == display.sizes.tolist()
    k = int(np.argmax(display.sizes))
    confidence = proba[labels == k, k].mean()
    assert display.confidences[k] == pytest.approx(confidence)
    assert display.ax_.texts[k].get_text() == f"{confidence:.2f}"
    np.testing.assert_allclose(display.expected_sizes, [30] * 4)
    marks = display.ax_.collections[0].get_segments()
    np.testing.assert_allclose([mark[0][1] for mark in marks], 30)


def test_code_usage_of_an_empty_category_has_no_confidence(digits):
    display = CodeUsageDisplay.from_estimator(digits, DIGITS[:1])

    assert np.isnan(display.confidences).sum() == 3
    assert sum(text.get_text() == "" for text in display.ax_.texts) == 3


def test_code_usage_takes_one_category_and_a_learned_prior():
    X = TABLE[:30]
    one = CodeUsageDisplay.from_estimator(tiny(X, n_clusters=1), X)
    two = CodeUsageDisplay.from_estimator(tiny(X, n_clusters=2, cluster_prior=[0.2, 0.8]), X)

    assert one.sizes.tolist() == [30]
    np.testing.assert_allclose(two.expected_sizes, [24, 6])


# -- all of them -----------------------------------------------------------------------------------

ALL = [
    lambda gan, X, **kw: CodeGridDisplay.from_estimator(gan, X, **kw),
    lambda gan, X, **kw: CodeGridDisplay.from_samples(gan, **kw),
    lambda gan, X, **kw: TraversalDisplay.from_estimator(gan, **kw),
    lambda gan, X, **kw: ReconstructionDisplay.from_estimator(gan, X, **kw),
    lambda gan, X, **kw: NearestRowsDisplay.from_estimator(gan, X, **kw),
    lambda gan, X, **kw: ExtremesDisplay.from_estimator(gan, X, **kw),
    lambda gan, X, **kw: TrainingCurveDisplay.from_estimator(gan, **kw),
    lambda gan, X, **kw: CodeUsageDisplay.from_estimator(gan, X, **kw),
]


@pytest.mark.parametrize("make", ALL)
def test_every_display_draws_on_given_axes_and_anew(make, digits):
    figure, ax = plt.subplots()

    display = make(digits, DIGITS, ax=ax)

    assert display.ax_ is ax
    assert display.figure_ is figure
    figure.canvas.draw()
    again = display.plot()
    assert again is display
    assert display.ax_ is not ax


def overlap(texts):
    """Whether neighbours in a row or a column of texts do."""
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    return any(one.overlaps(other) for one, other in pairwise(boxes))


@pytest.mark.parametrize("shape", [(32, 8), (8, 32)])
def test_labels_beside_images_that_are_not_square_do_not_overlap(shape):
    images = np.random.default_rng(0).random((20, 256))
    display = TraversalDisplay.from_estimator(tiny(images, n_clusters=4, image_shape=shape))
    display.figure_.canvas.draw()
    assert not overlap(display.ax_.get_xticklabels())
    assert not overlap(display.ax_.get_yticklabels())


def test_long_names_leave_room_for_rows():
    names = [f"a column with a long name, number {i}" for i in range(4)]
    table = pd.DataFrame(TABLE, columns=names)
    display = NearestRowsDisplay.from_estimator(tiny(table, n_clusters=3), table, n_rows=6)
    display.figure_.canvas.draw()
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == names
    assert not overlap(display.ax_.get_yticklabels())


def test_a_legend_of_many_categories_is_within_the_figure():
    gan = tiny(TABLE, n_clusters=40)
    display = ExtremesDisplay.from_estimator(gan, TABLE)
    display.figure_.canvas.draw()
    assert display.ax_.get_legend().get_window_extent().y0 >= 0
    assert len({to_rgba(line.get_color()) for line in display.ax_.lines}) == 40


def test_displays_refuse_what_are_no_rectangular_axes(digits):
    display = TraversalDisplay.from_estimator(digits)
    before = display.ax_
    for ax in (plt.subplots(1, 2)[1], plt.figure(), plt.subplot(projection="polar")):
        with pytest.raises(TypeError, match="ax must be None or matplotlib Axes"):
            display.plot(ax=ax)
    assert display.ax_ is before


@pytest.mark.parametrize("make", ALL)
def test_every_display_draws_colours_and_tables(make, colours, table, several):
    for gan, X in (colours, (table, FRAME), (several, TABLE)):
        display = make(gan, X)
        display.figure_.canvas.draw()
        assert display.ax_.has_data()


@pytest.mark.parametrize("make", ALL)
def test_every_display_wants_a_fitted_model(make):
    with pytest.raises(NotFittedError):
        make(BInfoGANTransformer(), DIGITS)


@pytest.mark.parametrize("make", ALL)
def test_every_display_says_that_matplotlib_is_missing(make, digits, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(ImportError, match=r"Display\.plot requires matplotlib"):
        make(digits, DIGITS)


DRAWING = [ALL[0], ALL[1], ALL[3], ALL[4]]  # take a random_state; None is the global one, as ever


@pytest.mark.parametrize("make", ALL)
def test_every_display_leaves_global_random_state_alone(make, digits):
    params = {"random_state": 0} if make in DRAWING else {}
    before = np.random.get_state()  # noqa: NPY002 - the global state is what is tested

    make(digits, DIGITS, **params)

    after = np.random.get_state()  # noqa: NPY002 - as above
    np.testing.assert_array_equal(after[1], before[1])
    assert after[2] == before[2]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda g: CodeGridDisplay.from_estimator(g, DIGITS, n_columns=0), "n_columns.*got 0"),
        (lambda g: CodeGridDisplay.from_samples(g, n_columns=1.5), "n_columns.*got 1.5"),
        (lambda g: CodeGridDisplay.from_estimator(g, DIGITS, order="size"), "order.*'size'"),
        (lambda g: CodeUsageDisplay.from_estimator(g, DIGITS, categorical_code=1), "0 to 0; got 1"),
        (lambda g: TraversalDisplay.from_estimator(g, code=2), "no code 2.*2 continuous codes"),
        (lambda g: TraversalDisplay.from_estimator(g, code="noise16"), "'noise16'.*16 parts"),
        (lambda g: TraversalDisplay.from_estimator(g, code=True), "no code True"),
        (lambda g: TraversalDisplay.from_estimator(g, values=[0]), r"at least 2.*got \[0\]"),
        (lambda g: TraversalDisplay.from_estimator(g, values=[0, np.inf]), "finite"),
        (lambda g: ExtremesDisplay.from_estimator(g, DIGITS, n_ends=0), "n_ends.*got 0"),
        (lambda g: ReconstructionDisplay.from_estimator(g, DIGITS, n_rows=0), "n_rows.*got 0"),
        (lambda g: NearestRowsDisplay.from_estimator(g, DIGITS, n_rows=0), "n_rows.*got 0"),
        (lambda g: NearestRowsDisplay.from_estimator(g, DIGITS[:1]), "2 rows.*got 1"),
        (lambda g: ReconstructionDisplay.from_estimator(g, DIGITS, indices=[120]), "0 to 119"),
        (lambda g: ReconstructionDisplay.from_estimator(g, DIGITS, indices=[0.5]), "row numbers"),
    ],
)
def test_bad_arguments_are_quoted(make, message, digits):
    with pytest.raises(ValueError, match=message):
        make(digits)


def test_a_model_without_continuous_codes_says_so():
    gan = tiny(TABLE[:30], n_clusters=2, n_continuous=0, n_noise=0)

    with pytest.raises(ValueError, match="it has none"):
        TraversalDisplay.from_estimator(gan)


def test_colours_of_bars_follow_confidence(digits):
    display = CodeUsageDisplay.from_estimator(digits, DIGITS)
    bars = display.ax_.containers[0]
    sure = plt.cm.ScalarMappable(plt.Normalize(0.25, 1), "viridis")

    for bar, confidence in zip(bars, np.nan_to_num(display.confidences), strict=True):
        assert to_rgba(bar.get_facecolor()) == pytest.approx(sure.to_rgba(confidence))


def test_a_pipeline_is_refused_with_the_step_to_pass(table):
    with pytest.raises(TypeError, match=r"got a Pipeline.*`pipe\[-1\]`"):
        CodeUsageDisplay.from_estimator(make_pipeline(StandardScaler(), table), TABLE)


def test_all_names_exist():
    assert all(hasattr(inspection, name) for name in inspection.__all__)
