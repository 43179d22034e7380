import pytest

from fewphoton.config.load import check_section
from fewphoton.config.tempering import TemperingConfig
from fewphoton.errors import ConfigError


def test_defaults():
    config = check_section(TemperingConfig, {}, "test")
    assert config.box_angstrom is None
    assert config.grid is None
    assert config.coldest < config.hottest
    assert config.contacts == "uniform"
    assert check_section(TemperingConfig, {"box_angstrom": [4, 5, 6.5]}, "test").box_angstrom == (4, 5, 6.5)
    gridded = check_section(TemperingConfig, {"grid": {"spacing_angstrom": 0.78, "shape": [9, 9, 7]}}, "test")
    assert gridded.grid.shape == (9, 9, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coldest": 0.2, "hottest": 0.1}, "coldest must be below hottest, found 0.2 and 0.1"),
        ({"coldest": 0.1, "hottest": 0.1}, "coldest must be below hottest"),
        ({"coldest": 0}, "coldest"),
        ({"replicas": 1}, "replicas"),
        ({"replicas": 513}, "replicas"),
        ({"box_angstrom": [4, 4]}, "box_angstrom"),
        ({"box_angstrom": [4, 4, 0]}, "box_angstrom"),
        ({"q_max_inv_angstrom": 0}, "q_max_inv_angstrom"),
        ({"detectors": 9}, "detectors"),
        ({"model_error": -0.1}, "model_error"),
        ({"lattice_angstrom": [0.5, 0.5, -1]}, "lattice_angstrom"),
        ({"local_lattice_angstrom": [0.1, 0.1]}, "local_lattice_angstrom"),
        ({"local_moves": -1}, "local_moves"),
        ({"contacts": "ionic"}, "contacts"),
        ({"closest_angstrom": 0}, "closest_angstrom"),
        ({"polish_every": 0}, "polish_every"),
        ({"polish_replicas": 0}, "polish_replicas"),
        ({"max_sweeps": 0}, "max_sweeps"),
        ({"solutions": 0}, "solutions"),
        (
            {"free_amplitudes": True, "grid": {"spacing_angstrom": 0.78, "shape": [9, 9, 7]}},
            "free_amplitudes needs positions that are free too",
        ),
        ({"replica": 5}, "did you mean 'replicas'"),
    ],
)
def test_contradictions_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        check_section(TemperingConfig, changes, "test")
