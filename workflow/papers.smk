"""The runs of several papers as one, and a page of every figure and table with ours beside it."""

import json

import yaml

from fewphoton.config.load import check_section
from fewphoton.config.papers import PapersConfig

PAPERS = check_section(PapersConfig, config, "configuration")
PAGE = f"results/{PAPERS.run}"


def run_of(key):
    """Return the configuration of a paper's run, at the scale that is asked for."""
    paper = PAPERS.papers[key]
    with open(paper.config, encoding="utf-8") as file:
        content = yaml.safe_load(file)
    return content if paper.scale is None else content | {"scale": paper.scale}


RUNS = {key: run_of(key) for key in PAPERS.papers}


def folder_of(key):
    """Return the folder of a paper's results; scales may have names of their own."""
    content = RUNS[key]
    chosen = content.get("scales", {}).get(content.get("scale"), {})
    return f"results/{chosen.get('run', content['run'])}"


EVERYTHING = []

# A module's name cannot be computed, so that each paper has its own.
if "emc" in PAPERS.papers:

    module emc:
        snakefile:
            "../Snakefile"
        config:
            RUNS["emc"]

    use rule * from emc as emc_*

    EVERYTHING += rules.emc_all.input


if "separation" in PAPERS.papers:

    module separation:
        snakefile:
            "../Snakefile"
        config:
            RUNS["separation"]

    use rule * from separation as separation_*

    EVERYTHING += rules.separation_all.input


if "ankylography" in PAPERS.papers:

    module ankylography:
        snakefile:
            "../Snakefile"
        config:
            RUNS["ankylography"]

    use rule * from ankylography as ankylography_*

    EVERYTHING += rules.ankylography_all.input


if "xrai" in PAPERS.papers:

    module xrai:
        snakefile:
            "../Snakefile"
        config:
            RUNS["xrai"]

    use rule * from xrai as xrai_*

    EVERYTHING += rules.xrai_all.input


rule compare_papers:
    input:
        catalogue=str(PAPERS.catalogue),
        results=EVERYTHING,
    output:
        page=f"{PAGE}/papers.html",
        table=f"{PAGE}/papers.csv",
    log:
        f"{PAGE}/logs/compare_papers.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    params:
        config=json.dumps(
            {
                "title": PAPERS.title,
                "results": {key: folder_of(key) for key in PAPERS.papers},
                "scales": {
                    key: str(RUNS[key]["scale"])
                    for key in PAPERS.papers
                    if RUNS[key].get("scale")
                },
                "strict": PAPERS.strict,
            }
        ),
    shell:
        "fewphoton compare-papers --catalogue {input.catalogue} --page {output.page} --table {output.table} "
        "--config-json {params.config:q} 2> {log}"


rule figures:
    default_target: True
    input:
        rules.compare_papers.output,
