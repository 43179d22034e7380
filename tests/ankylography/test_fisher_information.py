import numpy as np
import pytest
from scipy.linalg import helmert
from scipy.optimize import least_squares

from fewphoton.ankylography.ewald_sphere import ewald_sphere
from fewphoton.ankylography.fisher_information import CramerRaoBound, fisher_information
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.noise import photons_per_electron2_of_shot, white_noise_sigma, with_noise
from fewphoton.ankylography.weighted_misfit import WeightedMisfit
from fewphoton.data import Shot
from fewphoton.errors import DataError
from tests.ankylography.scatterers import OCCUPANCY, POSITION, central_differences, small_model

SMALL = POSITION[:4]
NAMES = ("C", "N", "C", "O")
SHIFTS = np.tile(np.eye(3), (5, 1)).T / np.sqrt(5)


def bound_of(model, kind, position, variance, **options):
    information = fisher_information(model, variance, position, kind, **options)
    return CramerRaoBound.of(information, len(position))


def test_information_is_half_the_hessian_of_the_expected_misfit():
    model, kind = small_model()
    intensity = model.intensity(POSITION, kind, OCCUPANCY)
    variance = 4.0 + intensity / 0.2
    misfit = WeightedMisfit(model, kind, intensity, 1 / variance, amplitudes=True)
    expected = misfit.hessian(POSITION, OCCUPANCY) / 2
    found = fisher_information(model, variance, POSITION, kind, OCCUPANCY, amplitudes=True)
    np.testing.assert_allclose(found, expected, atol=1e-9 * np.abs(expected).max())


def test_information_of_counts_is_the_curvature_of_their_likelihood():
    """The mean of -log p of Poisson counts, up to a constant, has the information as its second derivative."""
    model, kind = small_model()
    scale, truth = 0.3, model.intensity(POSITION, kind)

    def slope(p):
        position = p.reshape(5, 3)
        mean = scale * model.intensity(position, kind)
        return (scale * model.jacobian(position, kind)).T @ (1 - scale * truth / mean)

    expected = central_differences(slope, POSITION.ravel())
    found = fisher_information(model, truth / scale, POSITION, kind)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_two_atoms_by_hand():
    """Two points with I = 2 f² (1 + cos 2 pi q·d), one direction along each axis: ends have half the error of d."""
    q = np.array([[0.3, 0, 0], [0, 0.3, 0], [0, 0, 0.3]])
    model = ForwardModel(q, ("C",), np.full((1, 3), 6.0))
    ends = np.array([[-0.5, -0.5, -0.5], [0.5, 0.5, 0.5]])
    variance = np.array([1.0, 4.0, 16.0])
    bound = bound_of(model, np.zeros(2, int), ends, variance)
    slope = 4 * np.pi * 0.3 * 36 * np.sin(2 * np.pi * 0.3)
    expected = np.sqrt(variance) / slope / 2
    np.testing.assert_allclose(bound.standard_error_angstrom, [expected, expected], rtol=1e-9)
    assert bound.condition == pytest.approx(1.0)
    assert bound.amplitude_standard_error is None


@pytest.mark.parametrize("amplitudes", [False, True])
def test_the_centroid_rests_and_the_rest_is_the_inverse(amplitudes):
    model, kind = small_model(n=200)
    information = fisher_information(model, np.ones(200), POSITION, kind, OCCUPANCY, amplitudes=amplitudes)
    bound = CramerRaoBound.of(information, 5)
    shifts = np.concatenate([SHIFTS, np.zeros((3, 5))], axis=1) if amplitudes else SHIFTS
    assert np.abs(shifts @ bound.covariance).max() < 1e-12 * np.abs(bound.covariance).max()
    expected = np.linalg.pinv(information, rcond=1e-11, hermitian=True)
    np.testing.assert_allclose(bound.covariance, expected, atol=1e-6 * np.abs(expected).max())
    np.testing.assert_allclose(bound.standard_error_angstrom.ravel() ** 2, np.diag(expected)[:15], rtol=1e-5)
    if amplitudes:
        np.testing.assert_allclose(bound.amplitude_standard_error**2, np.diag(expected)[15:], rtol=1e-5)


