"""Configuration of GESPAR with counts of atoms for each element."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fewphoton.config.position_grid import PositionGridConfig
from fewphoton.config.section import Section


class GesparConfig(Section):
    """Greedy sparse phase retrieval (Mutzafi et al. 2015, doi:10.1038/ncomms8950); defaults follow its Methods."""

    grid: PositionGridConfig
    """Sites for atoms; the same for every element."""
    amplitudes: Literal["free", "positive", "known"] = "free"
    """`free`: any real amplitude of each atom, as in the paper; `positive`: none below 0; `known`: whole atoms."""
    weights: Literal["none", "noise", "wilson"] = "none"
    """Weights of squared misfits. `none`: 1, as in the paper; `noise`: 1 / sigma²; `wilson`: 1 / (sigma² + (kappa B)²)
    with B the mean intensity of as many atoms at random places, so that the forward peak does not outweigh the rest."""
    kappa: float = Field(default=0.2, gt=0)
    """Share of B that counts as uncertainty with `wilson` weights."""
    random_weights: bool = False
    """Multiply weights by 1 or 2 at random, drawn anew for each restart, as the original GESPAR does."""
    n_candidates: int = Field(default=1, ge=1)
    """Sites tried for each addition or removal: those with the largest gradient."""
    n_removals: int | None = Field(default=None, ge=1)
    """Atoms of each element, smallest amplitudes first, whose exchange is tried; None: all."""
    swap_after: Literal["each_addition", "last_addition"] = "each_addition"
    """Whether indices are swapped after every added atom, as the paper's loop reads, or once all atoms are there."""
    share_sites: bool = False
    """Let atoms of different elements sit on one site, as the paper's separate grids for the elements would."""
    steps: Literal["halving", "marquardt"] = "halving"
    """How Gauss-Newton steps are damped: by halving, or by Levenberg and Marquardt's ridge."""
    start: Literal["current", "random"] = "current"
    """Where each fit of amplitudes starts: at the current ones with the new atom at 0, or at normal random numbers."""
    n_steps: int = Field(default=100, ge=1)
    """Largest number of Gauss-Newton steps in a fit."""
    tolerance: float = Field(default=1e-4, gt=0)
    """A fit ends when no amplitude, relative to a whole atom, moves by more."""
    n_restarts: int = Field(default=100, ge=1)
    """Largest number of starts, each from another random first atom."""
    n_solutions: int = Field(default=5, ge=1)
    """Distinct molecules to return, those that explain the shot best."""
