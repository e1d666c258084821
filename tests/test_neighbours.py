"""A graph of neighbours: clusters of any shape, size and number, which E learns."""

import numpy as np
import pytest
from conftest import DIGIT_CLASSES, DIGITS, assert_same_tree, trained_arrays
from scipy.stats import entropy
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris, make_blobs, make_circles
from sklearn.metrics import adjusted_rand_score

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.metrics import cluster_accuracy

BUDGET = {"warmup_iter": 150, "max_iter": 0, "random_state": 0}


def fitted(X, n_clusters, **params):
    return BInfoGANTransformer(n_clusters, **{**BUDGET, **params}).fit(X)


def agreement(X, y, **params):
    return adjusted_rand_score(y, fitted(X, len(np.unique(y)), **params).labels_)


def rings(n_rows=400, seed=0):
    return make_circles(n_rows, factor=0.4, noise=0.04, random_state=seed)


@pytest.fixture(scope="module")
def of_rings():
    return fitted(rings()[0], 2)


def test_clusters_of_any_shape(of_rings):
    X, y = rings()
    assert adjusted_rand_score(y, of_rings.labels_) == 1
    assert agreement(X, y, n_neighbors=0) < 0.5


def test_rows_that_were_not_seen_go_to_the_cluster_around_them(of_rings):
    X, y = rings(seed=1)
    assert adjusted_rand_score(y, of_rings.predict(X)) > 0.97


def test_clusters_of_unequal_size():
    X, y = make_blobs([2000, 100], centers=[[0, 0], [9, 0]], random_state=0)
    assert agreement(X, y) > 0.99
    assert agreement(X, y, n_neighbors=0) < 0.5


def test_few_rows():
    X, y = make_blobs([40] * 3, centers=[[0, 0], [7, 0], [0, 7]], random_state=2)
    assert agreement(X, y) == 1


def stretched(sizes, seed, n_columns=3, distance=3):
    """Gaussian clusters of different shape, direction and size."""
    rng = np.random.default_rng(seed)
    centers = distance * rng.normal(size=(len(sizes), n_columns))
    shapes = [rng.uniform(0.4, 1) * rng.normal(size=(n_columns, n_columns)) for _ in sizes]
    rows = [
        center + rng.normal(size=(n, n_columns)) @ shape
        for n, center, shape in zip(sizes, centers, shapes, strict=True)
    ]
    return np.concatenate(rows), np.repeat(np.arange(len(sizes)), sizes)


@pytest.mark.parametrize("seed", [1, 5])
def test_stretched_clusters_of_unequal_size(seed):
    X, y = stretched((300, 150, 80, 40), seed)
    assert agreement(X, y) > 0.9
    means = KMeans(4, n_init=10, random_state=0).fit_predict(X)
    assert adjusted_rand_score(y, means) < 0.8


def test_stretched_clusters_of_few_rows_and_many_columns():
    X, y = stretched((120,) * 5, 0, n_columns=12, distance=1)
    assert agreement(X, y) > 0.9  # without ellipses: 0.19


def test_bars_that_cross():
    rng = np.random.default_rng(1)
    y = np.arange(800) % 2
    X = rng.normal(size=(800, 2)) * [4, 0.3]
    X[y == 1] = X[y == 1][:, ::-1]
    assert agreement(X @ [[1, 0.5], [-0.5, 1]], y) > 0.6  # halves of the cross: 0


def test_kinds_of_flowers():
    X, y = load_iris(return_X_y=True)
    assert agreement(X, y) > 0.85


def test_rows_that_are_given_several_times():
    X, y = make_blobs(240, n_features=5, cluster_std=2, centers=4, random_state=0)
    assert agreement(np.tile(X, (5, 1)), np.tile(y, 5)) > agreement(X, y) - 0.05

    X, y = rings()
    assert agreement(np.tile(X, (3, 1)), np.tile(y, 3)) == 1


def test_ages():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, 2000)
    X = np.array([20, 45, 75])[y] + 5 * rng.normal(size=2000)
    assert agreement(X.round()[:, None], y) > 0.9


def test_many_clusters():
    grid = 5.0 * np.stack(np.meshgrid(range(5), range(5)), axis=-1).reshape(-1, 2)
    X, y = make_blobs(1000, centers=grid, cluster_std=0.6, random_state=0)
    assert agreement(X, y) > 0.99


