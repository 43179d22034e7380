"""The workflow through --profile slurm on a real Slurm, undisturbed and with what happens to jobs there.

Whatever happened, the volume has the bytes of the undisturbed run. The disturbed runs go on at the same time: most of
their time is waiting for Slurm and for the next look at it.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pytest

from fewphoton.io.metrics import read_table
from tests.slurm.clones import PATIENCE_SECONDS, RECONSTRUCTED, Clone
from tests.slurm.virtual import VirtualSlurm

pytestmark = [pytest.mark.slurm, pytest.mark.workflow, pytest.mark.mpi, pytest.mark.timeout(3 * PATIENCE_SECONDS)]


@pytest.fixture(scope="module")
def finished(cluster, tmp_path_factory) -> Iterator[Clone]:
    """Raw ADU to the table of metrics, as typed in a fresh clone."""
    clone = Clone.fresh(tmp_path_factory.mktemp("clone").resolve() / "fewphoton", cluster)
    try:
        clone.finish(clone.start("results/small/metrics.csv"))
        yield clone
    finally:
        clone.end()


def without_memory(clone: Clone) -> list[float]:
    clone.edit_profile(reconstruct={"mem_mb": "200 if attempt == 1 else 3000"})
    clone.finish(clone.start_reconstruction())
    return []


def disturbed_by(disturb: Callable[[Clone], None], clone: Clone) -> list[float]:
    """Disturb a held reconstruction; snakemake or Slurm starts it again."""
    process = clone.start_reconstruction()
    done = clone.hold_ranks()
    disturb(clone)
    clone.finish(process)
    return done


def interrupted(clone: Clone) -> list[float]:
    process = clone.start_reconstruction()
    done = clone.hold_ranks()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE_SECONDS) != 0
    # Slurm takes a moment to end what snakemake has cancelled.
    clone.wait_until(lambda: [job.state for job in clone.jobs()] == ["CANCELLED"])
    clone.wait_until(lambda: not clone.ranks())
    clone.finish(clone.start_reconstruction())
    return done


def snakemake_killed(clone: Clone) -> list[float]:
    process = clone.start_reconstruction()
    done = clone.hold_ranks()
    process.kill()
    process.wait(timeout=PATIENCE_SECONDS)
    assert [job.state for job in clone.jobs()] == ["RUNNING"]
    clone.cancel_jobs()
    clone.wait_until(lambda: not clone.ranks())
    clone.finish(clone.start_reconstruction("--unlock"))
    clone.finish(clone.start_reconstruction())
    return done


def restart_controller(clone: Clone) -> None:
    clone.cluster.stop_controller()
    # Snakemake has to get no answer at least once.
    clone.wait_until(clone.asks_slurm)
    clone.wait_until(lambda: not clone.asks_slurm())
    clone.cluster.start_controller()
    clone.release_ranks()


DISTURBANCES: dict[str, Callable[[Clone], list[float]]] = {
    "without_memory": without_memory,
    "cancelled": partial(disturbed_by, Clone.cancel_jobs),
    "out_of_time": partial(disturbed_by, Clone.reach_time_limit),
    "interrupted": interrupted,
    "snakemake_killed": snakemake_killed,
    "node_down": partial(disturbed_by, Clone.set_node_down),
    "controller_restarted": partial(disturbed_by, restart_controller),
}
NODES_OF_THEIR_OWN = {"node_down": 3, "controller_restarted": 2}
"""Nodes of the clusters that disturbances have for themselves, which others on them would feel."""


@pytest.fixture(scope="module")
def disturbed(finished, tmp_path_factory) -> Iterator[dict[str, tuple[Clone, Future[list[float]]]]]:
    """Reconstructions, each with its disturbance: seconds of the iterations that were done before it."""
    folder = tmp_path_factory.mktemp("disturbed").resolve()
    with ThreadPoolExecutor(len(DISTURBANCES)) as pool, contextlib.ExitStack() as at_the_end:
        clones = {}
        for name in DISTURBANCES:
            own = NODES_OF_THEIR_OWN.get(name)
            # A short path: those of Slurm's sockets hold 108 bytes.
            cluster = VirtualSlurm.started(tmp_path_factory.mktemp("slurm") / "own", own) if own else finished.cluster
            if own:
                at_the_end.callback(cluster.stop)
            clones[name] = finished.before_reconstruction(folder / name, cluster)
            at_the_end.callback(clones[name].end)
        yield {name: (clones[name], pool.submit(disturb, clones[name])) for name, disturb in DISTURBANCES.items()}


def test_raw_adu_become_metrics_with_emc_on_two_nodes(finished):
    (row,) = read_table(finished.folder / "results/small/metrics.csv")
    assert float(row["frames_oriented_fraction"]) > 0.8
    assert float(row["cc_truth"]) > 0.9
    jobs = finished.jobs()
    assert {job.state for job in jobs} == {"COMPLETED"}
    assert len(jobs) == 6
    assert [len(job.nodes) for job in jobs if job.rule == "reconstruct"] == [2]
    log = finished.folder / "results/small/tiles/logs/reconstruct/collapse.n_frames~2+reconstruct.seed~0.log"
    assert "2 rank(s)" in log.read_text()


@pytest.mark.parametrize(
    ("disturbance", "states"),
    [
        ("without_memory", ["FAILED", "COMPLETED"]),
        ("cancelled", ["CANCELLED", "COMPLETED"]),
        ("out_of_time", ["TIMEOUT", "COMPLETED"]),
        ("interrupted", ["CANCELLED", "COMPLETED"]),
        ("snakemake_killed", ["CANCELLED", "COMPLETED"]),
        ("node_down", ["COMPLETED"]),
        ("controller_restarted", ["COMPLETED"]),
    ],
)
def test_a_disturbed_reconstruction_goes_on_from_its_checkpoint(finished, disturbed, disturbance, states):
    clone, course = disturbed[disturbance]
    done = course.result()
    assert [job.state for job in clone.jobs()] == states
    # Iterations of the first job keep its timings, so those of the second began after them.
    rows = read_table(clone.folder / RECONSTRUCTED / "iterations.csv")
    assert [float(row["seconds_total"]) for row in rows][: len(done)] == pytest.approx(done)
    for name in ("volume.h5", "orientations.h5"):
        ours, undisturbed = clone.folder / RECONSTRUCTED / name, finished.folder / RECONSTRUCTED / name
        assert ours.read_bytes() == undisturbed.read_bytes()


def test_the_second_attempt_has_more_memory(disturbed):
    clone, course = disturbed["without_memory"]
    course.result()
    assert [job.memory for job in clone.jobs()] == ["200M", "3000M"]


def test_a_requeued_job_is_on_the_nodes_that_are_left(disturbed):
    clone, course = disturbed["node_down"]
    course.result()
    (job,) = clone.jobs()
    (down,) = clone.cluster.ask("sinfo", "--noheader", "--Node", "--states=down", "--format=%N").split()
    assert len(job.nodes) == 2
    assert down not in job.nodes
    assert "Restarts=1 " in clone.cluster.ask("scontrol", "show", "job", str(job.number))
