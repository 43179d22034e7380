import pytest

from fewphoton.config.load import check_section
from fewphoton.config.recover_molecule import RecoverMoleculeConfig
from fewphoton.errors import ConfigError

GRID = {"grid": {"spacing_angstrom": 0.78, "shape": [9, 9, 9]}}


def test_defaults():
    config = check_section(RecoverMoleculeConfig, {}, "test")
    assert config.method == "fewphoton"
    assert config.tasks == 1
    assert config.time_budget_s is None
    assert check_section(RecoverMoleculeConfig, {"tasks": 4, "time_budget_s": 60}, "test").time_budget_s == 60


@pytest.mark.parametrize("method", ["gespar", "hybrid_input_output"])
def test_methods_of_a_grid_need_their_section(method):
    assert getattr(check_section(RecoverMoleculeConfig, {"method": method, method: GRID}, "test"), method) is not None
    with pytest.raises(ConfigError, match=f"method {method} needs the section {method}"):
        check_section(RecoverMoleculeConfig, {"method": method}, "test")
    with pytest.raises(ConfigError, match=f"method {method} runs on one rank"):
        check_section(RecoverMoleculeConfig, {"method": method, method: GRID, "tasks": 2}, "test")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "charge_flipping"}, "method"),
        ({"tasks": 0}, "tasks"),
        ({"seed": -1}, "seed"),
        ({"time_budget_s": 0}, "time_budget_s"),
        ({"fewphoton": {"replicas": 1}}, "fewphoton.replicas"),
        ({"fewphoton": {"coldest": 1.0}}, "fewphoton: coldest must be below hottest"),
        ({"fewphotons": {}}, "did you mean 'fewphoton'"),
    ],
)
def test_contradictions_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        check_section(RecoverMoleculeConfig, changes, "test")
