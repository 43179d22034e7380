import h5py
import numpy as np
import pytest

from fewphoton.data import Beam
from fewphoton.io.bins_cache import bins_digest, cache_folder, cached_bins
from fewphoton.separation.azimuthal_bins import azimuthal_bins, normalization
from tests.conftest import flat_detector

DETECTOR, BEAM = flat_detector(), Beam(0.9)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FEWPHOTON_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Builder:
    """Counts how often rings are found."""

    def __init__(self, **options):
        self.options = options
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return azimuthal_bins(DETECTOR, BEAM, 6, **self.options)


def assert_equal(one, other):
    assert one.frame_shape == other.frame_shape
    assert one.unit == other.unit
    for name in ("edges", "radius", "bin_of_pixel"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.normalization is None) == (other.normalization is None)
    if one.normalization is not None:
        np.testing.assert_array_equal(one.normalization, other.normalization)
    assert one.digest() == other.digest()


@pytest.mark.parametrize(
    "options",
    [{}, {"unit": "q_inv_angstrom"}, {"norm": normalization(DETECTOR, BEAM, solid_angle=True, polarization=True)}],
)
def test_rings_from_the_cache_are_the_fresh_ones(cache, options):
    build = Builder(**options)
    fresh = cached_bins("abc", build)
    again = cached_bins("abc", build)
    assert build.calls == 1
    assert_equal(fresh, again)
    assert [path.name for path in cache.iterdir()] == ["azimuthal_bins_abc.h5"]


def damage(path, how):
    if how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("no rings")
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif how == "folder":
        path.unlink()
        path.mkdir()
    else:
        with h5py.File(path, "r+") as file:
            if how == "no radius":
                del file["radius"]
            elif how == "no shape":
                del file.attrs["frame_shape"]
            elif how == "scalar shape":
                file.attrs["frame_shape"] = 3
            elif how == "no digest":
                del file.attrs["digest"]
            elif how == "other shape":
                file.attrs["frame_shape"] = (6, 20)
            elif how == "wrong ring":
                file["bin_of_pixel"][3] = 99
            elif how == "moved ring":
                file["bin_of_pixel"][3] = (file["bin_of_pixel"][3] + 1) % 6
            elif how == "wrong unit":
                file.attrs["unit"] = "furlong"
            elif how == "floats":
                del file["bin_of_pixel"]
                file["bin_of_pixel"] = np.zeros(120)


@pytest.mark.parametrize(
    "how",
    [
        "empty",
        "text",
        "truncated",
        "folder",
        "no radius",
        "no shape",
        "scalar shape",
        "no digest",
        "other shape",
        "wrong ring",
        "moved ring",
        "wrong unit",
        "floats",
    ],
)
def test_a_damaged_file_is_passed_over_and_replaced(cache, how):
    build = Builder()
    fresh = cached_bins("abc", build)
    damage(cache / "azimuthal_bins_abc.h5", how)
    assert_equal(cached_bins("abc", build), fresh)
    assert build.calls == 2
    if how != "folder":
        assert_equal(cached_bins("abc", build), fresh)
        assert build.calls == 2


def test_without_a_place_to_write_rings_are_built_each_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FEWPHOTON_CACHE", str(tmp_path / "file" / "below"))
    build = Builder()
    assert_equal(cached_bins("abc", build), cached_bins("abc", build))
    assert build.calls == 2


def test_the_digest_tells_geometry_mask_beam_and_parameters_apart():
    masked = DETECTOR.masked.copy()
    masked[5] = True
    cases = [
        (DETECTOR, BEAM, (6, "r_m")),
        (DETECTOR, BEAM, (7, "r_m")),
        (DETECTOR, Beam(0.91), (6, "r_m")),
        (DETECTOR, Beam(0.9, polarization_fraction=0.9), (6, "r_m")),
        (DETECTOR.with_mask(masked), BEAM, (6, "r_m")),
        (flat_detector(distance_m=0.0500001), BEAM, (6, "r_m")),
        (flat_detector(pixel_m=1.0000001e-3), BEAM, (6, "r_m")),
    ]
    digests = [bins_digest(*case) for case in cases]
    assert len(set(digests)) == len(cases)
    assert bins_digest(flat_detector(), Beam(0.9), (6, "r_m")) == digests[0]


def test_the_folder_follows_the_environment(tmp_path, monkeypatch, cache):
    assert cache_folder() == cache
    monkeypatch.delenv("FEWPHOTON_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "fewphoton"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "fewphoton"
