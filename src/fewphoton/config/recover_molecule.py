"""Configuration of recover-molecule: the method, its parameters, and how long it may take."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fewphoton.config.gespar import GesparConfig
from fewphoton.config.hybrid_input_output import HybridInputOutputConfig
from fewphoton.config.residue_basis import ResidueBasisConfig
from fewphoton.config.section import Section
from fewphoton.config.simulate import Positive
from fewphoton.config.tempering import TemperingConfig

RecoveryMethod = Literal["fewphoton", "gespar", "hybrid_input_output", "residues"]


class RecoverMoleculeConfig(Section):
    """Find the atoms of a molecule in one shot."""

    method: RecoveryMethod = "fewphoton"
    """`fewphoton`: parallel tempering with exact relocations, then least squares (recommended); `gespar`: the greedy
    method of the paper; `hybrid_input_output`: the paper's baseline, with or without sparsity; `residues`: peptides of
    known amino acids, by the torsions of their chain."""
    fewphoton: TemperingConfig = TemperingConfig()
    """Parameters of `fewphoton`."""
    gespar: GesparConfig | None = None
    """Parameters of `gespar`, which needs a grid."""
    hybrid_input_output: HybridInputOutputConfig | None = None
    """Parameters of `hybrid_input_output`, which needs a grid."""
    residues: ResidueBasisConfig | None = None
    """Parameters of `residues`, which needs the amino acids."""
    time_budget_s: Positive | None = None
    """Time after which the search ends with the best there is. None: until it explains the shot, or has made all its
    sweeps or restarts."""
    tasks: int = Field(default=1, ge=1)
    """MPI ranks, each with its own search (`fewphoton` only); all end when one explains the shot."""
    seed: int = Field(default=1, ge=0)
    """Seed of all random draws."""

    @model_validator(mode="after")
    def _method_has_its_parameters(self) -> RecoverMoleculeConfig:
        if getattr(self, self.method) is None:
            raise ValueError(f"method {self.method} needs the section {self.method}")
        if self.tasks > 1 and self.method != "fewphoton":
            raise ValueError(f"method {self.method} runs on one rank; only fewphoton shares its searches out")
        return self
