"""Signs of collapse: found in hand-made evidence of each, and not in a sound model's."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan._codes import CodeSpec
from sklearn_binfogan._collapse import Evidence, findings

SPEC = CodeSpec((4,), 2, 1)
N = 400
RNG = np.random.default_rng(0)


def sound(**changes):
    """Evidence of a model in which nothing is wrong, but for the changes."""
    labels = np.arange(N) % 4
    codes = RNG.uniform(-1, 1, (N, SPEC.width))
    codes[:, :4] = np.eye(4)[labels]
    rows = RNG.normal(size=(N, 5))
    kept = {
        "spec": SPEC,
        "prior": [np.full(4, 0.25)],
        "rows": rows,
        "samples": rows,
        "posterior": np.eye(4)[labels],
        "augmented_posterior": np.eye(4)[labels],
        "drawn": codes,
        "found": codes,
        "mi_weight": 1.0,
        "discriminator_loss": 0.8,
    }
    merged = {**kept, **changes}
    parts = merged["spec"].category_slices
    posterior = merged["posterior"]
    sizes = [
        np.bincount(posterior[:, p].argmax(axis=1), minlength=p.stop - p.start).tolist()
        for p in parts
    ]
    return Evidence(**{"sizes": sizes, **merged})


def one_finding(evidence):
    (sentence,) = findings(evidence)
    return sentence


def test_nothing_wrong():
    assert findings(sound()) == []


def test_no_information_is_the_one_finding():
    assert "mi_weight=0" in one_finding(sound(mi_weight=0.0, sizes=[[N, 0, 0, 0]]))


def test_dead_category():
    labels = np.arange(N) % 3
    evidence = sound(posterior=np.eye(4)[labels], augmented_posterior=np.eye(4)[labels])
    evidence.sizes[0][3] = 5
    assert "Category 3 holds almost no row" in one_finding(evidence)


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ([N, N, N, 0], "Category 3 holds no rows: only 3 of 4 categories"),
        ([N, 0, N, 0], "Categories 1 and 3 hold no rows: only 2 of 4 categories"),
        ([N, 0, 0, 0], "Categories 1 to 3 hold no rows: only 1 of 4 categories"),
        ([9, 0, 9, 9], "Category 1 holds no row"),  # few rows too
    ],
)
def test_empty_categories_are_always_found(sizes, text):
    assert text in one_finding(sound(sizes=[sizes]))


def test_a_rare_category_with_its_prior_is_not_dead():
    labels = np.repeat([0, 1, 2, 3], [190, 100, 98, 12])
    posterior = np.eye(4)[labels]
    prior = [np.array([0.47, 0.25, 0.25, 0.03])]
    evidence = sound(posterior=posterior, augmented_posterior=posterior, prior=prior)
    assert findings(evidence) == []


def test_few_rows_say_nothing_about_categories_that_hold_a_few():
    assert findings(sound(sizes=[[20, 20, 20, 1]])) != []
    assert findings(sound(sizes=[[6, 7, 6, 1]])) == []


def test_merged_categories():
    labels = np.arange(N) % 4
    arbitrary = np.where(labels == 3, RNG.integers(2, 4, N), labels)
    arbitrary = np.where(labels == 2, RNG.integers(2, 4, N), arbitrary)
    evidence = sound(augmented_posterior=np.eye(4)[arbitrary])
    assert "Categories 2 and 3 are not told apart" in one_finding(evidence)


def test_unheard_category():
    found = sound().drawn.copy()
    evidence = sound(drawn=found)
    lost = found.copy()
    lost[:, :4] = np.eye(4)[np.where(found[:, 1] == 1, 0, found[:, :4].argmax(axis=1))]
    evidence = sound(drawn=found, found=lost)
    assert "generator ignores category 1:" in one_finding(evidence)


def test_unheard_continuous_code():
    found = sound().drawn.copy()
    lost = found.copy()
    lost[:, 5] = 0
    assert "generator ignores continuous1:" in one_finding(sound(drawn=found, found=lost))


def confident(labels, certainty=0.99):
    return np.where(np.eye(4)[labels] == 1, certainty, (1 - certainty) / 3)


def test_categories_of_rows_that_do_not_match_those_of_samples():
    labels = np.arange(N) % 4
    moved = np.where(np.arange(N) % 3 == 0, labels, RNG.integers(0, 4, N))
    posteriors = {"posterior": confident(labels), "augmented_posterior": confident(moved)}
    sentence = one_finding(sound(**posteriors))
    assert "do not match between samples and rows" in sentence
    assert "100% of the samples, but only 0% of its information about rows" in sentence
    assert "Use a consistency phase" in sentence
    assert findings(sound(**posteriors, discriminator_loss=float("nan"))) == []


def test_rows_that_mostly_keep_their_category_match():
    labels = np.arange(N) % 4
    moved = np.where(np.arange(N) % 8, labels, RNG.integers(0, 4, N))
    posteriors = {"posterior": confident(labels), "augmented_posterior": confident(moved)}
    assert findings(sound(**posteriors)) == []


def test_categories_that_samples_do_not_show_either_are_not_called_unmatched():
    labels = np.arange(N) % 4
    moved = np.where(np.arange(N) % 3 == 0, labels, RNG.integers(0, 4, N))
    drawn = sound().drawn
    lost = drawn.copy()
    lost[:, :4] = np.eye(4)[np.where(np.arange(N) % 5, labels, (labels + 1) % 4)]
    posteriors = {"posterior": confident(labels), "augmented_posterior": confident(moved)}
    assert findings(sound(**posteriors, drawn=drawn, found=lost)) == []


def test_samples_all_alike():
    rows = RNG.normal(size=(N, 5))
    evidence = sound(rows=rows, samples=0.1 * rows)
    assert "almost equal" in one_finding(evidence)


def test_saturated_discriminator():
    assert "discriminator is saturated" in one_finding(sound(discriminator_loss=0.01))


def test_without_a_game_the_generator_is_not_judged():
    rows = RNG.normal(size=(N, 5))
    evidence = sound(rows=rows, samples=0 * rows, discriminator_loss=float("nan"))
    assert findings(evidence) == []


def test_several_codes_are_named():
    spec = CodeSpec((2, 2), 0, 1)
    codes = np.tile(np.eye(2), (N // 2, 2))
    drawn = np.c_[codes, np.zeros(N)]
    evidence = sound(
        spec=spec,
        prior=[np.full(2, 0.5)] * 2,
        posterior=np.c_[codes[:, :2], np.tile([1, 0], (N, 1))],
        augmented_posterior=np.c_[codes[:, :2], np.tile([1, 0], (N, 1))],
        drawn=drawn,
        found=drawn,
    )
    assert "Category 1 of code 1 holds no row" in one_finding(evidence)


@pytest.mark.parametrize(("alike", "n_findings"), [(True, 1), (False, 0)])
def test_codes_that_say_the_same_are_found(alike, n_findings):
    spec, base = CodeSpec((4, 4), 0, 0), np.repeat(np.arange(4), N // 4)
    labels = np.column_stack([base, (base + 1) % 4 if alike else np.arange(N) % 4])
    codes = np.hstack([np.eye(4)[column] for column in labels.T])
    found = findings(
        sound(
            spec=spec,
            prior=[np.full(4, 0.25)] * 2,
            posterior=codes,
            augmented_posterior=codes,
            drawn=codes,
            found=codes,
        )
    )

    assert len(found) == n_findings
    assert all("Codes 0 and 1 are much alike: they share 100%" in text for text in found)


X, _ = make_blobs(300, centers=3, random_state=0)


def test_fit_warns_in_the_users_line():
    gan = BInfoGANTransformer(3, mi_weight=0, random_state=0, warmup_iter=50, max_iter=10)
    with pytest.warns(ConvergenceWarning, match="mi_weight=0") as caught:
        gan.fit(X)
    assert caught[0].filename == __file__
    assert all(line in str(caught[0].message) for line in gan.diagnostics_["findings"])


def test_a_sound_fit_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gan = BInfoGANTransformer(3, random_state=0).fit(X)
    assert gan.diagnostics_["findings"] == []


def test_more_categories_than_clusters_are_noticed():
    two = np.repeat([[0.0, 1.0], [1.0, 0.0]], 150, axis=0)
    gan = BInfoGANTransformer(6, random_state=0)
    with pytest.warns(ConvergenceWarning, match="hold no row"):
        gan.fit(two)
