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
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
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
        reconstruct=[
            f"{RESULTS}/{dataset}/reconstruct/{POINTS[folder].until('reconstruct').folder}/metrics.json"
            for dataset, folder in ALL_POINTS
        ]
        + [
            f"{RESULTS}/{dataset}/reconstruct/{folder}/metrics.json"
            for dataset, folder in ROTATED_POINTS
        ],
    output:
        table=report(
            f"{RESULTS}/metrics.csv",
            caption="../report/metrics.rst",
            category="0 Summary",
            labels={"table": "all metrics"},
        ),
    log:
        f"{RESULTS}/logs/collect_metrics.log",
    benchmark:
        f"{RESULTS}/benchmarks/collect_metrics.tsv"
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=table_columns,
        by_chance=lambda wildcards, input: (
            f"--shuffled-metrics {input.shuffled}" if input.shuffled else ""
        ),
    shell:
        "fewphoton collect-metrics --metrics {input.evaluate} --more-metrics {input.reconstruct} "
        "{params.by_chance} --table {output.table} --config-json {params.config:q} 2> {log}"
