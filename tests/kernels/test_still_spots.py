import re

import numpy as np
import pytest
from scipy import stats

from fewphoton.data import Crystal, Panel
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.io.geometry_files import read_geometry
from fewphoton.kernels import still_spots as kernels


def both(name):
    function = getattr(kernels, name)
    return pytest.mark.parametrize("function", [function, function.py_func], ids=["jitted", "plain"])


def excite(function, hkl, ub, wavelength, widths, reach):
    n = len(hkl)
    point, outgoing, error, width = np.empty(n, np.int64), np.empty((n, 3)), np.empty(n), np.empty(n)
    beam = np.array([0.0, 0.0, 1.0])
    found = function(hkl, ub, beam, wavelength, np.asarray(widths), reach, point, outgoing, error, width)
    return point[:found], outgoing[:found], error[:found], width[:found]


@both("excited_points")
def test_excited_points_are_those_near_the_ewald_sphere(function):
    crystal = Crystal((31.0, 37.0, 23.0, 85.0, 95.0, 102.0), "P 1", rotation_about_axis((1, 2, 3), 40.0))
    hkl = crystal.lattice_points(0.4)
    widths, reach, wavelength = (1e-3, 2e-3, 3e-3), 3.0, 1.3
    point, outgoing, error, width = excite(function, hkl, crystal.ub_matrix, wavelength, widths, reach)
    g = hkl @ crystal.ub_matrix.T
    q = np.linalg.norm(g, axis=1)
    wave = g + np.array([0, 0, 1 / wavelength])
    e = np.linalg.norm(wave, axis=1) - 1 / wavelength
    sine = wavelength * q / 2
    s = np.sqrt(widths[0] ** 2 + (widths[1] * q) ** 2 * (1 - sine**2) + (widths[2] * wavelength * q**2 / 2) ** 2)
    expected = np.flatnonzero(np.abs(e) <= reach * s)
    assert 20 < len(expected) < len(hkl) / 2
    np.testing.assert_array_equal(point, expected)
    np.testing.assert_allclose(error, e[expected], atol=1e-14)
    np.testing.assert_allclose(width, s[expected], rtol=1e-12)
    np.testing.assert_allclose(outgoing, (wave / np.linalg.norm(wave, axis=1)[:, None])[expected], atol=1e-14)


def test_a_point_on_the_sphere_leaves_at_the_bragg_angle():
    """Cubic cell of 10 angstrom, 1 angstrom: reflection 200 tilted back by theta = asin(0.1) lies on the sphere."""
    theta = np.arcsin(0.1)
    ub = 0.1 * rotation_about_axis((0, 1, 0), np.rad2deg(theta))
    hkl = np.array([[2, 0, 0], [-2, 0, 0]], dtype=np.int32)
    point, outgoing, error, _ = excite(kernels.excited_points, hkl, ub, 1.0, (1e-6, 0.0, 0.0), 3.0)
    assert point.tolist() == [0]
    assert abs(error[0]) < 1e-15
    np.testing.assert_allclose(outgoing[0], [np.sin(2 * theta), 0, np.cos(2 * theta)], atol=1e-15)


def test_widths_are_those_of_tilted_blocks_and_a_spread_of_wavelengths():
    """Against draws: the mosaic and the bandwidth term are standard deviations of the excitation error."""
    rng = np.random.default_rng(4)
    theta = np.arcsin(0.3)
    ub = 0.1 * rotation_about_axis((0, 1, 0), np.rad2deg(theta))
    hkl = np.array([[6, 0, 0]], dtype=np.int32)
    g = ub @ hkl[0]
    tilt = np.array([rotation_about_axis(axis, 1.0) for axis in np.eye(3)])
    generators = np.array([(t - t.T) / 2 / np.sin(np.deg2rad(1)) for t in tilt])
    blocks = g + np.einsum("ni,ijk,k->nj", 1e-3 * rng.standard_normal((20000, 3)), generators, g)
    drawn = np.linalg.norm(blocks + np.array([0, 0, 1.0]), axis=1) - 1.0
    *_, width = excite(kernels.excited_points, hkl, ub, 1.0, (0.0, 1e-3, 0.0), 1e9)
    assert width[0] == pytest.approx(drawn.std(), rel=0.03)
    wavenumber = 1 / (1 + 1e-3 * rng.standard_normal(20000))
    drawn = np.linalg.norm(g + wavenumber[:, None] * [0, 0, 1.0], axis=1) - wavenumber
    *_, width = excite(kernels.excited_points, hkl, ub, 1.0, (0.0, 0.0, 1e-3), 1e9)
    assert width[0] == pytest.approx(drawn.std(), rel=0.03)


