"""Configuration of simulate-shot: one diffraction pattern of one molecule on the Ewald sphere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from fewphoton.config.position_grid import PositionGridConfig
from fewphoton.config.section import Section
from fewphoton.config.simulate import Positive
from fewphoton.config.simulate_particles import PulseConfig


class RandomMoleculeConfig(Section):
    """Atoms at random places in a ball."""

    n_atoms: int | None = Field(default=None, ge=2)
    """Atoms, in the proportions of threonine (C4 H9 N O3)."""
    composition: dict[str, Annotated[int, Field(ge=1)]] | None = None
    """In its place: atoms of each element."""
    shortest_distance_angstrom: float = Field(default=1.0, ge=0)
    """Smallest distance between the centres of two atoms."""
    volume_per_atom_angstrom3: Positive = 8.4
    """Volume of the ball for each atom (default: threonine's in its crystal)."""
    seed: int = Field(default=1, ge=0)
    """Seed of the places."""

    @model_validator(mode="after")
    def _size_is_given_once(self) -> RandomMoleculeConfig:
        if (self.n_atoms is None) == (self.composition is None):
            raise ValueError("give exactly one of n_atoms and composition")
        return self


class SimulateShotConfig(Section):
    """One shot of a molecule whose atoms are at rest."""

    structure: Path | None = None
    """XYZ, PDB or mmCIF file of the molecule; waters are left out."""
    chains: tuple[str, ...] = ()
    """Chains of the file that make the molecule; none: all."""
    random: RandomMoleculeConfig | None = None
    """In place of a structure: a random molecule."""
    orientation_seed: int | None = Field(default=None, ge=0)
    """Seed of an orientation drawn uniformly from all rotations; None: as in the file."""
    grid: PositionGridConfig | None = None
    """Move the atoms to sites of a grid, no two to the same, with the smallest sum of squared shifts. The middle of
    the molecule's bounding box lies in the middle of the grid. None: atoms stay where they are."""
    wavelength_angstrom: Positive = 0.35
    """Wavelength."""
    n_detectors: int = Field(default=4000, ge=1)
    """Detectors that share the surface evenly, those behind the beam stop included."""
    largest_angle_deg: float = Field(default=180.0, gt=0, le=180)
    """Scattering angle at the outer edge of the surface; 180 is the whole sphere."""
    beam_stop_deg: float = Field(default=0.0, ge=0)
    """Detectors at smaller scattering angles are hidden."""
    atom_model: Literal["sphere", "free_atom"] = "sphere"
    """Uniform spheres of covalent radius, or the form factors of free atoms."""
    white_level: float = Field(default=0.0, ge=0)
    """Level N of white noise: its variance is N times the mean square of the noise-free intensity on the whole
    surface, its part behind the beam stop included."""
    photons_per_shot: Positive | None = None
    """Count photons; so many are expected on the detectors that are not hidden. None: no counting noise."""
    pulse: PulseConfig | None = None
    """In its place: fluence, from which photons follow by Thomson scattering (polarization left out)."""
    seed: int = Field(default=1, ge=0)
    """Seed of the noise."""

    @model_validator(mode="after")
    def _choices_fit(self) -> SimulateShotConfig:
        if (self.structure is None) == (self.random is None):
            raise ValueError("give exactly one of structure and random")
        if self.random is not None and self.chains:
            raise ValueError("chains go with structure")
        if self.beam_stop_deg >= self.largest_angle_deg:
            raise ValueError("needs beam_stop_deg < largest_angle_deg")
        if self.photons_per_shot is not None and self.pulse is not None:
            raise ValueError("give at most one of photons_per_shot and pulse")
        if self.white_level == 0 and self.photons_per_shot is None and self.pulse is None:
            raise ValueError("a shot needs noise: give white_level, photons_per_shot or pulse")
        return self
