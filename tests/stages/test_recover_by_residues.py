from __future__ import annotations

from collections import Counter

import pytest
from pydantic import ValidationError

from fewphoton.ankylography.ewald_sphere import ewald_sphere
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.config.recover_molecule import RecoverMoleculeConfig
from fewphoton.data.shot import Shot
from fewphoton.simulate.peptide import build_peptide
from fewphoton.stages.recovery_methods import recover


def test_method_residues_finds_glycine() -> None:
    molecule = build_peptide(("GLY",), [(50, 150)])
    composition = dict(Counter(molecule.element))
    q = ewald_sphere(1.0, 400)
    model = ForwardModel.build(q, tuple(composition), "sphere")
    intensity = model.intensity(molecule.position_angstrom, model.kinds(molecule.element))
    shot = Shot(1.0, q, intensity, 1.0, None, composition)
    section = {"sequence": ["GLY"], "anneal": {"sweeps": 200, "restarts": 10}}
    lines: list[str] = []
    found = recover(shot, RecoverMoleculeConfig(method="residues", residues=section), lines.append)
    assert found[0].reduced_chi2 < 1
    assert found[0].standard_error_angstrom is not None
    assert found[0].standard_error_angstrom.max() < 0.1
    assert "noise floor" in lines[-1]


def test_method_needs_its_section() -> None:
    with pytest.raises(ValidationError, match="needs the section residues"):
        RecoverMoleculeConfig(method="residues")