def test_unknown_amplitudes_cost_certainty():
    model, kind = small_model(n=200)
    known = bound_of(model, kind, POSITION, np.ones(200)).standard_error_angstrom
    free = bound_of(model, kind, POSITION, np.ones(200), amplitudes=True).standard_error_angstrom
    assert (free > known).all()


@pytest.mark.parametrize("noise", ["white", "photons", "both"])
def test_fits_scatter_as_the_bound_says(noise):
    """200 least-squares fits that start at the truth have the bound's covariance within their statistical error."""
    q = ewald_sphere(0.7, 150)
    model = ForwardModel.build(q, ("C", "N", "O"), "sphere")
    kind = model.kinds(NAMES)
    truth = model.intensity(SMALL, kind)
    sigma = 0.0 if noise == "photons" else white_noise_sigma(truth, 1e-4)
    scale = None if noise == "white" else photons_per_electron2_of_shot(truth, 2e5)
    shot = Shot(0.7, q, truth, sigma, scale, {"C": 2, "N": 1, "O": 1})
    variance = shot.variance(truth)
    bound = bound_of(model, kind, SMALL, variance)
    basis = np.kron(helmert(4).T, np.eye(3))
    root = np.sqrt(variance)
    rng = np.random.default_rng(7)
    found = np.empty((200, 12))
    for draw in range(200):
        measured = with_noise(truth, sigma, scale, rng)

        def place(inner):
            return SMALL + (basis @ inner).reshape(4, 3)

        fit = least_squares(
            lambda inner, measured=measured: (model.intensity(place(inner), kind) - measured) / root,
            np.zeros(9),
            jac=lambda inner: model.jacobian(place(inner), kind) @ basis / root[:, None],
            method="lm",
        )
        found[draw] = basis @ fit.x
    variance_ratio = (found**2).mean(axis=0) / np.diag(bound.covariance)
    # A variance from 200 draws has a relative standard error of 0.1.
    assert variance_ratio.min() > 0.6
    assert variance_ratio.max() < 1.4
    inner = found @ basis
    information = np.linalg.inv(basis.T @ bound.covariance @ basis)
    distance2 = np.einsum("di,ij,dj->d", inner, information, inner)
    assert distance2.mean() == pytest.approx(9, abs=4 * np.sqrt(18 / 200))


def test_dark_directions_of_counted_shots_tell_nothing():
    model, kind = small_model()
    variance = model.intensity(POSITION, kind)
    variance[::2] = 0.0
    half = ForwardModel(model.q_inv_angstrom[1::2], model.elements, model.factor[:, 1::2])
    np.testing.assert_allclose(
        fisher_information(model, variance, POSITION, kind),
        fisher_information(half, variance[1::2], POSITION, kind),
        rtol=1e-9,
        atol=1e-9,
    )


def test_what_a_shot_does_not_fix_is_named():
    model, kind = small_model(n=10)
    with pytest.raises(DataError, match="fixes only 10 of 12 parameters"):
        bound_of(model, kind, POSITION, np.ones(10))
    model, kind = small_model(n=60)
    flat = ForwardModel(model.q_inv_angstrom * [1, 1, 0], model.elements, model.factor)
    with pytest.raises(DataError, match="fixes only 8 of 12 parameters"):
        bound_of(flat, kind, POSITION, np.ones(60))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, k: fisher_information(m, np.ones(3), POSITION, k), r"variance: expected shape \(60,\)"),
        (lambda m, k: fisher_information(m, np.zeros(60), POSITION, k), "found 0.0 to 0.0"),
        (lambda m, k: fisher_information(m, -np.ones(60), POSITION, k), "found -1.0 to -1.0"),
        (lambda m, k: fisher_information(m, np.full(60, np.nan), POSITION, k), "found nan to nan"),
        (lambda m, k: CramerRaoBound.of(np.eye(3), 1), r"at least two atoms, found shape \(3, 3\) for 1"),
        (lambda m, k: CramerRaoBound.of(np.eye(14), 5), r"found shape \(14, 14\) for 5"),
    ],
)
def test_impossible_input_is_refused(call, message):
    with pytest.raises(DataError, match=message):
        call(*small_model())
