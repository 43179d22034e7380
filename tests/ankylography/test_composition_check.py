"""Right compositions pass, brighter and dimmer ones are doubted."""

from dataclasses import replace

import numpy as np
import pytest

from fewphoton.ankylography.composition_check import doubt_composition
from tests.ankylography.random_shots import random_shot

NOISE = [{"white_level": 1e-3}, {"white_level": 0.0, "photons_per_shot": 1e4}]


@pytest.mark.parametrize("noise", NOISE, ids=["white", "counted"])
@pytest.mark.parametrize("composition", [{"C": 3, "O": 1}, {"C": 4, "H": 9, "N": 1, "O": 3}], ids=str)
def test_right_compositions_pass(composition, noise):
    for seed in range(25):
        shot, _ = random_shot(composition, seed, **noise)
        assert doubt_composition(shot) is None, seed


@pytest.mark.parametrize("noise", NOISE, ids=["white", "counted"])
def test_missing_and_surplus_atoms_are_doubted(noise):
    shot, _ = random_shot({"C": 6, "H": 6, "O": 2}, 1, **noise)
    assert "see more than all atoms of C1 H6 scatter in phase" in doubt_composition(
        replace(shot, composition={"C": 1, "H": 6})
    )
    assert "times as bright" in doubt_composition(replace(shot, composition={"C": 40, "O": 10}))
    brighter = replace(shot, intensity_electron2=1e4 * shot.intensity_electron2.clip(0))
    assert "in electrons²" in doubt_composition(brighter)
    assert "0 times as bright" in doubt_composition(replace(shot, intensity_electron2=np.zeros(len(shot))))