def test_a_sparse_region_of_a_table_is_no_cluster():
    X, y = load_iris(return_X_y=True)
    found = fitted(X, 3)
    assert adjusted_rand_score(y, found.labels_) > 0.55
    assert np.bincount(found.labels_).min() > 25


def test_a_partition_that_no_other_is_better_than_is_kept_to_the_bit():
    X, _ = make_blobs(300, centers=3, cluster_std=0.5, random_state=0)
    with_graph, without = (fitted(X, 3, n_neighbors=n) for n in (5, 0))
    np.testing.assert_array_equal(with_graph.predict_proba(X), without.predict_proba(X))


def test_the_game_goes_on_with_what_was_learned(of_rings):
    X, _ = rings()
    both = fitted(X, 2, max_iter=20)
    np.testing.assert_array_equal(both.labels_, of_rings.labels_)
    assert both.sample(10, random_state=0)[0].shape == (10, 2)


def test_two_fits_are_equal_to_the_bit(of_rings):
    again = fitted(rings()[0], 2)
    assert_same_tree(trained_arrays(again), trained_arrays(of_rings))


def test_a_memory_map_gives_what_its_rows_give(of_rings, tmp_path):
    X, _ = rings()
    np.save(tmp_path / "rows.npy", X)
    mapped = fitted(np.load(tmp_path / "rows.npy", mmap_mode="r"), 2)
    np.testing.assert_array_equal(mapped.labels_, of_rings.labels_)


def test_partial_fit_learns_it_at_the_end_of_the_phase():
    X, y = rings()
    gan = BInfoGANTransformer(2, **BUDGET | {"warmup_iter": 70})
    while not hasattr(gan, "labels_") or gan.n_iter_ < 70:
        gan.partial_fit(X)
    assert adjusted_rand_score(y, gan.predict(X)) == 1


def test_learned_prior_has_the_sizes_that_were_found():
    X, _ = make_blobs([400, 100], centers=[[0, 0], [9, 0]], random_state=0)
    found = fitted(X, 2, cluster_prior="learned")
    np.testing.assert_allclose(found.cluster_prior_, [0.8, 0.2], atol=0.02)


@pytest.mark.parametrize("n_clusters", [3, 5])
def test_rows_without_groups_are_cut_into_about_equal_parts(n_clusters):
    rows = np.random.default_rng(0).normal(size=(900, 6))
    assert np.bincount(fitted(rows, n_clusters).labels_).min() > 900 / n_clusters / 3


def test_counts_of_unequal_groups():
    rng, sizes = np.random.RandomState(2), [540, 270, 90]
    classes = np.repeat(range(3), sizes)
    rows = rng.poisson(rng.gamma(2, 2, size=(3, 6))[classes])
    for seed in range(2):
        assert agreement(rows, classes, random_state=seed) > 0.85  # halves of a large group: 0.5


@pytest.mark.parametrize("sizes", [[900, 60], [1200, 100, 100]])
def test_round_clusters_of_unequal_size(sizes):
    centers = [[0, 0], [4.5, 0], [0, 4.5]][: len(sizes)]
    rows, classes = make_blobs(sizes, centers=centers, random_state=0)
    for seed in range(2):
        assert agreement(rows, classes, random_state=seed) > 0.9  # gaps or k-means: 0 to 0.2


def test_touching_round_clusters_of_equal_size():
    X, y = make_blobs(300, centers=4, random_state=0)
    for seed in (1, 3):  # k-means: 0.85; by Gaussians of any size: 0.74
        assert agreement(X, y, random_state=seed) > 0.8


def test_a_broad_gaussian_for_far_rows_is_no_group():
    rng = np.random.RandomState(221)
    y = np.repeat(range(4), 200)
    X = 3 * rng.normal(size=(4, 4))[y] + rng.standard_t(4, size=(800, 4))
    # A mixture, of which one Gaussian holds the tails: 0.66.
    assert agreement(X, y, random_state=1) > 0.8


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_neighbors": 5, "n_clusters": (2, 2)}, r"n_neighbors=5 needs one .*\(2, 2\)"),
        ({"n_neighbors": 5, "cluster_prior": [0.3, 0.7]}, "n_neighbors=5 finds .*cluster_prior"),
        ({"n_neighbors": 5, "warmup_iter": 0, "max_iter": 5}, "n_neighbors=5 .*warmup_iter"),
        ({"n_neighbors": 400}, "n_neighbors=400 must be less than n_samples=400"),
        ({"n_neighbors": -1}, "n_neighbors.*-1"),
        ({"n_neighbors": 2.5}, "n_neighbors.*2.5"),
        ({"n_neighbors": "many"}, "n_neighbors.*'many'"),
    ],
)
def test_what_cannot_be_used_is_an_error_before_training(params, message):
    gan = BInfoGANTransformer(**{"n_clusters": 2, **BUDGET, **params})
    with pytest.raises(ValueError, match=message):
        gan.fit(rings()[0])
    assert not hasattr(gan, "labels_")


