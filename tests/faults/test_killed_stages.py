"""Stages that are killed at random instants leave whole files or none, and end with the same bytes when started again.

FEWPHOTON_KILLS tells how often each stage is killed (1 by default; more than that, and further stages are killed too).
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.faults.chain import CHAIN, KILLS, LONG_CHAIN, Command

STAGES = CHAIN if KILLS == 1 else LONG_CHAIN


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[Path, dict[str, float]]:
    """All stages run to their ends, and the seconds that each took."""
    folder = tmp_path_factory.mktemp("undisturbed")
    seconds = {}
    for command in STAGES:
        began = time.perf_counter()
        command.run(folder)
        seconds[command.stage] = time.perf_counter() - began
    return folder, seconds


@pytest.fixture(scope="module")
def ends(request) -> Iterator[Counter[int]]:
    """How processes ended that were to be killed; some end well before."""
    counts: Counter[int] = Counter()
    yield counts
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{counts[-signal.SIGKILL]} of {counts.total()} processes were killed before their ends")


@pytest.mark.parametrize("number", range(KILLS))
@pytest.mark.parametrize("command", STAGES, ids=lambda command: command.stage)
def test_a_killed_stage_ends_with_the_same_bytes(undisturbed, ends, tmp_path, command: Command, number):
    source, seconds = undisturbed
    expected = command.written(source)
    assert set(expected) == set(command.outputs.values())
    for name in command.inputs.values():
        (tmp_path / name).symlink_to(source / name)
    instant = seconds[command.stage] * np.random.default_rng([number, len(command.stage)]).uniform(0.3, 1.0)
    process = subprocess.Popen(command.words(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(instant)
    process.kill()
    ends[process.wait()] += 1
    for name, content in command.written(tmp_path).items():
        assert content == expected[name], f"{name} is half written"
    command.run(tmp_path)
    assert command.written(tmp_path) == expected
    allowed = {*command.inputs.values(), *command.outputs.values(), command.checkpoint}
    assert {path.name for path in tmp_path.iterdir() if ".part" not in path.name} <= allowed
