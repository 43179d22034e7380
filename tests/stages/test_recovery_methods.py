"""The method that a configuration names gets its section, the seed and the time budget."""

import time

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from fewphoton.config.load import check_section
from fewphoton.config.recover_molecule import RecoverMoleculeConfig
from fewphoton.stages import recovery_methods
from fewphoton.stages.recovery_methods import recover

GRID = {"grid": {"spacing_angstrom": 0.78, "shape": [9, 9, 9]}}
FUNCTIONS = {
    "fewphoton": ("recover_by_tempering", {}),
    "gespar": ("recover_by_gespar", GRID),
    "hybrid_input_output": ("recover_by_hio", GRID),
    "residues": ("recover_by_residues", {"sequence": ["GLY", "ALA"]}),
}


@pytest.mark.parametrize("method", FUNCTIONS)
def test_the_method_is_called_with_its_parameters(method, monkeypatch):
    calls = []

    def called(shot, section, seed, stop, say, *rest, **options):
        threads = {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}
        calls.append((shot, section, seed, stop(), threads, rest, options))
        say("a line")
        return ["a molecule"]

    for name, (function, _) in FUNCTIONS.items():
        monkeypatch.setattr(recovery_methods, function, called if name == method else None)
    config = check_section(RecoverMoleculeConfig, {"method": method, method: FUNCTIONS[method][1], "seed": 7}, "test")
    lines = []
    with threadpool_limits(2, user_api="blas"):
        assert recover("a shot", config, lines.append, threads=3, rank=4) == ["a molecule"]
        assert 2 in {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}
    assert lines == ["a line"]
    ((shot, section, seed, stopped, threads, rest, options),) = calls
    assert (shot, seed, stopped) == ("a shot", 7, False)
    assert section is getattr(config, method)
    assert threads == {1}
    if method == "fewphoton":
        assert rest == (3,)
        assert options["rank"] == 4


def test_the_time_budget_runs_from_the_start(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    asked = []

    def called(shot, section, seed, stop, *rest, **options):
        for now in (100.0, 109.9, 110.0):
            clock[0] = now
            asked.append(stop())
        return []

    monkeypatch.setattr(recovery_methods, "recover_by_tempering", called)
    recover("a shot", RecoverMoleculeConfig(time_budget_s=10), lambda line: None)
    assert asked == [False, False, True]
