"""Few-photon snapshots of crystals in random orientations, seen as slices of one intensity volume.

The counterpart of :mod:`fewphoton.simulate.rotation_experiment` for all rotations: a reflection is a Gaussian of finite
width, of which the Ewald sphere cuts a part. (:mod:`fewphoton.simulate.serial_stills` makes bright, dense frames of
sharp spots for peak finding instead.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.simulate_serial import SimulateSerialConfig
from fewphoton.data import Beam, Crystal, IntensityVolume
from fewphoton.data.detector import q_vectors
from fewphoton.data.structure import AtomicStructure
from fewphoton.data.volume import voxels_to_hold
from fewphoton.simulate.crystal_scattering import CrystalScattering
from fewphoton.simulate.snapshots import Snapshots, mean_over_orientations
from fewphoton.simulate.structure_factors import solvent_factor
from fewphoton.simulate.tiled_detector import square_detector


class SerialCrystals:
    """Crystals of one structure, U the identity, before a square detector.

    Parameters
    ----------
    config : SimulateSerialConfig
        Widths, shares, seed.
    structure : AtomicStructure
        Atoms.

    Attributes
    ----------
    scattering : CrystalScattering
        Geometry and expected photons.

    Raises
    ------
    GeometryError
        If the beam stop hides the detector.
    """

    def __init__(self, config: SimulateSerialConfig, structure: AtomicStructure) -> None:
        self._config = config

        def solvent(q_inv_angstrom: NDArray[np.float64]) -> NDArray[np.float64]:
            return solvent_factor(q_inv_angstrom, config.solvent_contrast, config.solvent_b_factor_angstrom2)

        self.scattering = CrystalScattering.scaled(
            config,
            structure,
            square_detector(config.detector),
            Beam(config.wavelength_angstrom, polarization_fraction=config.polarization_fraction),
            Crystal(structure.cell, structure.space_group),
            config.photons_per_frame,
            mean_over_orientations,
            solvent,
        )

    def patterns(self, rotations: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the photons expected of a crystal of scale 1 turned by `(n, 3, 3)`, float32 `(n, n_pixels)`."""
        pattern = self.scattering.bragg(rotations)
        pattern += self.scattering.diffuse.astype(np.float32)
        return pattern

    def snapshots(self) -> Snapshots:
        """Return the frames, not yet drawn."""
        return Snapshots(
            self.patterns,
            self.scattering.background.astype(np.float32),
            self._config.n_frames,
            self._config.crystal_scale_spread,
            self._config.seed,
        )

    def true_volume(self) -> IntensityVolume:
        """Noise-free photons of a crystal of scale 1 on a pixel of response 1, without background, on the hkl grid."""
        parts, per_cell = self.scattering, self._config.truth_voxels_per_cell
        usable = ~parts.detector.masked
        reach = float(np.linalg.norm(q_vectors(parts.detector, parts.beam)[usable], axis=1).max())
        spacing = 1 / (max(parts.crystal.cell[:3]) * per_cell)
        return parts.true_volume(self._config.truth_n_voxels or voxels_to_hold(reach, spacing, 1), per_cell)
