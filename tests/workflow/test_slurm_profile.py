"""What jobs are told by the profile slurm, and by snakemake; no Slurm is needed to plan."""

from __future__ import annotations

import pytest
import yaml
from snakemake.target_jobs import parse_target_jobs_cli_args
from snakemake_interface_executor_plugins.utils import TargetSpec, encode_target_jobs_cli_args

from fewphoton.config import RunConfig, sweep_points
from tests.workflow.test_workflow import ROOT, run, small_run

pytestmark = pytest.mark.workflow
SLURM = ("--profile", str(ROOT / "slurm"))


def planned(folder, tasks: int, *words: str) -> str:
    """Return the command of reconstruct, as it is planned in the root of the project."""
    content = small_run()
    content["stages"]["reconstruct"]["tasks"] = tasks
    content["sweep"] = {"collapse.n_frames": [2]}
    config = folder / "small.yaml"
    config.write_text(yaml.safe_dump(content))
    files = ["--directory", str(folder), "--configfile", str(config)]
    # Without a number of cores a dry run assumes one, and plans one thread.
    plan = run("snakemake", *words, *files, "--cores", "4", "--dry-run", "--printshellcmds").stdout
    (command,) = (line for line in plan.splitlines() if " fewphoton reconstruct " in line)
    return command


@pytest.mark.parametrize(("words", "launcher"), [(SLURM, "srun --mpi=pmi2"), ((), "mpiexec")])
def test_ranks_are_launched_by_the_profile(tmp_path, words, launcher):
    command = planned(tmp_path, 2, *words)
    assert f"{launcher} -n 2 fewphoton reconstruct" in command
    assert "--expect-ranks 2" in command


@pytest.mark.parametrize("words", [SLURM, ()])
def test_one_rank_has_no_launcher_and_all_threads(tmp_path, words):
    command = planned(tmp_path, 1, *words)
    assert "-n 1" not in command
    assert "srun" not in command
    assert "mpiexec" not in command
    assert "--threads 2" in command


def test_points_keep_their_names_on_the_way_to_a_job():
    content = small_run() | {"sweep": {"collapse.n_frames": [2, 4], "reconstruct.seed": [0, 1]}}
    for point in sweep_points(RunConfig.model_validate(content)):
        job = TargetSpec("reconstruct", {"dataset": "tiles", "point": point.folder})
        assert parse_target_jobs_cli_args(encode_target_jobs_cli_args([job])) == [job]


def test_a_large_dataset_is_counted_by_as_many_jobs_as_wanted(tmp_path):
    """A million frames make tens of jobs, not one and not thousands."""
    content = small_run() | {"sweep": {"collapse.n_frames": [2]}, "figures": "summary"}
    content["datasets"]["tiles"]["simulate"]["frames_per_batch"] = 50_000
    content["stages"]["count_photons"]["jobs"] = 24
    config = tmp_path / "large.yaml"
    config.write_text(yaml.safe_dump(content))
    plan = run("snakemake", *SLURM, "--directory", str(tmp_path), "--configfile", str(config), "--dry-run").stdout
    jobs = dict(line.split() for line in plan.split("Job stats:")[1].splitlines()[3:] if len(line.split()) == 2)
    assert (jobs["count_photons_of_a_part"], jobs["join_photons"]) == ("24", "1")
    assert int(jobs["total"]) < 60
