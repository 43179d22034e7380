"""Peaks, R factors, Patterson map; one table over all points."""


rule evaluate:
    input:
        unpack(evaluate_inputs),
    output:
        metrics=f"{RESULTS}/{{dataset}}/evaluate/{{point}}/metrics.json",
        shells=f"{RESULTS}/{{dataset}}/evaluate/{{point}}/shells.csv",
        reflections=f"{RESULTS}/{{dataset}}/evaluate/{{point}}/reflections.mtz",
        patterson=f"{RESULTS}/{{dataset}}/evaluate/{{point}}/patterson.ccp4",
        evaluation=f"{RESULTS}/{{dataset}}/evaluate/{{point}}/evaluation.h5",
    log:
        f"{RESULTS}/{{dataset}}/logs/evaluate/{{point}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/evaluate/{{point}}.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        # The grid of the volume and of what it is compared with, and their half sets.
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        config=section_of("evaluate"),
        comparisons=lambda wildcards, input: " ".join(
            f"--{role} {input[role]}"
            for role in ("orientations", "reference", "truth")
            if role in input.keys()
        ),
    shell:
        "fewphoton evaluate --volume {input.volume} --frames {input.frames} "
        "{params.comparisons} --metrics {output.metrics} --shells {output.shells} "
        "--reflections {output.reflections} --patterson {output.patterson} --evaluation {output.evaluation} "
        "--threads {threads} --config-json {params.config:q} 2> {log}"


use rule evaluate as evaluate_shuffled with:
    input:
        unpack(shuffled_inputs),
    output:
        metrics=f"{RESULTS}/{{dataset}}/evaluate_shuffled/{{point}}/metrics.json",
        shells=f"{RESULTS}/{{dataset}}/evaluate_shuffled/{{point}}/shells.csv",
        reflections=f"{RESULTS}/{{dataset}}/evaluate_shuffled/{{point}}/reflections.mtz",
        patterson=f"{RESULTS}/{{dataset}}/evaluate_shuffled/{{point}}/patterson.ccp4",
        evaluation=f"{RESULTS}/{{dataset}}/evaluate_shuffled/{{point}}/evaluation.h5",
    log:
        f"{RESULTS}/{{dataset}}/logs/evaluate_shuffled/{{point}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/evaluate_shuffled/{{point}}.tsv"
    params:
        config=lambda wildcards: json.dumps(
            SHUFFLED[wildcards.point].section(RUN, "evaluate")
        ),
        comparisons=lambda wildcards, input: " ".join(
            f"--{role} {input[role]}"
            for role in ("reference", "truth")
            if role in input.keys()
        ),


rule score_iterates:
    input:
        trace=f"{RESULTS}/{{dataset}}/reconstruct/{{point}}/trace.h5",
        reference=f"{RESULTS}/{{dataset}}/assemble/volume.h5",
    output:
        iterates=f"{RESULTS}/{{dataset}}/score_iterates/{{point}}/iterates.csv",
        metrics=f"{RESULTS}/{{dataset}}/score_iterates/{{point}}/metrics.json",
    log:
        f"{RESULTS}/{{dataset}}/logs/score_iterates/{{point}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/score_iterates/{{point}}.tsv"
    wildcard_constraints:
        dataset=only(REFERENCED),
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        config=json.dumps({"low_q_fraction": RUN.stages.evaluate.low_q_fraction}),
    shell:
        "fewphoton score-iterates --trace {input.trace} --reference {input.reference} "
        "--iterates {output.iterates} --metrics {output.metrics} --config-json {params.config:q} 2> {log}"


rule evaluate_rotations:
    input:
        unpack(rotated_inputs),
    output:
        metrics=f"{RESULTS}/{{dataset}}/evaluate_rotations/{{point}}/metrics.json",
        shells=f"{RESULTS}/{{dataset}}/evaluate_rotations/{{point}}/shells.csv",
        errors=f"{RESULTS}/{{dataset}}/evaluate_rotations/{{point}}/errors.csv",
    log:
        f"{RESULTS}/{{dataset}}/logs/evaluate_rotations/{{point}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/evaluate_rotations/{{point}}.tsv"
    wildcard_constraints:
        dataset=only(ROTATED),
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        config=RUN.stages.evaluate_rotations.model_dump_json(),
    shell:
        "fewphoton evaluate-rotations --volume {input.volume} --orientations {input.orientations} "
        "--frames {input.frames} --truth {input.truth} --metrics {output.metrics} --shells {output.shells} "
        "--errors {output.errors} --threads {threads} --config-json {params.config:q} 2> {log}"


rule collect_metrics:
    input:
        shuffled=shuffled_metrics(),
        evaluate=[score_of(*point) for point in ALL_POINTS + ROTATED_POINTS],
        reconstruct=of_reconstructions(
            "metrics.json",
            "reconstruct",
            *(
                ["score_iterates"]
                if RECONSTRUCTED == REFERENCED and not ROTATED
                else []
            ),
        ),
        results=provenance_files(),
    output:
        table=report(
            f"{RESULTS}/metrics.csv",
            caption="../report/metrics.rst",
            category="0 Summary",
            labels={"table": "all metrics"},
        ),
        parquet=parquet_beside("metrics"),
    log:
        f"{RESULTS}/logs/collect_metrics.log",
    benchmark:
        f"{RESULTS}/benchmarks/collect_metrics.tsv"
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        parquet=parquet_words,
        config=table_columns,
        by_chance=lambda wildcards, input: (
            f"--shuffled-metrics {input.shuffled}" if input.shuffled else ""
        ),
    shell:
        "fewphoton collect-metrics --metrics {input.evaluate} --more-metrics {input.reconstruct} "
        "{params.by_chance} --results {input.results} --table {output.table} {params.parquet} "
        "--config-json {params.config:q} 2> {log}"


rule tabulate_convergence:
    input:
        table=rules.collect_metrics.output.table,
        iterates=of_reconstructions("iterates.csv", "score_iterates"),
    output:
        convergence=report(
            f"{RESULTS}/convergence.csv",
            caption="../report/convergence_table.rst",
            category="0 Summary",
            labels={"table": "convergence"},
        ),
    log:
        f"{RESULTS}/logs/tabulate_convergence.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    shell:
        "fewphoton tabulate-convergence --table {input.table} --iterates {input.iterates} "
        "--convergence {output.convergence} 2> {log}"


rule compare_published:
    input:
        table=rules.collect_metrics.output.table,
        published=str(RUN.published) if RUN.published else [],
    output:
        comparison=report(
            f"{RESULTS}/published.csv",
            caption="../report/published.rst",
            category="0 Summary",
            labels={"table": "beside published values"},
        ),
    log:
        f"{RESULTS}/logs/compare_published.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    shell:
        "fewphoton compare-published --table {input.table} --published {input.published} "
        "--comparison {output.comparison} 2> {log}"
