"""All papers as one run: what its rules would make holds every figure and table of the catalogue."""

import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from fewphoton.config import RunConfig
from fewphoton.config.load import check_section, load_section
from fewphoton.config.papers import CatalogueConfig, PapersConfig

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config/figures_reduced.yaml"


@pytest.mark.workflow
def test_the_rules_make_every_figure_and_table_of_the_catalogue():
    run = load_section(PapersConfig, CONFIG.read_text(), str(CONFIG))
    papers = load_section(CatalogueConfig, (ROOT / run.catalogue).read_text(), str(run.catalogue)).papers
    command = [sys.executable, "-m", "snakemake", "figures", "--summary", "--configfile", str(CONFIG)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    files = {line.split("\t")[0] for line in told.stdout.splitlines()[1:]}
    assert f"results/{run.run}/papers.html" in files
    for key, paper in run.papers.items():
        content = yaml.safe_load((ROOT / paper.config).read_text())
        scale = content.get("scales", {}).get(paper.scale or content.get("scale"), {})
        folder = f"results/{scale.get('run', content['run'])}"
        for item in papers[key].items:
            for pattern in (*item.figures, *item.tables, *(value.table for value in item.values)):
                assert any(fnmatch(file, f"{folder}/{pattern}") for file in files), f"{key}, {item.label}: {pattern}"


@pytest.mark.parametrize("scale", ["brief", "reduced", "full"])
def test_rows_of_single_particles_stand_in_their_run(scale):
    content = yaml.safe_load((ROOT / "config/paper_xrai.yaml").read_text()) | {"scale": scale}
    particles = check_section(RunConfig, content, "paper_xrai.yaml").single_particles.particles
    papers = load_section(CatalogueConfig, (ROOT / "config/published/papers.yaml").read_text(), "papers.yaml").papers
    rows = [value.row for item in papers["xrai"].items for value in item.values if scale in value.scales]
    assert rows
    for row in rows:
        particle = particles[row["particle"]]
        assert row["method"] in particle.methods
        frames = f"frames~{row['n_frames']}+photons~none"
        assert particle.frame_sets()[frames].n_frames == row["n_frames"]
