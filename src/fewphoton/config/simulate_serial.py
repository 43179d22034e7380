"""Configuration of simulate-serial: sparse snapshots of crystals of known cell in random orientations."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from fewphoton.config.simulate import CrystalScatteringConfig, Positive, SquareDetector


class SimulateSerialConfig(CrystalScatteringConfig):
    """Few-photon snapshots of small crystals in orientations drawn uniformly from all rotations, at low resolution.

    The setting of Lan et al. 2017, J. Appl. Cryst. 50, 985-993: the cell is known, no frame can be indexed.
    """

    structure: Path | None = None
    """PDB, mmCIF or CIF file with cell, space group and atoms; None where the dataset names a structure_file."""
    wavelength_angstrom: Positive = 1.0
    """Wavelength."""
    polarization_fraction: float = Field(default=0.99, ge=0, le=1)
    """Part of the beam polarized along x."""
    detector: SquareDetector = SquareDetector(pixels=100, pixel_size_m=1e-3, distance_m=0.5, beam_stop_radius_m=5e-3)
    """Pixels (of a binned detector), distance, beam stop; by default its edges lie at 10 angstrom."""
    n_frames: int = Field(default=4000, ge=1)
    """Frames."""
    photons_per_frame: Positive = 250.0
    """Mean photons in a frame, background included."""
    diffuse_fraction: float = Field(default=0.15, ge=0, lt=1)
    """Share of the photons in smooth diffuse scattering of the crystal (all atoms, uncorrelated displacements)."""
    background_fraction: float = Field(default=0.15, ge=0, lt=1)
    """Share of the photons in a flat background, which neither turns with the crystal nor varies with its size."""
    size_broadening_inv_angstrom: Positive = 1.3e-3
    """Standard deviation of the reflections, the same at all q: how near to the Ewald sphere a reflection must be."""
    mosaicity_deg: float = Field(default=0.1, ge=0)
    """Tangential standard deviation of the reflections, growing with q."""
    bandwidth: float = Field(default=0.0005, ge=0)
    """Relative standard deviation of the wavelength: radial streaks growing with q."""
    b_factor_angstrom2: float = Field(default=0.0, ge=0)
    """Isotropic displacement added to that of the structure."""
    solvent_contrast: float = Field(default=0.75, ge=0, le=1)
    """Solvent between molecules, by Babinet's principle: F of the atoms is multiplied by 1 - this exp(-B s²)."""
    solvent_b_factor_angstrom2: Positive = 200.0
    """B of the solvent's fall with s = q / 2."""
    crystal_scale_spread: float = Field(default=0.0, ge=0, le=3)
    """Standard deviation of the logarithm of the crystals' scattering powers (log-normal, mean 1)."""
    truth_voxels_per_cell: int = Field(default=5, ge=1)
    """Voxels per reciprocal cell edge of the true volume."""
    truth_n_voxels: int | None = Field(default=None, ge=8)
    """Voxels along an edge of the true volume. None: as many as the detector reaches."""
    seed: int = Field(default=1, ge=0)
    """Seed of all random draws."""
    chunk_frames: int = Field(default=256, ge=1)
    """Frames made at a time; every frame has its own random stream, so it does not change the result."""
