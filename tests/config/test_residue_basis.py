from __future__ import annotations

import pytest
from pydantic import ValidationError

from fewphoton.config.residue_basis import AnnealConfig, ResidueBasisConfig


def test_residues_are_given_once() -> None:
    assert ResidueBasisConfig(sequence=("GLY",)).sequence == ("GLY",)
    for wrong in ({}, {"sequence": ("GLY",), "residues": {"GLY": 1}}):
        with pytest.raises(ValidationError, match="exactly one of sequence and residues"):
            ResidueBasisConfig(**wrong)
    with pytest.raises(ValidationError, match="at least once"):
        ResidueBasisConfig(residues={"GLY": 0})


def test_annealing_must_not_heat() -> None:
    with pytest.raises(ValidationError, match="must not lie above"):
        AnnealConfig(hottest=0.1, coldest=0.2)


def test_near_misses_are_offered() -> None:
    with pytest.raises(ValidationError, match="did you mean 'sequence'"):
        ResidueBasisConfig(sequense=("GLY",))
