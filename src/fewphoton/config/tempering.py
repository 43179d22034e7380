"""Parameters of the search by parallel tempering."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fewphoton.config.position_grid import PositionGridConfig
from fewphoton.config.section import Section
from fewphoton.config.simulate import Positive


class TemperingConfig(Section):
    """Parallel tempering with exact relocations, then least squares: the suite's own solver."""

    box_angstrom: tuple[Positive, Positive, Positive] | None = None
    """Edges of the box that holds the molecule, along x, y and z. None: a cube for a compact molecule of the
    composition, too small for long chains."""
    grid: PositionGridConfig | None = None
    """Bind atoms to sites, as in Fig. 2 of the paper; None: positions are continuous."""
    replicas: int = Field(default=15, ge=2, le=512)
    """Copies of the molecule at different temperatures."""
    hottest: Positive = 0.15
    """Highest temperature, in units of the cost for each detector."""
    coldest: Positive = 0.005
    """Lowest temperature."""
    q_max_inv_angstrom: Positive = 0.8
    """Largest q of the search; the final least squares uses all detectors."""
    detectors: int = Field(default=240, ge=10)
    """Detectors of the search at most; more are thinned evenly."""
    model_error: float = Field(default=0.2, ge=0)
    """Error of the model in the search, as a part of the mean intensity (Wilson) at each q. It keeps the strong
    forward scattering from outweighing everything else, and lets sites of a coarse lattice pass for true places."""
    lattice_angstrom: tuple[Positive, Positive, Positive] = (0.45, 0.45, 0.9)
    """Spacings of the lattice on which an atom may go anywhere; intensities vary slowly with depth (z)."""
    local_lattice_angstrom: tuple[Positive, Positive, Positive] = (0.1, 0.1, 0.2)
    """Spacings of the lattice of 7 x 7 x 5 sites around an atom for small moves."""
    local_moves: int = Field(default=3, ge=0)
    """Small moves for each move across the box."""
    group_reach_angstrom: float = Field(default=1.3, ge=0)
    """Hydrogens this near to another atom also move with it, or turn about it, as a rigid group; 0: no such moves. Not
    on a grid."""
    contacts: Literal["uniform", "covalent"] = "uniform"
    """How near two atoms may be: one distance for all (molecules of any kind), or by their covalent radii, with
    hydrogens 1.35 angstrom apart (real molecules)."""
    closest_angstrom: Positive = 0.9
    """That one distance."""
    polish_every: int = Field(default=50, ge=1)
    """Sweeps between attempts to refine the coldest replicas by least squares."""
    polish_replicas: int = Field(default=2, ge=1)
    """Replicas to refine each time."""
    max_sweeps: int = Field(default=20000, ge=1)
    """Sweeps after which a search ends."""
    free_amplitudes: bool = False
    """Fit the amplitude of each atom of the final solutions too; off a grid only."""
    solutions: int = Field(default=5, ge=1)
    """Distinct solutions to keep."""

    @model_validator(mode="after")
    def _temperatures_fall(self) -> TemperingConfig:
        if self.coldest >= self.hottest:
            raise ValueError(f"coldest must be below hottest, found {self.coldest} and {self.hottest}")
        return self

    @model_validator(mode="after")
    def _amplitudes_off_a_grid(self) -> TemperingConfig:
        if self.free_amplitudes and self.grid is not None:
            raise ValueError("free_amplitudes needs positions that are free too; leave out grid")
        return self
