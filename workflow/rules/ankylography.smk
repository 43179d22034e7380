"""Molecules from single shots: each by several methods, and studies of many."""


rule fetch_structure:
    output:
        file=f"{RESULTS}/molecules/{{molecule}}/source/{{name}}",
    log:
        f"{RESULTS}/molecules/{{molecule}}/logs/fetch/{{name}}.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=lambda wildcards: fetch_parameters(
            MOLECULES[wildcards.molecule].structure_file
        ),
    shell:
        "fewphoton fetch --file {output.file} --config-json {params.config:q} 2> {log}"


use rule fetch_structure as fetch_study_structure with:
    output:
        file=f"{RESULTS}/studies/{{study}}/source/{{molecule}}/{{name}}",
    log:
        f"{RESULTS}/studies/{{study}}/logs/fetch/{{molecule}}/{{name}}.log",
    params:
        config=lambda wildcards: fetch_parameters(
            STUDIES[wildcards.study].molecules[wildcards.molecule].structure_file
        ),


rule simulate_shot:
    input:
        structure=shown_structure,
    output:
        shot=f"{RESULTS}/molecules/{{molecule}}/shot/shot.h5",
        truth=f"{RESULTS}/molecules/{{molecule}}/shot/truth.h5",
        molecule=f"{RESULTS}/molecules/{{molecule}}/shot/truth.xyz",
        metrics=f"{RESULTS}/molecules/{{molecule}}/shot/metrics.json",
    log:
        f"{RESULTS}/molecules/{{molecule}}/logs/simulate_shot.log",
    benchmark:
        f"{RESULTS}/molecules/{{molecule}}/benchmarks/simulate_shot.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        config=shot_section,
    shell:
        "fewphoton simulate-shot --shot {output.shot} --truth {output.truth} --molecule {output.molecule} "
        "--metrics {output.metrics} --threads {threads} --config-json {params.config:q} 2> {log}"


rule recover_molecule:
    input:
        # The truth stays behind: a method gets the shot alone.
        shot=rules.simulate_shot.output.shot,
    output:
        recovered=f"{RESULTS}/molecules/{{molecule}}/recover/{{method}}/recovered.json",
        molecule=f"{RESULTS}/molecules/{{molecule}}/recover/{{method}}/molecule.xyz",
        model=f"{RESULTS}/molecules/{{molecule}}/recover/{{method}}/molecule.pdb",
        metrics=f"{RESULTS}/molecules/{{molecule}}/recover/{{method}}/metrics.json",
    log:
        f"{RESULTS}/molecules/{{molecule}}/logs/recover/{{method}}.log",
    benchmark:
        f"{RESULTS}/molecules/{{molecule}}/benchmarks/recover/{{method}}.tsv"
    retries: 1
    conda:
        "../../envs/mpi.yaml"
    threads: recovery_threads
    resources:
        mpi=mpi_of(recovery_tasks),
        tasks=recovery_tasks,
        cpus_per_task=cpus_of(recovery_tasks),
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: minutes_of(
            recovery_config(wildcards).time_budget_s, attempt
        ),
    params:
        config=lambda wildcards: recovery_config(wildcards).model_dump_json(),
        # The checkpoint is no output: snakemake would remove it when the job fails, just when it is needed.
        checkpoint=f"{RESULTS}/molecules/{{molecule}}/recover/{{method}}/checkpoint.h5",
        launch=launch,
        ranks=promised_ranks,
    shell:
        "{params.launch} fewphoton recover-molecule --shot {input.shot} --recovered {output.recovered} "
        "--molecule {output.molecule} --model {output.model} --metrics {output.metrics} "
        "--checkpoint {params.checkpoint} "
        "--threads {resources.cpus_per_task} "
        "{params.ranks} --config-json {params.config:q} 2> {log}"


