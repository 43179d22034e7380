"""All papers as one run: what its rules would make holds every figure and table of the catalogue."""

import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from fewphoton.config.load import load_section
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
    for key in run.papers:
        folder = f"results/paper_{key}"
        for item in papers[key].items:
            for pattern in (*item.figures, *item.tables, *(value.table for value in item.values)):
                assert any(fnmatch(file, f"{folder}/{pattern}") for file in files), f"{key}, {item.label}: {pattern}"
