"""Peaks, R factors, Patterson map; one table over all points."""


def evaluate_inputs(wildcards):
    """Return volume, frames and orientations of a point, with reference and truth where the dataset has them."""
    dataset, point = wildcards.dataset, AT["evaluate"][wildcards.point]
    folder = f"{RESULTS}/{dataset}/reconstruct/{point.until('reconstruct').folder}"
    files = {
        "volume": f"{folder}/volume.h5",
        "orientations": f"{folder}/orientations.h5",
        "frames": frames_after(CHAIN[-1], dataset, point),
    }
    if dataset in REFERENCED:
        files["reference"] = f"{RESULTS}/{dataset}/assemble/volume.h5"
    if dataset in SOURCES["simulate"]:
        files["truth"] = f"{RESULTS}/{dataset}/simulate/truth.h5"
    return files


rule evaluate:
    input:
        unpack(evaluate_inputs),
    output:
        metrics=f"{RESULTS}/{{dataset}}/evaluate/{{point}}/metrics.json",
        shells=f"{RESULTS}/{{dataset}}/evaluate/{{point}}/shells.csv",
        reflections=f"{RESULTS}/{{dataset}}/evaluate/{{point}}/reflections.mtz",
        patterson=f"{RESULTS}/{{dataset}}/evaluate/{{point}}/patterson.ccp4",
        evaluation=f"{RESULTS}/{{dataset}}/evaluate/{{point}}/evaluation.h5",
    params:
        config=section_of("evaluate"),
        comparisons=lambda wildcards, input: " ".join(
            f"--{role} {input[role]}" for role in ("reference", "truth") if role in input.keys()
        ),
    log:
        f"{RESULTS}/{{dataset}}/logs/evaluate/{{point}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/evaluate/{{point}}.tsv"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    shell:
        "fewphoton evaluate --volume {input.volume} --frames {input.frames} --orientations {input.orientations} "
        "{params.comparisons} --metrics {output.metrics} --shells {output.shells} "
        "--reflections {output.reflections} --patterson {output.patterson} --evaluation {output.evaluation} "
        "--threads {threads} --config-json {params.config:q} 2> {log}"


ALL_POINTS = [(dataset, folder) for dataset in RUN.datasets for folder in AT["evaluate"]]


def table_columns(wildcards):
    """Return what stands before the metrics of each row: dataset and swept values."""
    rows = [
        {"dataset": dataset, **{f"{stage}.{key}": value for stage, key, value in AT["evaluate"][folder].values}}
        for dataset, folder in ALL_POINTS
    ]
    return json.dumps({"columns": rows})


rule collect_metrics:
    input:
        evaluate=[f"{RESULTS}/{dataset}/evaluate/{folder}/metrics.json" for dataset, folder in ALL_POINTS],
        reconstruct=[
            f"{RESULTS}/{dataset}/reconstruct/{POINTS[folder].until('reconstruct').folder}/metrics.json"
            for dataset, folder in ALL_POINTS
        ],
    output:
        table=report(
            f"{RESULTS}/metrics.csv",
            caption="../report/metrics.rst",
            category="0 Summary",
            labels={"table": "all metrics"},
        ),
    params:
        config=table_columns,
    log:
        f"{RESULTS}/logs/collect_metrics.log",
    benchmark:
        f"{RESULTS}/benchmarks/collect_metrics.tsv"
    localrule: True
    shell:
        "fewphoton collect-metrics --metrics {input.evaluate} --more-metrics {input.reconstruct} "
        "--table {output.table} --config-json {params.config:q} 2> {log}"
