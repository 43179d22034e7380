import numpy as np
import pytest

from fewphoton.data import FrameTable, PhotonFrames
from fewphoton.emc.assemble import assemble
from fewphoton.errors import DataError


def test_known_angles_give_the_true_volume(experiment, photons, rows):
    volume, (even, odd) = assemble([photons], rows, experiment.crystal, experiment.rotation_axis, 320)
    truth = experiment.true_volume(volume.n, volume.voxels_per_cell)
    hkl = experiment.crystal.lattice_points(0.45)
    place = tuple(np.rint(volume.voxel_of(hkl)).astype(int).T)
    seen = volume.weight[place] > 0
    assert np.corrcoef(volume.values[place][seen], truth.values[place][seen])[0, 1] > 0.85
    np.testing.assert_allclose(even.weight + odd.weight, volume.weight, atol=1e-9)


def test_chunks_do_not_matter(experiment, photons, rows):
    parts = [photons.take(slice(0, 100)), photons.take(slice(100, 400))]
    whole, _ = assemble([photons], rows, experiment.crystal, experiment.rotation_axis, 160)
    pieces, _ = assemble(parts, rows, experiment.crystal, experiment.rotation_axis, 160)
    np.testing.assert_allclose(pieces.values, whole.values, atol=1e-12)


def test_unknown_angles_and_nothing_are_errors(experiment, photons, rows):
    blind = PhotonFrames(
        photons.indptr, photons.pixel, photons.count, photons.n_pixels, FrameTable.unknown(photons.n_frames)
    )
    with pytest.raises(DataError, match="no recorded angle"):
        assemble([blind], rows, experiment.crystal, experiment.rotation_axis, 160)
    with pytest.raises(DataError, match="no frames"):
        assemble([], rows, experiment.crystal, experiment.rotation_axis, 160)
