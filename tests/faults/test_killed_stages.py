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

from tests.faults.chain import KILLS, STAGES, Command


@pytest.fixture(scope="module")
def kills(request) -> Iterator[Counter[str]]:
    """How many processes were killed, and how many had ended before."""
    counts: Counter[str] = Counter()
    yield counts
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{counts['killed']} processes were killed; {counts['early']} that ended before were started again")


@pytest.mark.parametrize("number", range(KILLS))
@pytest.mark.parametrize("command", STAGES, ids=lambda command: command.stage)
def test_a_killed_stage_ends_with_the_same_bytes(undisturbed, kills, tmp_path, command: Command, number):
    source, seconds = undisturbed
    expected = command.written(source)
    assert set(expected) == set(command.outputs.values())
    rng = np.random.default_rng([number, len(command.stage)])
    folder = killed(command, source, tmp_path, seconds, rng, kills)
    for name, content in command.written(folder).items():
        assert content == expected[name], f"{name} is half written"
    command.run(folder)
    assert command.written(folder) == expected
    allowed = {*command.inputs.values(), *command.outputs.values(), command.checkpoint}
    assert {path.name for path in folder.iterdir() if ".part" not in path.name} <= allowed


def killed(
    command: Command,
    source: Path,
    place: Path,
    seconds: dict[str, float],
    rng: np.random.Generator,
    kills: Counter[str],
) -> Path:
    """Return a folder in which a stage was killed at a random instant; where it ends before, it is started anew."""
    while True:
        folder = place / f"attempt{len(list(place.iterdir()))}"
        folder.mkdir()
        for name in command.inputs.values():
            (folder / name).symlink_to(source / name)
        began = time.monotonic()
        process = subprocess.Popen(command.words(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(seconds[command.stage] * rng.uniform(0.3, 1.0))
        except subprocess.TimeoutExpired:
            process.kill()
        if process.wait() == -signal.SIGKILL:
            kills["killed"] += 1
            return folder
        assert process.returncode == 0
        kills["early"] += 1
        # The machine is less busy than it was.
        seconds[command.stage] = time.monotonic() - began