@pytest.mark.parametrize("params", [{"n_clusters": (2, 2)}, {"cluster_prior": [0.3, 0.7]}])
def test_auto_is_none_where_there_is_no_use_for_it(params):
    X, _ = rings()
    auto, none = (
        BInfoGANTransformer(**{"n_clusters": 2, **BUDGET, **params, "n_neighbors": n}).fit(X)
        for n in ("auto", 0)
    )
    np.testing.assert_array_equal(auto.labels_, none.labels_)


def test_images_take_another_number_too():
    X = DIGITS[:300]
    counts = {"image_shape": (8, 8), "warmup_iter": 10}
    found = [fitted(X, 10, n_neighbors=n, **counts).predict_proba(X) for n in ("auto", 10, 5, 0)]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[1], found[2])
    assert not np.array_equal(found[1], found[3])


IMAGES = {"image_shape": (8, 8), "warmup_iter": 50}


@pytest.fixture(scope="module")
def of_digits():
    images, classes = DIGITS[:600], DIGIT_CLASSES[:600]
    return fitted(images, 10, **IMAGES), images, classes


def test_neighbours_improve_digits_on_average(of_digits):
    first, images, classes = of_digits
    with_graph = [first] + [fitted(images, 10, **IMAGES, random_state=seed) for seed in (1, 2)]
    without = [fitted(images, 10, **IMAGES, n_neighbors=0, random_state=seed) for seed in range(3)]
    accuracies = [
        np.mean([cluster_accuracy(classes, gan.labels_) for gan in gans])
        for gans in (with_graph, without)
    ]
    assert accuracies[0] > accuracies[1]


def test_categories_of_images_stay_about_equal_in_size(of_digits):
    gan, images, _ = of_digits
    assert entropy(np.bincount(gan.labels_, minlength=10) / len(images)) > np.log(10) - 0.1


def test_two_fits_of_images_are_equal_to_the_bit():
    one, other = (fitted(DIGITS[:300], 10, **IMAGES | {"warmup_iter": 10}) for _ in range(2))
    assert_same_tree(trained_arrays(one), trained_arrays(other))


def test_few_images_have_no_graph():
    few = DIGITS[:50]
    counts = {"image_shape": (8, 8), "warmup_iter": 10}
    one, other = (fitted(few, 10, n_neighbors=n, **counts) for n in ("auto", 0))
    np.testing.assert_array_equal(one.predict_proba(few), other.predict_proba(few))


def test_of_several_codes_of_images_the_first_is_corrected():
    with_graph, without = (
        fitted(DIGITS[:300], (10, 3), n_neighbors=n, image_shape=(8, 8), warmup_iter=10)
        for n in ("auto", 0)
    )
    corrected = (with_graph.labels_ != without.labels_).any(axis=0)
    np.testing.assert_array_equal(corrected, [True, False])


def test_the_corrected_code_is_no_copy_of_a_later_one():
    gan = fitted(DIGITS[:900], (4, 10), image_shape=(8, 8), warmup_iter=300)
    assert gan.diagnostics_["code_information"][0][1] < 0.25


@pytest.mark.parametrize(
    ("n_images", "n_clusters", "n_neighbors", "n_used"),
    [(199, 10, 10, 199), (620, 10, 30, 558), (1797, 160, 20, 1618), (6900, 101, 30, 6000)],
)
def test_images_too_few_for_a_given_number_are_an_error(n_images, n_clusters, n_neighbors, n_used):
    images = np.resize(DIGITS, (n_images, 64))
    message = f"n_neighbors={n_neighbors} needs {2 * n_neighbors} images .* can use {n_used}"
    with pytest.raises(ValueError, match=message):
        fitted(images, n_clusters, **IMAGES, n_neighbors=n_neighbors)


def test_a_learned_prior_of_images_and_neighbours_exclude_each_other():
    with pytest.raises(ValueError, match=r"n_neighbors=10 finds .* images .*learned"):
        fitted(DIGITS, 10, **IMAGES, n_neighbors=10, cluster_prior="learned")
