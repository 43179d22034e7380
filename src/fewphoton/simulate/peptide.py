"""Small peptides with chosen torsions, and how real ones differ from ideal geometry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.molecule import Molecule
from fewphoton.data.peptide_chain import PeptideChain
from fewphoton.errors import DataError

_RELAXATIONS = 200


def build_peptide(
    sequence: Sequence[str],
    phi_psi_deg: Sequence[tuple[float, float]],
    omega_deg: float = 180.0,
    bond_sigma_angstrom: float = 0.0,
    angle_sigma_angstrom: float = 0.0,
    seed: int = 0,
) -> Molecule:
    """Return a peptide with neutral ends.

    Parameters
    ----------
    sequence : sequence of str
        Three-letter codes from the amine end.
    phi_psi_deg : sequence of pairs
        Torsions phi and psi of each residue. Phi of the first is measured from its first hydrogen, psi of the last
        to its hydroxyl's oxygen. Where a ring holds phi (proline), it keeps the library's.
    omega_deg : float
        Torsion of all peptide bonds.
    bond_sigma_angstrom, angle_sigma_angstrom : float
        Standard deviations of random changes of bond lengths, and of distances between atoms bonded to the same
        third; 0: the library's ideal geometry.
    seed : int
        Seed of those changes.

    Returns
    -------
    Molecule
        Its centroid at the origin.

    Raises
    ------
    DataError
        If there are not as many pairs of torsions as residues, or an amino acid is unknown.
    """
    if len(phi_psi_deg) != len(sequence):
        raise DataError(f"{len(sequence)} residues need as many pairs of phi and psi, found {len(phi_psi_deg)}")
    chain = PeptideChain.build(sequence)
    known = {(torsion.name, torsion.residue) for torsion in chain.torsions}
    angles = {("omega", residue): omega_deg for residue in range(len(sequence) - 1)}
    for residue, (phi, psi) in enumerate(phi_psi_deg):
        if ("phi", residue) in known:
            angles["phi", residue] = phi
        angles["psi", residue] = psi
    place = chain.with_torsions(angles)
    if bond_sigma_angstrom > 0 or angle_sigma_angstrom > 0:
        place = _distorted(chain, place, bond_sigma_angstrom, angle_sigma_angstrom, np.random.default_rng(seed))
    return chain.with_position(place - place.mean(axis=0)).molecule()


def _distorted(
    chain: PeptideChain,
    place: NDArray[np.float64],
    bond_sigma_angstrom: float,
    angle_sigma_angstrom: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Move atoms until changed bond lengths and next-neighbour distances hold, as near as they can together."""
    pair, n_bonds = chain.neighbour_pairs()
    length = np.linalg.norm(place[pair[:, 0]] - place[pair[:, 1]], axis=1)
    sigma = np.repeat([bond_sigma_angstrom, angle_sigma_angstrom], [n_bonds, len(pair) - n_bonds])
    wanted = length + sigma * rng.standard_normal(len(pair))
    # Each atom takes the mean of what its pairs ask for, half of each correction falling to either atom.
    share = np.zeros(len(place))
    np.add.at(share, pair.ravel(), 1.0)
    result = np.array(place)
    for _ in range(_RELAXATIONS):
        vector = result[pair[:, 0]] - result[pair[:, 1]]
        present = np.linalg.norm(vector, axis=1)
        push = (0.5 * (wanted - present) / present)[:, None] * vector
        step = np.zeros_like(result)
        np.add.at(step, pair[:, 0], push)
        np.add.at(step, pair[:, 1], -push)
        result += step / share[:, None]
    return result
