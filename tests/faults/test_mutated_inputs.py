"""Damaged files of every kind that a user gives are read well or refused by name: no other error, no crash, no hang.

FEWPHOTON_MUTATIONS tells how many files are damaged (256 by default), FEWPHOTON_SEED which ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.campaign import mutate_and_read, tally
from tests.faults.readers import KINDS, TRAINING, Kind
from tests.faults.sound_files import write_sound_files, write_sound_training

MUTATIONS = int(os.environ.get("FEWPHOTON_MUTATIONS", "256"))
SEED = int(os.environ.get("FEWPHOTON_SEED", "0"))


@pytest.mark.parametrize(
    ("group", "kinds", "write", "n_mutations"),
    [
        ("files", KINDS, write_sound_files, MUTATIONS),
        ("training", TRAINING, write_sound_training, max(16, MUTATIONS // 32)),
    ],
    ids=["files", "training"],
)
@pytest.mark.timeout(24 * 3600)
def test_mutated_files_are_read_or_refused_by_name(
    tmp_path, group: str, kinds: tuple[Kind, ...], write: Callable[[Path], None], n_mutations: int
):
    sound = tmp_path / "sound"
    sound.mkdir()
    write(sound)
    assert {kind.name for kind in kinds} <= {path.name for path in sound.iterdir()}
    trials = mutate_and_read(sound, SEED, n_mutations, group)
    assert sorted(trial.number for trial in trials) == list(range(n_mutations))
    bad = [f"{t.number}: {t.kind} ({t.how}): {t.outcome}\n{t.words}" for t in trials if not t.survived]
    assert not bad, "\n".join(bad)
    # Damage that no reader notices would prove nothing.
    counts = tally(trials)
    assert sum(count["refused"] for count in counts.values()) > 0.4 * n_mutations