rule score_molecule:
    input:
        truth=rules.simulate_shot.output.truth,
        recovered=rules.recover_molecule.output.recovered,
    output:
        metrics=f"{RESULTS}/molecules/{{molecule}}/score/{{method}}/metrics.json",
        molecule=f"{RESULTS}/molecules/{{molecule}}/score/{{method}}/molecule.xyz",
        solutions=f"{RESULTS}/molecules/{{molecule}}/score/{{method}}/solutions.csv",
    log:
        f"{RESULTS}/molecules/{{molecule}}/logs/score/{{method}}.log",
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        config=lambda wildcards: MOLECULES[wildcards.molecule]
        .scores()
        .model_dump_json(),
    shell:
        "fewphoton score-molecule --truth {input.truth} --recovered {input.recovered} --metrics {output.metrics} "
        "--molecule {output.molecule} --solutions {output.solutions} --threads {threads} "
        "--config-json {params.config:q} 2> {log}"


rule collect_molecules:
    input:
        score=recovery_files("score", "metrics.json"),
        recover=recovery_files("recover", "metrics.json"),
        results=recovery_files("recover", "recovered.json"),
    output:
        table=report(
            f"{RESULTS}/molecules.csv",
            caption="../report/molecules.rst",
            category="0 Summary",
            labels={"table": "recovered molecules"},
        ),
        parquet=parquet_beside("molecules"),
    log:
        f"{RESULTS}/logs/collect_molecules.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        parquet=parquet_words,
        config=molecule_columns,
    shell:
        "fewphoton collect-metrics --metrics {input.score} --more-metrics {input.recover} --results {input.results} "
        "--table {output.table} {params.parquet} --config-json {params.config:q} 2> {log}"


rule draw_balls:
    input:
        truth=rules.simulate_shot.output.truth,
        recovered=recovered_of,
    output:
        figure=report(
            f"{RESULTS}/molecules/{{molecule}}/figures/balls.png",
            caption="../report/molecule_balls.rst",
            category="5 Single shots",
            labels={"of": "{molecule}", "figure": "molecules in space"},
        ),
        table=f"{RESULTS}/molecules/{{molecule}}/figures/balls.csv",
    log:
        f"{RESULTS}/molecules/{{molecule}}/logs/figures/balls.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=molecule_figure("balls"),
    shell:
        "fewphoton draw-molecule --truth {input.truth} --recovered {input.recovered} --figure {output.figure} "
        "--table {output.table} --config-json {params.config:q} 2> {log}"


use rule draw_balls as draw_site_stems with:
    output:
        figure=report(
            f"{RESULTS}/molecules/{{molecule}}/figures/site_stems.png",
            caption="../report/molecule_site_stems.rst",
            category="5 Single shots",
            labels={"of": "{molecule}", "figure": "sites of a grid"},
        ),
        table=f"{RESULTS}/molecules/{{molecule}}/figures/site_stems.csv",
    log:
        f"{RESULTS}/molecules/{{molecule}}/logs/figures/site_stems.log",
    params:
        config=molecule_figure("site_stems"),


rule study_recoveries:
    input:
        structures=lambda wildcards: list(study_structures(wildcards).values()),
    output:
        # Finished recoveries are kept beside it: a batch that is started again goes on.
        table=f"{RESULTS}/studies/{{study}}/batches/{{batch}}.csv",
    log:
        f"{RESULTS}/studies/{{study}}/logs/batches/{{batch}}.log",
    benchmark:
        f"{RESULTS}/studies/{{study}}/benchmarks/batches/{{batch}}.tsv"
    retries: 1
    conda:
        "../../envs/mpi.yaml"
    # Batches are many: one thread each wastes none.
    threads: lambda wildcards: STUDIES[wildcards.study].tasks
    resources:
        mpi=mpi_of(study_tasks),
        tasks=study_tasks,
        cpus_per_task=cpus_of(study_tasks),
        mem_mb=lambda wildcards, attempt: 4000
        * attempt
        * STUDIES[wildcards.study].tasks,
        runtime=lambda wildcards, attempt: minutes_of(
            batch_seconds(STUDIES[wildcards.study]), attempt
        ),
    params:
        config=study_section,
        launch=launch,
        ranks=promised_ranks,
    shell:
        "{params.launch} fewphoton study-recoveries --table {output.table} "
        "--threads {resources.cpus_per_task} "
        "{params.ranks} --config-json {params.config:q} 2> {log}"


