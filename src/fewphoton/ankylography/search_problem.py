"""What a search for atoms works on: chosen detectors, weights, lattices, the box and the contacts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.misfit_weights import wilson_intensity
from fewphoton.config.tempering import TemperingConfig
from fewphoton.data.form_factors import covalent_radius_angstrom
from fewphoton.data.shot import Shot
from fewphoton.errors import ConfigError, DataError
from fewphoton.kernels.insertion_cost import fill_plane_tables

_LOCAL_SITES = (7, 7, 5)
# What an atom of threonine takes in its crystal. A larger box costs time: more sites, and replicas freeze later.
_VOLUME_ANGSTROM3 = 8.4
_HYDROGENS_APART_ANGSTROM = 1.35
# Bonds are hardly ever shorter than this part of the sum of covalent radii.
_SHORTEST_BOND = 0.85
_BELOW_SPACING = 0.99


@dataclass(frozen=True, eq=False)
class Lattice:
    """Sites for one atom, around the middle of the box or around the atom.

    ``along_x`` and its like are waves relative to the middle, float32 `(n_sites, 2, n)`; ``cosines`` and
    ``sines`` are the tables of half a plane, float32 `(2 n, (n_x n_y + 1) // 2)`; ``step`` are the spacings in Å.
    """

    along_x: NDArray[np.float32]
    along_y: NDArray[np.float32]
    along_z: NDArray[np.float32]
    cosines: NDArray[np.float32]
    sines: NDArray[np.float32]
    step: NDArray[np.float64]
    centred: bool

    @classmethod
    def build(
        cls, q: NDArray[np.float64], step: tuple[float, ...], shape: tuple[int, ...], *, centred: bool
    ) -> Lattice:
        """Return a lattice of ``shape`` sites with spacings ``step`` for scattering vectors ``q`` `(n, 3)`."""
        waves = []
        for axis in range(3):
            place = step[axis] * (np.arange(shape[axis]) - (shape[axis] - 1) / 2)
            phase = 2 * np.pi * np.multiply.outer(place, q[:, axis])
            waves.append(np.stack([np.cos(phase), np.sin(phase)], axis=1).astype(np.float32))
        half = (2 * len(q), (shape[0] * shape[1] + 1) // 2)
        cosines, sines = np.empty(half, dtype=np.float32), np.empty(half, dtype=np.float32)
        fill_plane_tables(waves[0], waves[1], cosines, sines)
        return cls(waves[0], waves[1], waves[2], cosines, sines, np.array(step, dtype=np.float64), centred)

    @property
    def n_sites(self) -> int:
        """Sites."""
        return len(self.along_x) * len(self.along_y) * len(self.along_z)


@dataclass(frozen=True, eq=False)
class SearchProblem:
    """Everything that sweeps over atoms need.

    Parameters
    ----------
    model : ForwardModel
        The chosen directions.
    kind : ndarray of int64, `(n_atoms,)`
        Elements by stoichiometry.
    measured, weight : ndarray of float64, `(n,)`
        Intensities and weights.
    lattice : Lattice
        Sites across the box.
    local : Lattice or None
        Sites around an atom; None where atoms are bound to a grid.
    half_box : ndarray of float64, `(3,)`
        Half edges of the box about 0, in angstrom.
    closest : ndarray of float64, `(n_elements, n_elements)`
        Smallest distances in angstrom.
    follows : ndarray of bool, `(n_elements, n_elements)`
        Whether atoms of the second element move with one of the first in a group.
    """

    model: ForwardModel
    kind: NDArray[np.int64]
    measured: NDArray[np.float64]
    weight: NDArray[np.float64]
    lattice: Lattice
    local: Lattice | None
    half_box: NDArray[np.float64]
    closest: NDArray[np.float64]
    follows: NDArray[np.bool_]

    @classmethod
    def build(
        cls,
        shot: Shot,
        whole: ForwardModel,
        config: TemperingConfig,
        q_max_inv_angstrom: float,
        n_detectors: int,
        model_error: float,
    ) -> SearchProblem:
        """Choose at most ``n_detectors`` detectors up to ``q_max_inv_angstrom`` and prepare weights and lattices.

        Raises
        ------
        ConfigError
            If the box or the grid cannot hold the atoms.
        DataError
            If too few detectors lie within the range of q.
        """
        chosen = chosen_detectors(shot, q_max_inv_angstrom, n_detectors)
        model = whole.at(chosen)
        weight = search_weights(shot, whole, model_error)[chosen]
        counts = list(shot.composition.values())
        kind = np.repeat(np.arange(len(counts)), counts)
        q = model.q_inv_angstrom
        closest = closest_distances(model.elements, config)
        local = None
        step: tuple[float, ...]
        shape: tuple[int, ...]
        if config.grid is not None:
            step, shape = (config.grid.spacing_angstrom,) * 3, config.grid.shape
            half_box = config.grid.spacing_angstrom * (np.array(shape) - 1) / 2 + 1e-6
            n_sites = int(np.prod(shape))
            if n_sites < shot.n_atoms:
                raise ConfigError(f"a grid of {n_sites} sites cannot hold {shot.n_atoms} atoms")
        else:
            half_box = np.array(config.box_angstrom or (compact_edge_angstrom(shot.n_atoms),) * 3) / 2
            step = config.lattice_angstrom
            # One site more than fills the box, as the lattice is shifted to pass through an atom.
            shape = tuple(int(2 * np.ceil(half / h)) + 2 for half, h in zip(half_box, step, strict=True))
            local = Lattice.build(q, config.local_lattice_angstrom, _LOCAL_SITES, centred=True)
            apart = float(closest.min())
            # Spheres never fill more than 74 % of space.
            if shot.n_atoms * apart**3 > 1.41 * np.prod(2 * half_box + apart):
                raise ConfigError(
                    f"a box of {' x '.join(f'{2 * half:.2f}' for half in half_box)} angstrom cannot hold "
                    f"{shot.n_atoms} atoms {apart:.2f} angstrom apart; enlarge box_angstrom"
                )
        return cls(
            model,
            kind,
            np.asarray(shot.intensity_electron2)[chosen],
            weight,
            Lattice.build(q, step, shape, centred=False),
            local,
            half_box,
            closest,
            np.logical_and.outer(np.array(model.elements) != "H", np.array(model.elements) == "H"),
        )


def compact_edge_angstrom(n_atoms: int) -> float:
    """Return the edge of a cube about the ball that so many atoms of a compact molecule fill."""
    return float(2 * (3 * _VOLUME_ANGSTROM3 * n_atoms / (4 * np.pi)) ** (1 / 3))


def chosen_detectors(shot: Shot, q_max_inv_angstrom: float, n_detectors: int) -> NDArray[np.int64]:
    """Return at most ``n_detectors`` detectors with q up to ``q_max_inv_angstrom``, spread evenly.

    Raises
    ------
    DataError
        If there are fewer detectors than unknown coordinates.
    """
    length = np.linalg.norm(shot.q_inv_angstrom, axis=1)
    within = np.flatnonzero(length <= q_max_inv_angstrom)
    unknowns = max(1, 3 * shot.n_atoms - 3)
    if len(within) < unknowns:
        raise DataError(
            f"{len(within)} detectors lie below q = {q_max_inv_angstrom:g} 1/angstrom, fewer than the {unknowns} "
            f"coordinates of {shot.n_atoms} atoms; measure more finely, or raise the search's q_max_inv_angstrom"
        )
    order = within[np.argsort(length[within], kind="stable")]
    if len(order) > n_detectors:
        order = order[np.linspace(0, len(order) - 1, n_detectors).round().astype(np.int64)]
    return order


def search_weights(shot: Shot, model: ForwardModel, model_error: float) -> NDArray[np.float64]:
    """Return 1 / (noise variance + (model error x Wilson's mean)²), `(n,)`."""
    mean = wilson_intensity(shot, model)
    variance = shot.variance(mean) + (model_error * mean) ** 2
    # Without noise and model error nothing sets a scale; a billionth of the strongest mean intensity does.
    return np.asarray(1 / np.maximum(variance, (1e-9 * mean.max()) ** 2))


def closest_distances(elements: tuple[str, ...], config: TemperingConfig) -> NDArray[np.float64]:
    """Return the smallest allowed distance of each pair of elements, `(n_elements, n_elements)`, in angstrom.

    On a grid neighbouring sites are always allowed: atoms that were moved to sites may have come nearer than any bond.
    """
    if config.contacts == "uniform":
        distance = np.full((len(elements),) * 2, config.closest_angstrom)
    else:
        radius = np.array([covalent_radius_angstrom(name) for name in elements])
        distance = _SHORTEST_BOND * np.add.outer(radius, radius)
        hydrogen = np.array(elements) == "H"
        distance[np.logical_and.outer(hydrogen, hydrogen)] = _HYDROGENS_APART_ANGSTROM
    if config.grid is not None:
        distance = np.minimum(distance, _BELOW_SPACING * config.grid.spacing_angstrom)
    return np.asarray(distance)
