"""Configuration of a run's recoveries from single shots: molecules one by one, and studies of many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from fewphoton.config.dataset import StructureFile
from fewphoton.config.recover_molecule import RecoverMoleculeConfig
from fewphoton.config.recovery_study import RecoveryStudyConfig
from fewphoton.config.score_molecule import ScoreMoleculeConfig
from fewphoton.config.section import Name, Section
from fewphoton.config.simulate_shot import SimulateShotConfig


class ShotOfMoleculeConfig(Section):
    """One shot of one molecule, which several methods recover: each gets the shot and nothing else."""

    structure_file: StructureFile | None = None
    """The molecule is a file of a public data set; simulate_shot then names none."""
    simulate_shot: SimulateShotConfig
    """The shot."""
    methods: dict[Name, RecoverMoleculeConfig] = Field(min_length=1)
    """Methods by the names that figures and tables give them."""
    score: ScoreMoleculeConfig = ScoreMoleculeConfig()
    """How solutions are scored; the spacing of the grid is that of simulate_shot where none is given here."""
    ball_scale: float = Field(default=1.0, gt=0)
    """Factor on the covalent radii in the figure of balls."""
    view_deg: tuple[float, float] | None = None
    """Azimuth about the beam, and elevation, of the eye in that figure. None: the truth at its widest."""

    @model_validator(mode="before")
    @classmethod
    def _fetched_structure_is_the_shots(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("structure_file"), dict):
            return values
        shot = values.get("simulate_shot")
        name = values["structure_file"].get("name")
        if not isinstance(shot, dict) or name is None:
            return values
        if shot.get("structure", name) not in (None, name) or shot.get("random") is not None:
            raise ValueError("give the molecule once: as structure_file, or in simulate_shot")
        return values | {"simulate_shot": shot | {"structure": name}}

    def scores(self) -> ScoreMoleculeConfig:
        """Return how solutions are scored, with the grid that the true atoms sit on."""
        return scored_on_grid(self.score, self.simulate_shot)


class AnkylographyConfig(Section):
    """Atoms of molecules from single shots, by several methods on the same shots."""

    molecules: dict[Name, ShotOfMoleculeConfig] = Field(default_factory=dict)
    """Shots of single molecules by name."""
    studies: dict[Name, RecoveryStudyConfig] = Field(default_factory=dict)
    """Statistics over many recoveries by name."""
    published: Path | None = None
    """Table (CSV) of published results to set beside ours; `fewphoton compare-recoveries --help` tells its columns."""

    @model_validator(mode="after")
    def _something_is_recovered(self) -> AnkylographyConfig:
        if not self.molecules and not self.studies:
            raise ValueError("ankylography needs molecules or studies")
        return self


def scored_on_grid(score: ScoreMoleculeConfig, shot: SimulateShotConfig) -> ScoreMoleculeConfig:
    """Return ``score`` with the spacing of the grid that a shot's atoms sit on, unless it names one itself."""
    if shot.grid is None or score.grid_spacing_angstrom is not None:
        return score
    return score.model_copy(update={"grid_spacing_angstrom": shot.grid.spacing_angstrom})
