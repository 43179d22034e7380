"""Small molecules at random."""

from __future__ import annotations

from collections import Counter

import numpy as np

from fewphoton.data import Molecule
from fewphoton.data.random_molecule import random_molecule as random_compact


def random_molecule(
    n_atoms: int, seed: int, elements: str = "CNOHHH", radius_angstrom: float | None = None
) -> Molecule:
    """Atoms of elements drawn at random, at least 1 angstrom apart in a ball."""
    rng = np.random.default_rng(seed)
    composition = Counter(str(name) for name in rng.choice(list(elements), n_atoms))
    reach = 0.95 * n_atoms ** (1 / 3) + 0.6 if radius_angstrom is None else radius_angstrom
    return random_compact(composition, rng, volume_per_atom_angstrom3=4 / 3 * np.pi * reach**3 / n_atoms)


def whole(elements, positions) -> Molecule:
    """Whole atoms without displacement."""
    n = len(elements)
    return Molecule(tuple(str(name) for name in elements), np.asarray(positions, dtype=float), np.ones(n), np.zeros(n))


def changed(molecule: Molecule, seed: int, signs=(1, 1, 1), shift=(0, 0, 0), noise_angstrom: float = 0.0) -> Molecule:
    """The molecule with its atoms in another order, in another form and place, and off by noise."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(molecule))
    moved = molecule.position_angstrom[order] * signs + shift + rng.normal(0, noise_angstrom, (len(molecule), 3))
    return whole(np.array(molecule.element)[order], moved)
