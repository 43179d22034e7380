import numpy as np
import pytest
from scipy import optimize

from fewphoton.errors import DataError
from fewphoton.particle.linear_classifier import fit_classifier, out_of_fold_probability
from fewphoton.particle.roc import area_under_curve


def two_classes(n, apart, seed=0, n_features=4):
    rng = np.random.default_rng(seed)
    wanted = rng.random(n) < 0.4
    wanted[:6], wanted[6:12] = True, False
    features = rng.normal(0, 1, (n, n_features))
    features[wanted, 0] += apart
    return features * [1.0, 100.0, 1e-3, 1.0] + 7.0, wanted


def test_the_fit_is_the_minimum_of_the_stated_objective():
    features, wanted = two_classes(60, 1.0)
    found = fit_classifier(features, wanted, ridge=0.7)
    standard = np.clip((features - np.median(features, axis=0)) / features.std(axis=0), -5, 5)

    def objective(x):
        probability = 1 / (1 + np.exp(-(standard @ x[:4] + x[4])))
        likelihood = np.where(wanted, probability, 1 - probability)
        return -np.log(likelihood).sum() + 0.35 * (x[:4] ** 2).sum()

    direct = optimize.minimize(objective, np.zeros(5), method="Nelder-Mead", options={"xatol": 1e-7, "maxiter": 9000})
    np.testing.assert_allclose([*found.weight, found.intercept], direct.x, atol=1e-3)


def test_units_of_a_feature_do_not_matter():
    features, wanted = two_classes(50, 1.0)
    one = fit_classifier(features, wanted).probability(features)
    other = fit_classifier(features * [3, 1e6, 1, 0.1] - 5, wanted).probability(features * [3, 1e6, 1, 0.1] - 5)
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_constant_feature_and_a_separable_class_are_no_fault():
    features, wanted = two_classes(40, 1.0)
    features[:, 1] = 3.0
    features[:, 0] = np.where(wanted, 1.0, -1.0)
    found = fit_classifier(features, wanted)
    assert found.weight[1] == 0.0
    assert np.isfinite(found.weight).all()
    assert ((found.probability(features) > 0.5) == wanted).all()


def test_a_frame_is_scored_by_fits_that_did_not_see_it():
    """Random labels on many features: a fit that saw them ranks them well, others do not."""
    rng = np.random.default_rng(8)
    features, wanted = rng.normal(0, 1, (60, 45)), np.arange(60) % 2 == 0
    seen = area_under_curve(fit_classifier(features, wanted).probability(features), wanted).area
    unseen = out_of_fold_probability(features, wanted, n_folds=5, n_repeats=10, seed=0)
    assert seen > 0.85
    assert 0.25 < area_under_curve(unseen.mean(axis=0), wanted).area < 0.7


def test_folds_repeat_by_seed_and_tell_real_differences():
    features, wanted = two_classes(80, 2.0)
    options = {"n_folds": 5, "n_repeats": 3}
    one = out_of_fold_probability(features, wanted, seed=1, **options)
    np.testing.assert_array_equal(one, out_of_fold_probability(features, wanted, seed=1, **options))
    assert not np.array_equal(one, out_of_fold_probability(features, wanted, seed=2, **options))
    assert np.isfinite(one).all()
    assert area_under_curve(one.mean(axis=0), wanted).area > 0.85


def test_impossible_labels_and_features_are_named():
    features, wanted = two_classes(20, 1.0)
    with pytest.raises(DataError, match="both classes, found 0 of 20"):
        fit_classifier(features, np.zeros(20, dtype=bool))
    with pytest.raises(DataError, match="19 labels"):
        fit_classifier(features, wanted[:19])
    broken = features.copy()
    broken[3, 1] = np.nan
    with pytest.raises(DataError, match="frame 3"):
        fit_classifier(broken, wanted)
    with pytest.raises(DataError, match="30 folds"):
        out_of_fold_probability(features, wanted, n_folds=30, n_repeats=1, seed=0)
