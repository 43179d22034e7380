import numpy as np
import pytest
from scipy import fft

from fewphoton.data import IntensityVolume
from fewphoton.errors import DataError
from fewphoton.particle.measured_intensity import MeasuredIntensity, distance_from_centre, require_room
from tests.particle.test_phasing import particle

N = 24
BOX = 120.0


def volume(shape=(N, N, N), **changes):
    intensity = np.abs(fft.fftshift(fft.fftn(particle(shape)))) ** 2
    return IntensityVolume(changes.get("values", intensity), changes.get("weight", np.ones(shape)), 1)


@pytest.mark.parametrize("n", [8, 9])
def test_distance_is_zero_where_the_zero_frequency_is(n):
    distance = distance_from_centre((n, n, n))
    assert np.argwhere(distance == 0).tolist() == [[n // 2] * 3]
    assert distance[n // 2 + 2, n // 2 - 1, n // 2 + 2] == pytest.approx(3)


def test_limits_of_q_and_weight_take_voxels_away():
    weight = np.full((N, N, N), 2.0)
    weight[:, :, :12], weight[5] = 0.2, 0.0
    measured = MeasuredIntensity.of(volume(weight=weight), 1 / BOX, 2 / BOX, 9 / BOX, 0.5)
    distance = distance_from_centre((N, N, N))
    expected = (weight > 1.0) & (distance >= 2) & (distance <= 9)
    np.testing.assert_array_equal(measured.known, expected)
    assert (measured.values[~measured.known] == 0).all()
    assert (measured.values[measured.known] > 0).all()


def test_what_was_not_measured_may_be_anything():
    values = volume().values.copy()
    weight = np.ones((N, N, N))
    values[0], weight[0] = np.nan, 0.0
    assert np.isfinite(MeasuredIntensity.of(volume(values=values, weight=weight), 1 / BOX).values).all()


def test_measured_shells_are_those_of_which_half_is_known():
    distance = distance_from_centre((N, N, N))
    weight = ((distance > 1.6) & (distance < 8.4)).astype(float)
    measured = MeasuredIntensity.of(volume(weight=weight), 1 / BOX)
    assert measured.measured_q_inv_angstrom() == pytest.approx((2 / BOX, 8 / BOX))


def test_the_first_support_holds_the_particle():
    """Autocorrelation or ball: both hold what scatters, in the middle of the box."""
    truth = particle((N, N, N)) > 0.05
    measured = MeasuredIntensity.of(volume(), 1 / BOX)
    for support in (measured.first_support(), measured.first_support(80.0)):
        assert support[N // 2, N // 2, N // 2]
        assert (support & truth).sum() > 0.97 * truth.sum()
    ball = measured.first_support(80.0)
    assert ball.sum() == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.03)


def test_only_the_part_of_the_autocorrelation_at_the_origin_counts():
    density = particle((N, N, N))
    density[0, 0, 0] = density.max()
    intensity = np.abs(fft.fftshift(fft.fftn(density))) ** 2
    measured = MeasuredIntensity.of(volume(values=intensity), 1 / BOX)
    alone = MeasuredIntensity.of(volume(), 1 / BOX)
    assert measured.first_support().sum() < 1.2 * alone.first_support().sum()


def test_volumes_that_cannot_be_phased_say_what_to_do():
    ones = np.ones((N, N, N))
    small = np.ones((7, 7, 7))
    broken = volume().values.copy()
    broken[3, 4, 5] = np.nan
    for one, message in [
        (IntensityVolume(small, small, 1), "7 voxels an edge is too small"),
        (volume(weight=0 * ones), "no voxel of the volume was measured"),
        (volume(values=0 * ones), "holds no photons"),
        (volume(values=-ones), "holds no photons"),
        (volume(values=broken), r"\[3, 4, 5\] is not finite"),
    ]:
        with pytest.raises(DataError, match=message):
            MeasuredIntensity.of(one, 1 / BOX)
    with pytest.raises(DataError, match="no measured voxel is left"):
        MeasuredIntensity.of(volume(), 1 / BOX, 0.5)
    thin = np.zeros((N, N, N))
    thin[N // 2] = 1
    with pytest.raises(DataError, match="fewer than two shells"):
        MeasuredIntensity.of(volume(weight=thin), 1 / BOX).measured_q_inv_angstrom()


def test_a_box_without_room_is_refused():
    measured = MeasuredIntensity.of(volume(), 1 / BOX)
    with pytest.raises(DataError, match="larger box"):
        measured.first_support(100.0)
    # A particle as large as its box: the autocorrelation wraps round.
    density = np.random.default_rng(0).random((N, N, N))
    flat = MeasuredIntensity.of(volume(values=np.abs(fft.fftshift(fft.fftn(density))) ** 2), 1 / BOX)
    with pytest.raises(DataError, match=r"fills 100 % of the box"):
        flat.first_support()
    support = np.zeros((4, 4, 4), dtype=bool)
    support[:2] = True
    assert require_room(support, BOX) == 2
    support[2, 0, 0] = True
    with pytest.raises(DataError, match="few empty voxels"):
        require_room(support, BOX)
    with pytest.raises(DataError, match="empty"):
        require_room(np.zeros_like(support), BOX)
