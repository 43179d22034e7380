"""Configuration of a recovery by residues: a peptide whose amino acids are known, from one shot."""

from __future__ import annotations

from pydantic import Field, model_validator

from fewphoton.config.section import Section
from fewphoton.config.simulate import Positive


class AnnealConfig(Section):
    """The search: Gibbs sampling at falling temperature, many times over."""

    largest_q_inv_angstrom: Positive = 0.7
    """Detectors up to this scattering vector are used; what lies beyond is left to the refinement."""
    largest_detectors: int = Field(default=600, ge=50)
    """Of those, at most so many, evenly taken."""
    model_error: Positive = 0.5
    """Expected relative error of the ideal residues: a detector's weight is 1 / (noise variance + (this x mean
    intensity of randomly placed atoms)²), which keeps the forward peak from outweighing all else."""
    sweeps: int = Field(default=800, ge=2)
    """Temperatures of one annealing; each bond and residue moves once at each on average."""
    hottest: Positive = 0.5
    """First temperature, in units of misfit per detector times detectors."""
    coldest: Positive = 0.02
    """Last temperature."""
    candidates: int = Field(default=24, ge=4, le=360)
    """Angles or shifts that a move chooses from."""
    restarts: int = Field(default=400, ge=1)
    """Annealings at most; the search ends sooner when a solution reaches the noise floor."""

    @model_validator(mode="after")
    def _cools(self) -> AnnealConfig:
        if self.coldest > self.hottest:
            raise ValueError(f"coldest {self.coldest} must not lie above hottest {self.hottest}")
        return self


class RelocationConfig(Section):
    """Moves of one free residue anywhere: its exact misfit at every site of a grid, in many orientations."""

    every_sweeps: int = Field(default=12, ge=1)
    """Sweeps between two relocations."""
    orientations: int = Field(default=12, ge=1)
    """Orientations tried at a time; one of them is the present one."""
    rotation_level: int = Field(default=4, ge=1, le=12)
    """They are drawn from the 600-cell subdivided so many times: neighbours are 75/level degrees apart."""
    spacing_angstrom: Positive = 0.7
    """Distance of the sites."""
    box_angstrom: Positive = 14.0
    """Edge of the cube of sites about the molecule's centroid."""


class ResidueRefinementConfig(Section):
    """The refinement of what the search found, at rising scattering vectors."""

    atoms: bool = True
    """Refine each atom's position after the torsions; False: residues stay rigid but for their torsions."""
    bond_sigma_angstrom: Positive = 0.03
    """Expected deviation of bond lengths from the library."""
    angle_sigma_angstrom: Positive = 0.08
    """Expected deviation of distances between atoms bonded to the same third, which hold the bond angles."""


class ResidueBasisConfig(Section):
    """Recovery of a peptide from residues with known shapes and unknown places, orientations and torsions."""

    sequence: tuple[str, ...] = ()
    """Three-letter codes from the amine end, where the sequence is known."""
    residues: dict[str, int] = Field(default={})
    """How often each amino acid occurs, where only that is known; all sequences are tried then."""
    joined: bool = True
    """Residues are joined by trans peptide bonds throughout; False: each moves alone in the search."""
    anneal: AnnealConfig = AnnealConfig()
    """Search."""
    relocation: RelocationConfig = RelocationConfig()
    """Relocations of residues that are not joined."""
    refinement: ResidueRefinementConfig = ResidueRefinementConfig()
    """Refinement."""
    floor_sigmas: Positive = 3.0
    """The noise floor is reached when reduced chi² lies less than so many standard deviations above its
    expectation."""
    solutions: int = Field(default=5, ge=1)
    """Distinct solutions returned at most."""

    @model_validator(mode="after")
    def _residues_are_given_once(self) -> ResidueBasisConfig:
        if bool(self.sequence) == bool(self.residues):
            raise ValueError("give exactly one of sequence and residues")
        wrong = {name: count for name, count in self.residues.items() if count < 1}
        if wrong:
            raise ValueError(f"each amino acid must occur at least once, found {wrong}")
        return self
