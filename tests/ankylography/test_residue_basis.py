from __future__ import annotations

import numpy as np
import pytest

from fewphoton.ankylography.residue_basis import Moves, TranslationMap, exchanged, random_orientation, residue_frame
from fewphoton.data.peptide_chain import PeptideChain
from fewphoton.kernels.gibbs_turns import SHIFT, TURN

GGA = PeptideChain.build(("GLY", "GLY", "ALA"))


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_map_is_the_misfit_at_every_site(dtype: type, tolerance: float) -> None:
    rng = np.random.default_rng(0)
    n = 60
    q = rng.uniform(-0.6, 0.6, (n, 3)).astype(dtype)
    rest = 5 * (rng.standard_normal(n) + 1j * rng.standard_normal(n))
    residue = 4 * (rng.standard_normal((2, n)) + 1j * rng.standard_normal((2, n)))
    intensity, weight = rng.uniform(0, 80, n), rng.uniform(0.01, 0.02, n)
    axes = (np.linspace(-2, 2, 4), np.linspace(-1, 3, 5), np.linspace(0, 2, 3))
    found = TranslationMap(q, intensity, weight, axes).misfits(rest, residue)
    assert found.dtype == dtype
    expected = np.empty((2, 4, 5, 3))
    for o, i, j, k in np.ndindex(expected.shape):
        site = np.array([axes[0][i], axes[1][j], axes[2][k]])
        wave = rest + residue[o] * np.exp(2j * np.pi * (q.astype(float) @ site))
        expected[o, i, j, k] = (weight * (np.abs(wave) ** 2 - intensity) ** 2).sum()
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * expected.max())


def test_moves_of_a_chain_keep_its_geometry() -> None:
    joined = Moves.joined(GGA)
    assert len(joined) == 8 + 2
    assert len(Moves.joined(GGA, peptide_bonds=True)) == 10 + 2
    assert (joined.bond[8:, 0] == TURN).all()
    np.testing.assert_array_equal(joined.other[:8], ~joined.moving[:8])


def test_moves_of_free_residues_stay_inside_them() -> None:
    free = Moves.free(GGA)
    assert (free.bond[:, 0] == TURN).sum() == (free.bond[:, 0] == SHIFT).sum() == 3
    for bond, moving, other in zip(free.bond, free.moving, free.other, strict=True):
        residues = set(GGA.residue[moving | other].tolist())
        assert len(residues) == 1
        if bond[0] >= 0:
            own = GGA.residue == residues.pop()
            np.testing.assert_array_equal(moving | other, own)
            assert not (moving & other).any()
    # Each residue's phi and psi, the methyl group and the acid's hydrogen.
    assert (free.bond[:, 0] >= 0).sum() == 8


def test_exchange_twice_restores_the_molecule() -> None:
    rng = np.random.default_rng(1)
    place = GGA.position_angstrom @ random_orientation(rng).T
    swapped = exchanged(GGA, place, 0, 2)
    for here, there in ((0, 2), (2, 0)):
        for found, expected in zip(residue_frame(GGA, swapped, here), residue_frame(GGA, place, there), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_array_equal(swapped[GGA.residue == 1], place[GGA.residue == 1])
    np.testing.assert_allclose(exchanged(GGA, swapped, 0, 2), place, atol=1e-12)


def test_random_orientations_are_rotations_without_a_preference() -> None:
    rng = np.random.default_rng(2)
    matrices = np.array([random_orientation(rng) for _ in range(2000)])
    np.testing.assert_allclose(
        matrices @ matrices.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (2000, 3, 3)), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(matrices), 1)
    # The mean is 0 with a standard deviation of 1 / sqrt(3 x 2000) in each element.
    assert np.abs(matrices.mean(axis=0)).max() < 5 / np.sqrt(6000)
