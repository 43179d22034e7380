import pytest

from fewphoton.config.load import check_section
from fewphoton.config.simulate_shot import SimulateShotConfig
from fewphoton.errors import ConfigError

GOOD = {"random": {"n_atoms": 8}, "white_level": 1e-3}


def test_defaults_and_sections():
    config = check_section(SimulateShotConfig, GOOD | {"grid": {"spacing_angstrom": 0.78, "shape": [9, 9, 9]}}, "test")
    assert config.wavelength_angstrom == 0.35
    assert config.grid.shape == (9, 9, 9)
    assert config.random.shortest_distance_angstrom == 1.0
    assert config.orientation_seed is None
    pulsed = check_section(SimulateShotConfig, {"structure": "a.xyz", "pulse": {}}, "test")
    assert pulsed.pulse.photons == 1e12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"structure": "a.xyz"}, "exactly one of structure and random"),
        ({"random": None}, "exactly one of structure and random"),
        ({"random": {}}, "random: give exactly one of n_atoms and composition"),
        ({"random": {"n_atoms": 4, "composition": {"C": 4}}}, "exactly one of n_atoms and composition"),
        ({"random": {"composition": {"C": 0}}}, "composition.C"),
        ({"random": {"n_atoms": 1}}, "random.n_atoms"),
        ({"chains": ["A"]}, "chains go with structure"),
        ({"white_level": 0}, "a shot needs noise"),
        ({"white_level": -1}, "white_level"),
        ({"photons_per_shot": 1e5, "pulse": {}}, "at most one of photons_per_shot and pulse"),
        ({"beam_stop_deg": 30, "largest_angle_deg": 30}, "needs beam_stop_deg < largest_angle_deg"),
        ({"largest_angle_deg": 181}, "largest_angle_deg"),
        ({"wavelength_angstrom": 0}, "wavelength_angstrom"),
        ({"grid": {"spacing_angstrom": 0.5, "shape": [9, 9]}}, "grid.shape"),
        ({"grid": {"spacing_angstrom": 0, "shape": [9, 9, 9]}}, "grid.spacing_angstrom"),
        ({"atom_model": "gauss"}, "atom_model"),
        ({"whte_level": 1}, "did you mean 'white_level'"),
    ],
)
def test_contradictions_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        check_section(SimulateShotConfig, GOOD | changes, "test")
