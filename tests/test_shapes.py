"""The rendered set: its images show what its factors say."""

import numpy as np
import pytest

from sklearn_binfogan.datasets import make_shapes
from sklearn_binfogan.datasets._shapes import _render

SQUARE, ELLIPSE, HEART = range(3)
GRID = np.arange(32) + 0.5
STEP = 2 * np.pi / 40


def images(*factors):
    return _render(np.array(factors, dtype=float)).reshape(-1, 32, 32) / 255


def centre(image):
    """Return column and row of the centre of mass."""
    return np.array([image.sum(axis=0) @ GRID, image.sum(axis=1) @ GRID]) / image.sum()


def angle(image):
    """Return the angle of the longer axis, counter-clockwise, in [0, pi)."""
    column, row = centre(image)
    dx, dy = GRID[None] - column, row - GRID[:, None]
    moments = [(image * product).sum() for product in (dx * dx, dy * dy, dx * dy)]
    return np.arctan2(2 * moments[2], moments[0] - moments[1]) / 2 % np.pi


@pytest.fixture(scope="module")
def shapes():
    return make_shapes(2000, random_state=0)


def test_what_comes_back(shapes):
    assert (shapes.X.dtype, shapes.X.shape) == (np.uint8, (2000, 1024))
    assert shapes.X.flags.c_contiguous
    assert (shapes.factors.dtype, shapes.factors.shape) == (np.float64, (2000, 5))
    assert shapes.factor_names == ["shape", "scale", "rotation", "x", "y"]
    assert shapes.image_shape == (32, 32)
    assert "dSprites" in shapes.DESCR
    assert (shapes.X.min(), shapes.X.max()) == (0, 255)


def test_factors_have_the_documented_values(shapes):
    values = [np.unique(column) for column in shapes.factors.T]

    assert [len(each) for each in values] == [3, 6, 40, 32, 32]
    np.testing.assert_array_equal(values[0], [SQUARE, ELLIPSE, HEART])
    ends = [(each[0], each[-1]) for each in values[1:]]
    np.testing.assert_allclose(ends, [(0.5, 1), (0, 39 * STEP), (0, 1), (0, 1)])


def test_factors_are_uniform_and_independent(shapes):
    for column in shapes.factors.T:
        counts = np.unique(column, return_counts=True)[1]
        chi_square = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
        assert chi_square < 2 * len(counts)
    np.testing.assert_allclose(np.corrcoef(shapes.factors.T), np.eye(5), atol=0.08)


def test_random_state():
    first, same, other = (make_shapes(20, random_state=seed) for seed in (0, 0, 1))

    np.testing.assert_array_equal(first.X, same.X)
    np.testing.assert_array_equal(first.factors, same.factors)
    assert (first.factors != other.factors).any()
    np.testing.assert_array_equal(
        first.factors, make_shapes(20, random_state=np.random.RandomState(0)).factors
    )


def test_an_image_depends_on_its_own_factors_only(shapes):
    some = [5, 1999, 70]  # rendered in batches: another batch must not change them

    np.testing.assert_array_equal(_render(shapes.factors[some]), shapes.X[some])


def test_position():
    places = [(x, y) for x in (0, 0.25, 1) for y in (0, 0.25, 1)]

    for (x, y), image in zip(places, images(*[(SQUARE, 1, 0, *p) for p in places]), strict=True):
        np.testing.assert_allclose(centre(image), [7.5 + 17 * x, 7.5 + 17 * y], atol=0.1)


@pytest.mark.parametrize("shape", [SQUARE, ELLIPSE, HEART])
def test_no_shape_is_cut_off_by_the_border(shape):
    angles = np.arange(40) * STEP
    inner = 8 / 17  # eight pixels from the outermost place
    for outermost, shift in [(0, -8), (1, 8)]:
        inside = inner if shift < 0 else 1 - inner
        middle = images(*[(shape, 1, each, inside, inside) for each in angles])
        moved = np.roll(middle, (shift, shift), axis=(1, 2))  # what is cut off comes in opposite
        outer = images(*[(shape, 1, each, outermost, outermost) for each in angles])
        np.testing.assert_allclose(outer, moved, atol=3 / 9)  # subpixels on the very edge


@pytest.mark.parametrize("shape", [SQUARE, ELLIPSE, HEART])
def test_twice_the_scale_is_four_times_the_area(shape):
    small, large = images((shape, 0.5, 0.3, 0.5, 0.5), (shape, 1, 0.3, 0.5, 0.5))
    assert large.sum() / small.sum() == pytest.approx(4, rel=0.05)


def test_sizes_of_the_shapes():
    square, ellipse = images((SQUARE, 1, 0, 0.5, 0.5), (ELLIPSE, 1, 0, 0.5, 0.5))

    assert square.sum() == pytest.approx(2 * 7**2, rel=0.03)
    assert ellipse.sum() == pytest.approx(np.pi * 7 * 3.5, rel=0.03)


def test_rotation_is_counter_clockwise():
    steps = np.arange(1, 40, 4)
    turned = images(*[(ELLIPSE, 1, k * STEP, 0.5, 0.5) for k in steps])

    np.testing.assert_allclose([angle(each) for each in turned], steps * STEP % np.pi, atol=0.03)
    upright, quarter = images((HEART, 1, 0, 0.5, 0.5), (HEART, 1, np.pi / 2, 0.5, 0.5))
    np.testing.assert_allclose(quarter, np.rot90(upright), atol=0.12)  # counter-clockwise, too
    assert np.abs(quarter - upright).max() > 0.9


def test_a_heart_stands_on_its_tip():
    image = images((HEART, 1, 0, 0.5, 0.5))[0]
    widths = image.sum(axis=1)[image.any(axis=1)]

    assert widths[-1] < 3 < widths[0] + widths[1]
    np.testing.assert_allclose(image, image[:, ::-1])


@pytest.mark.parametrize("shape", [SQUARE, ELLIPSE, HEART])
def test_edges_are_grey(shape):
    image = images((shape, 1, 3 * STEP, 0.3, 0.6))[0]

    assert ((image > 0) & (image < 1)).sum() > 10


def test_bad_number_of_images():
    with pytest.raises(ValueError, match="n_samples == 0, must be >= 1"):
        make_shapes(0)
    with pytest.raises(TypeError, match="n_samples must be an instance of int"):
        make_shapes(2.5)
