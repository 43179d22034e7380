"""A shot of a known molecule, and what its noise is made of.

White noise is measured by the mean power of the whole surface. Few detectors would miss most of the forward peak that
carries it (100 of them on the sphere at 0.35 angstrom tell a twentieth of the noise), so the power is summed over as
many directions as the molecule's size asks for, whatever the number of detectors.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.ankylography.ewald_sphere import detector_solid_angle_sr, ewald_sphere
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.noise import (
    photons_per_electron2_of_pulse,
    photons_per_electron2_of_shot,
    white_noise_sigma,
    with_noise,
)
from fewphoton.config.simulate_shot import SimulateShotConfig
from fewphoton.data import Molecule, Shot
from fewphoton.errors import DataError, GeometryError

_WIDTH_ANGSTROM = 2.0
_CHUNK = 20_000


@dataclass(frozen=True, eq=False)
class SimulatedShot:
    """A shot with its noise-free intensities.

    Parameters
    ----------
    shot : Shot
        What is measured.
    true_intensity_electron2 : ndarray of float64, `(n,)`
        Noise-free |F|² of the same detectors.
    power_electron4 : float
        Mean square of the noise-free intensities over the whole surface, its hidden part included.
    n_hidden : int
        Detectors behind the beam stop.
    """

    shot: Shot
    true_intensity_electron2: NDArray[np.float64]
    power_electron4: float
    n_hidden: int

    @classmethod
    def of(cls, molecule: Molecule, config: SimulateShotConfig) -> SimulatedShot:
        """Expose a molecule where it stands; its displacements B are not applied.

        Raises
        ------
        DataError
            If an atom is not whole, or an element has no form factor.
        GeometryError
            If the beam stop hides all detectors.
        """
        partial = int((molecule.occupancy != 1).sum())
        if partial:
            raise DataError(
                f"{partial} of {len(molecule)} atoms have an occupancy other than 1, so that the composition is no "
                "count of atoms; leave one conformation in the file"
            )
        q = ewald_sphere(config.wavelength_angstrom, config.n_detectors, config.largest_angle_deg)
        composition = dict(sorted(Counter(molecule.element).items()))
        model = ForwardModel.build(q, tuple(composition), config.atom_model)
        seen = 1 + q[:, 2] * config.wavelength_angstrom <= np.cos(np.deg2rad(config.beam_stop_deg))
        if not seen.any():
            raise GeometryError(f"a beam stop of {config.beam_stop_deg} deg hides all {len(q)} detectors")
        intensity = model.intensity(molecule.position_angstrom, model.kinds(molecule.element))[seen]
        surface = _surface(molecule, config, tuple(composition))
        sigma = white_noise_sigma(surface, config.white_level)
        photons = None
        if config.pulse is not None:
            solid_angle = detector_solid_angle_sr(config.n_detectors, config.largest_angle_deg)
            photons = photons_per_electron2_of_pulse(config.pulse.photons, config.pulse.focus_area_m2, solid_angle)
        elif config.photons_per_shot is not None:
            photons = photons_per_electron2_of_shot(intensity, config.photons_per_shot)
        measured = with_noise(intensity, sigma, photons, np.random.default_rng(config.seed))
        shot = Shot(config.wavelength_angstrom, q[seen], measured, sigma, photons, composition, config.atom_model)
        return cls(shot, intensity, float(np.mean(surface**2)), int((~seen).sum()))

    @property
    def expected_photons(self) -> float | None:
        """Photons that all detectors expect together; None where none are counted."""
        if self.shot.photons_per_electron2 is None:
            return None
        return float(self.shot.photons_per_electron2 * self.true_intensity_electron2.sum())


def _surface(molecule: Molecule, config: SimulateShotConfig, elements: tuple[str, ...]) -> NDArray[np.float64]:
    """Return |F|² of directions that share the whole surface and tell its mean square within a per cent."""
    # |F|⁴ holds no period in q below 1 / (2 extent); atoms have a width of their own.
    extent = molecule.diameter_angstrom + _WIDTH_ANGSTROM
    surface = detector_solid_angle_sr(1, config.largest_angle_deg)
    n_directions = max(config.n_detectors, math.ceil(surface * (2 * extent / config.wavelength_angstrom) ** 2))
    q = ewald_sphere(config.wavelength_angstrom, n_directions, config.largest_angle_deg)
    parts = []
    for start in range(0, n_directions, _CHUNK):
        model = ForwardModel.build(q[start : start + _CHUNK], elements, config.atom_model)
        parts.append(model.intensity(molecule.position_angstrom, model.kinds(molecule.element)))
    return np.concatenate(parts)
