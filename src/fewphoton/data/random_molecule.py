"""Random compact molecules of a given composition."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.molecule import Molecule
from fewphoton.errors import DataError

ORGANIC_COMPOSITION = {"C": 4, "H": 9, "N": 1, "O": 3}
"""Threonine, whose proportions random molecules have where only their size is given."""
VOLUME_PER_ATOM_ANGSTROM3 = 8.4
"""Of threonine in its crystal, hydrogens counted."""
_TRIES_PER_ATOM = 1000
_STARTS = 20


def organic_composition(n_atoms: int) -> dict[str, int]:
    """Return ``n_atoms`` in threonine's proportions, rounded by largest remainders.

    Raises
    ------
    DataError
        If there are no atoms.
    """
    if n_atoms < 1:
        raise DataError(f"a molecule needs atoms, found {n_atoms}")
    names = list(ORGANIC_COMPOSITION)
    share = np.array(list(ORGANIC_COMPOSITION.values())) * n_atoms / sum(ORGANIC_COMPOSITION.values())
    count = np.floor(share).astype(int)
    count[np.argsort(count - share, kind="stable")[: n_atoms - count.sum()]] += 1
    return {name: int(number) for name, number in zip(names, count, strict=True) if number}


def random_molecule(
    composition: Mapping[str, int],
    rng: np.random.Generator,
    shortest_distance_angstrom: float = 1.0,
    volume_per_atom_angstrom3: float = VOLUME_PER_ATOM_ANGSTROM3,
) -> Molecule:
    """Return atoms at random places in a ball about the origin, none too near to another.

    Atoms come one after the other, each uniformly at random where there is room (random sequential addition), and
    elements are shared out at random.

    Parameters
    ----------
    composition : mapping of str to int
        Atoms of each element.
    rng : numpy.random.Generator
        Source of the places.
    shortest_distance_angstrom : float
        Smallest distance between the centres of two atoms.
    volume_per_atom_angstrom3 : float
        Volume of the ball, in which all centres lie, for each atom.

    Raises
    ------
    DataError
        If the composition holds no atoms or an unknown element, a length is not positive, or the atoms find no room.
    """
    names = [name for name, count in composition.items() for _ in range(count)]
    if not 0 <= shortest_distance_angstrom < np.inf or not 0 < volume_per_atom_angstrom3 < np.inf:
        raise DataError(
            "a random molecule needs a volume per atom above 0 and no negative distance, found "
            f"{volume_per_atom_angstrom3} angstrom³ and {shortest_distance_angstrom} angstrom"
        )
    radius = (3 * len(names) * volume_per_atom_angstrom3 / (4 * np.pi)) ** (1 / 3)
    for _ in range(_STARTS):
        position = _placed(len(names), radius, shortest_distance_angstrom, rng)
        if position is not None:
            element = tuple(names[number] for number in rng.permutation(len(names)))
            return Molecule(element, position, np.ones(len(names)), np.zeros(len(names)))
    raise DataError(
        f"{len(names)} atoms at least {shortest_distance_angstrom:g} angstrom apart found no room in a ball of "
        f"{radius:.2f} angstrom radius; allow a shorter distance or more volume per atom"
    )


def _placed(n_atoms: int, radius: float, distance: float, rng: np.random.Generator) -> NDArray[np.float64] | None:
    position = np.empty((n_atoms, 3))
    for number in range(n_atoms):
        for _ in range(_TRIES_PER_ATOM):
            direction = rng.standard_normal(3)
            place = radius * rng.random() ** (1 / 3) * direction / np.linalg.norm(direction)
            if (((position[:number] - place) ** 2).sum(axis=1) >= distance**2).all():
                position[number] = place
                break
        else:
            return None
    return position
