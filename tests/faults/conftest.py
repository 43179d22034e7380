"""The chain of stages, run once for all that disturb it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.faults.chain import STAGES


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> tuple[Path, dict[str, float]]:
    """All stages run to their ends in a plain folder, and the seconds that each took."""
    folder = tmp_path_factory.mktemp("undisturbed")
    seconds = {}
    for command in STAGES:
        began = time.perf_counter()
        command.run(folder)
        seconds[command.stage] = time.perf_counter() - began
    return folder, seconds