@both("place_spots")
def test_rays_through_pixels_come_back_as_their_indices(function):
    turn = rotation_about_axis((1, 1, 0), 20.0)
    panels = [
        Panel("a", 3, 5, 7, 9, np.array([1e-2, 2e-2, 0.1]), turn @ [0, -1e-3, 0], turn @ [-1e-3, 0, 0]),
        Panel("b", 20, 2, 4, 4, np.array([-3e-2, 2e-2, 0.1]), np.array([1e-3, 0, 0]), np.array([0, -1e-3, 0])),
    ]
    window = np.array([[p.slow_start, p.fast_start, p.n_slow, p.n_fast] for p in panels])
    to_panel = np.linalg.inv(np.stack([np.column_stack([p.slow_step_m, p.fast_step_m, p.corner_m]) for p in panels]))
    centres = np.concatenate([p.pixel_centres_m().reshape(-1, 3) for p in panels])
    rays = centres / np.linalg.norm(centres, axis=1)[:, None]
    rays = np.concatenate([rays, -rays[:3]])  # backwards rays hit nothing
    n = len(rays) * 2
    ray, panel, slow, fast = np.empty(n, np.int64), np.empty(n, np.int32), np.empty(n), np.empty(n)
    found = function(rays, to_panel, window, 0.0, ray, panel, slow, fast)
    assert found == len(centres)
    np.testing.assert_array_equal(ray[:found], np.arange(found))
    np.testing.assert_array_equal(panel[:found], [0] * 63 + [1] * 16)
    expected = np.concatenate(
        [np.argwhere(np.ones((7, 9))) + np.array([3, 5]), np.argwhere(np.ones((4, 4))) + np.array([20, 2])]
    )
    np.testing.assert_allclose(np.column_stack([slow, fast])[:found], expected, atol=1e-9)
    outside = panels[1].corner_m - 2.5 * panels[1].slow_step_m + 1.5 * panels[1].fast_step_m
    assert function(outside[None], to_panel, window, 2.0, ray, panel, slow, fast) == 0
    assert function(outside[None], to_panel, window, 3.0, ray, panel, slow, fast) == 1
    np.testing.assert_allclose([slow[0], fast[0]], [20 - 3.0, 2 + 1.0])


@both("spread_spots")
def test_spots_are_pixel_sums_of_a_gaussian_on_their_panel(function):
    shape = (14, 20)
    window = np.array([[0, 0, 14, 9], [0, 11, 14, 9]])
    masked = np.zeros(shape, bool)
    masked[:, 9:11] = True
    masked[6, 5] = True
    slow, fast = np.array([6.2, 7.4, 0.1]), np.array([4.7, 9.3, 15.0])
    panel = np.array([0, 1, 1], np.int32)
    sigma, radius = 0.9, 6
    n = 3 * (2 * radius + 1) ** 2
    indptr, pixel, share = np.empty(4, np.int64), np.empty(n, np.int64), np.empty(n)
    found = function(slow, fast, panel, window, sigma, radius, masked.ravel(), 20, indptr, pixel, share)
    assert indptr[-1] == found
    edges = [np.arange(size + 1) - 0.5 for size in shape]
    for spot in range(3):
        rows = np.diff(stats.norm.cdf(edges[0], slow[spot], sigma))
        columns = np.diff(stats.norm.cdf(edges[1], fast[spot], sigma))
        expected = np.outer(rows, columns)
        expected[masked] = 0
        expected[:, np.setdiff1d(np.arange(20), window[panel[spot]][1] + np.arange(9))] = 0
        frame = np.zeros(shape)
        part = slice(indptr[spot], indptr[spot + 1])
        np.add.at(frame.reshape(-1), pixel[part], share[part])
        np.testing.assert_allclose(frame, expected, atol=1e-9)
    assert share[: indptr[1]].sum() < 0.9  # the masked pixel hides the middle of the first spot


@both("add_photons")
def test_photons_add_up_to_the_cap(function):
    counts = np.array([1, 60000, 65534, 3], np.uint16)
    function(np.array([0, 1, 2, 0]), np.array([4, 9000, 1, 5]), 65534, counts)
    assert counts.tolist() == [10, 65534, 65534, 3]


@pytest.mark.real_data
def test_spots_fall_where_crystfel_predicted_them(data_dir, tmp_path):
    """Two indexed lysozyme stills: lattice, refined detector shift and places as CrystFEL 0.9.0 printed them."""
    text = (data_dir / "hewl" / "pal_lysozyme_crystfel.stream").read_text()
    geometry_file = tmp_path / "pal.geom"
    geometry_file.write_text(text.split("Begin geometry file -----\n")[1].split("----- End geometry")[0])
    geometry = read_geometry(geometry_file)
    panel = geometry.detector.panels[0]
    for part, n_reflections in zip(text.split("--- Begin crystal")[1:3], (263, 102), strict=True):
        axes = [re.search(rf"{name}star = (\S+) (\S+) (\S+) nm", part).groups() for name in "abc"]
        ub = np.array(axes, dtype=float).T / 10  # inverse nanometres
        shift = np.array(re.search(r"det_shift x = (\S+) y = (\S+) mm", part).groups(), dtype=float) / 1000
        table = part.split("ss/px panel\n")[1].split("End of reflections")[0]
        rows = np.array([line.split()[:9] for line in table.strip().splitlines()], dtype=float)
        assert len(rows) == n_reflections
        hkl = rows[:, :3].astype(np.int32)
        point, outgoing, error, _ = excite(
            kernels.excited_points, hkl, ub, geometry.beam.wavelength_angstrom, (2e-4, 0.0, 0.0), 4.0
        )
        np.testing.assert_array_equal(point, np.arange(len(hkl)))  # all that it measured lie near the sphere
        assert (error > 0).any()
        assert (error < 0).any()
        corner = panel.corner_m + np.append(shift, 0.0)
        to_panel = np.linalg.inv(np.column_stack([panel.slow_step_m, panel.fast_step_m, corner]))[None]
        n = len(hkl)
        ray, number, slow, fast = np.empty(n, np.int64), np.empty(n, np.int32), np.empty(n), np.empty(n)
        window = np.array([[0, 0, panel.n_slow, panel.n_fast]])
        assert kernels.place_spots(outgoing, to_panel, window, 0.0, ray, number, slow, fast) == n
        # CrystFEL counts from the corner of the first pixel and prints one decimal; shifts have three.
        np.testing.assert_allclose(np.column_stack([fast, slow]) + 0.5, rows[:, 7:9], atol=0.06)
