"""The command line: every stage explains itself, mistakes are named, and help is light."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from fewphoton.cli import main
from fewphoton.stages import STAGES

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_stage_offers_its_contract_and_help(stage, capsys):
    module = importlib.import_module(stage.module)
    with pytest.raises(SystemExit) as done:
        main([stage.name, "--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    for holder in (module.Inputs, module.Outputs):
        for name in holder.__dataclass_fields__:
            assert f"--{name.replace('_', '-')}" in text
    for name, field in module.Config.model_fields.items():
        assert name in text
        assert field.description, f"{stage.name}: {name} has no description"
    assert callable(module.run)


def test_help_lists_the_stages(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(stage.name in text for stage in STAGES)
    assert main([]) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "n_frame=3"], "did you mean 'n_frames'?"),
        (["--set", "n_frames"], "expected KEY=VALUE"),
        (["--set", "n_frames=0"], "greater than or equal to 1"),
        (["--config-json", "[1]"], "expected keys and values"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--set", "n_frames=2", "--threads", "0"], "--threads"),
    ],
)
def test_mistakes_are_named(words, message, tmp_path, capsys):
    files = ["--frames", "a.h5", "--collapsed", str(tmp_path / "b.h5"), "--metrics", str(tmp_path / "c.json")]
    assert main(["collapse", *files, *words]) == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_check_config_and_schema(capsys, tmp_path):
    assert main(["check-config", str(ROOT / "config" / "config.yaml")]) == 0
    assert "'demo'" in capsys.readouterr().out
    assert main(["schema"]) == 0
    assert '"RunConfig"' in capsys.readouterr().out
    (tmp_path / "bad.yaml").write_text("run: x\ndatasets: {a: {}}\n")
    assert main(["check-config", str(tmp_path / "bad.yaml")]) == 1
    assert "simulate_particles and simulate_serial; found" in capsys.readouterr().err


def test_a_reader_that_has_enough_is_no_mistake():
    program = f"{sys.executable} -m fewphoton schema | head -n 1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {program}"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


@pytest.mark.parametrize("words", [["--help"], ["check-config", "config/config.yaml"]])
def test_help_and_validation_load_no_numerics(words):
    program = (
        "import sys\nfrom fewphoton.cli import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'numba', 'torch', 'mpi4py', 'matplotlib', 'h5py', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