rule tabulate_recoveries:
    input:
        batches=study_batches,
    output:
        table=f"{RESULTS}/studies/{{study}}/recoveries.csv",
        cells=report(
            f"{RESULTS}/studies/{{study}}/cells.csv",
            caption="../report/recovery_cells.rst",
            category="5 Single shots",
            labels={"of": "{study}", "figure": "table of cells"},
        ),
    log:
        f"{RESULTS}/studies/{{study}}/logs/tabulate_recoveries.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    shell:
        "fewphoton tabulate-recoveries --batches {input.batches} --table {output.table} --cells {output.cells} "
        "2> {log}"


rule draw_error_curves:
    input:
        scores=rules.tabulate_recoveries.output.table,
    output:
        figure=report(
            f"{RESULTS}/studies/{{study}}/figures/{{figure}}.png",
            caption="../report/molecule_error_curves.rst",
            category="5 Single shots",
            labels={"of": "{study}", "figure": "{figure}"},
        ),
        table=f"{RESULTS}/studies/{{study}}/figures/{{figure}}.csv",
    log:
        f"{RESULTS}/studies/{{study}}/logs/figures/{{figure}}.log",
    wildcard_constraints:
        figure=drawn_as("error_curves"),
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=curves_of_study,
    shell:
        "fewphoton draw-molecule --scores {input.scores} --figure {output.figure} --table {output.table} "
        "--config-json {params.config:q} 2> {log}"


use rule draw_error_curves as draw_precision with:
    output:
        figure=report(
            f"{RESULTS}/studies/{{study}}/figures/{{figure}}.png",
            caption="../report/molecule_precision.rst",
            category="5 Single shots",
            labels={"of": "{study}", "figure": "{figure}"},
        ),
        table=f"{RESULTS}/studies/{{study}}/figures/{{figure}}.csv",
    wildcard_constraints:
        figure=drawn_as("precision"),


use rule draw_error_curves as draw_time_to_solution with:
    output:
        figure=report(
            f"{RESULTS}/studies/{{study}}/figures/{{figure}}.png",
            caption="../report/molecule_time_to_solution.rst",
            category="5 Single shots",
            labels={"of": "{study}", "figure": "{figure}"},
        ),
        table=f"{RESULTS}/studies/{{study}}/figures/{{figure}}.csv",
    wildcard_constraints:
        figure=drawn_as("time_to_solution"),


rule compare_recoveries:
    input:
        published=str(PUBLISHED_RECOVERIES) if PUBLISHED_RECOVERIES else [],
        molecules=rules.collect_molecules.output.table if MOLECULES else [],
        studies=[f"{RESULTS}/studies/{name}/recoveries.csv" for name in STUDIES],
    output:
        comparison=report(
            f"{RESULTS}/published_recoveries.csv",
            caption="../report/published_recoveries.rst",
            category="0 Summary",
            labels={"table": "single shots beside published results"},
        ),
    log:
        f"{RESULTS}/logs/compare_recoveries.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        molecules=lambda wildcards, input: (
            f"--molecules {input.molecules}" if input.molecules else ""
        ),
        studies=lambda wildcards, input: (
            f"--studies {input.studies}" if input.studies else ""
        ),
        config=json.dumps({"studies": list(STUDIES)}),
    shell:
        "fewphoton compare-recoveries --published {input.published} {params.molecules} {params.studies} "
        "--comparison {output.comparison} --config-json {params.config:q} 2> {log}"
