import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from fewphoton.errors import ParallelError
from fewphoton.xrai.inference import find_poses
from fewphoton.xrai.processes import Processes, joined_processes
from tests.xrai.particles import CPU, noise_free, small_config, training

NAMES = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "SLURM_NTASKS", "SLURM_PROCID")

PROGRAM = """
import json, torch
from tests.xrai.test_processes import outcome
from fewphoton.xrai.processes import joined_processes
torch.set_num_threads(1)
with joined_processes(False) as processes:
    found = outcome(processes)
    if processes.rank == 0:
        print(json.dumps(found))
"""


def outcome(processes):
    """Train, all frames of a step in one process or half of them in each of two, and find poses."""
    source = noise_free(61)
    config = small_config(schedule={"starts": 2, "start_steps": 3, "steps": 8})
    made = training(config, source, processes)
    list(made.course())
    poses = find_poses(made.model, source, CPU, processes)
    made.content()
    rows = [[row.start, row.step, row.loss, row.misfit, row.held_out_log_likelihood] for row in made.trace]
    return {"size": processes.size, "trace": rows, "quaternion": poses.quaternion.tolist()}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def started(size):
    """Start the program in ``size`` processes, as torchrun does."""
    base = {key: value for key, value in os.environ.items() if key not in NAMES}
    base |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(size)}
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", PROGRAM],
            env=base | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    outputs = [one.communicate(timeout=300) for one in running]
    assert [one.returncode for one in running] == [0] * size, outputs
    return json.loads(outputs[0][0].splitlines()[-1])


def test_two_processes_train_as_one_does():
    alone, together = outcome(Processes()), started(2)
    assert (alone["size"], together["size"]) == (1, 2)
    np.testing.assert_allclose(together["trace"], alone["trace"], rtol=2e-4)
    np.testing.assert_allclose(together["quaternion"], alone["quaternion"], atol=5e-3)


@pytest.fixture
def no_promises(monkeypatch):
    for name in (*NAMES, "SLURM_LOCALID"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_without_promises_there_is_one_process(no_promises):
    no_promises.setenv("SLURM_NTASKS", "4")
    with joined_processes(False) as processes:
        assert processes == Processes(0, 1, 0)


@pytest.mark.parametrize(
    ("given", "match"),
    [({"WORLD_SIZE": "2"}, "rank -1"), ({"WORLD_SIZE": "2", "RANK": "2"}, "rank 2"), ({"WORLD_SIZE": "two"}, "'two'")],
)
def test_contradictions_are_refused(no_promises, given, match):
    for name, value in given.items():
        no_promises.setenv(name, value)
    with pytest.raises(ParallelError, match=match), joined_processes(False):
        pass


@pytest.mark.parametrize("n", [0, 1, 5, 12])
def test_shares_cover_everything_once(n):
    parts = [np.arange(n)[Processes(rank, 3).share(n)] for rank in range(3)]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(n))
    assert np.ptp([len(part) for part in parts]) <= 1
