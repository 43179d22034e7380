"""Figures of the report. They read result files only."""


rule draw_frames:
    input:
        unpack(point_inputs(frames=("frames", ""))),
    output:
        report(
            f"{RESULTS}/{{dataset}}/figures/{{point}}/frames.png",
            caption="../report/frames.rst",
            category="1 Frames",
            labels={
                "dataset": "{dataset}",
                "point": "{point}",
                "figure": "successive frames",
            },
        ),
    log:
        f"{RESULTS}/{{dataset}}/logs/figures/{{point}}/frames.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=figure("frames"),
    shell:
        "fewphoton draw-figure --frames {input.frames} --figure {output} --config-json {params.config:q} 2> {log}"


rule draw_powder:
    input:
        frames=lambda wildcards: source_frames(
            wildcards.dataset, next(iter(POINTS.values()))
        ),
        crystal=lambda wildcards: crystal_of(wildcards.dataset),
    output:
        report(
            f"{RESULTS}/{{dataset}}/figures/powder.png",
            caption="../report/powder.rst",
            category="1 Frames",
            labels={
                "dataset": "{dataset}",
                "point": "all",
                "figure": "angle-averaged pattern",
            },
        ),
    log:
        f"{RESULTS}/{{dataset}}/logs/figures/powder.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=figure("powder"),
    shell:
        "fewphoton draw-figure --frames {input.frames} --crystal {input.crystal} --figure {output} "
        "--config-json {params.config:q} 2> {log}"


rule draw_orientations:
    input:
        unpack(point_inputs(evaluation=("evaluate", "evaluation.h5"))),
    output:
        report(
            f"{RESULTS}/{{dataset}}/figures/{{point}}/orientations.png",
            caption="../report/orientations.rst",
            category="2 Reconstruction",
            labels={
                "dataset": "{dataset}",
                "point": "{point}",
                "figure": "recovered orientations",
            },
        ),
    log:
        f"{RESULTS}/{{dataset}}/logs/figures/{{point}}/orientations.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=figure("orientations"),
    shell:
        "fewphoton draw-figure --evaluation {input.evaluation} --figure {output} "
        "--config-json {params.config:q} 2> {log}"


rule draw_volume_slices:
    input:
        unpack(point_inputs(volume=("reconstruct", "volume.h5"))),
        reference=lambda wildcards: (
            f"{RESULTS}/{wildcards.dataset}/assemble/volume.h5"
            if wildcards.dataset in REFERENCED
            else []
        ),
    output:
        report(
            f"{RESULTS}/{{dataset}}/figures/{{point}}/volume_slices.png",
            caption="../report/volume_slices.rst",
            category="2 Reconstruction",
            labels={
                "dataset": "{dataset}",
                "point": "{point}",
                "figure": "intensity volume",
            },
        ),
    log:
        f"{RESULTS}/{{dataset}}/logs/figures/{{point}}/volume_slices.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=figure("volume_slices"),
        reference=reference_argument,
    shell:
        "fewphoton draw-figure --volume {input.volume} {params.reference} --figure {output} "
        "--config-json {params.config:q} 2> {log}"


rule draw_convergence:
    input:
        iterations=grid_files("reconstruct", "iterations.csv"),
        metrics=grid_files("reconstruct", "metrics.json"),
    output:
        report(
            f"{RESULTS}/{{dataset}}/figures/{{grid}}/convergence.png",
            caption="../report/convergence.rst",
            category="2 Reconstruction",
            labels={
                "dataset": "{dataset}",
                "point": "{grid}",
                "figure": "convergence",
            },
        ),
    log:
        f"{RESULTS}/{{dataset}}/logs/figures/{{grid}}/convergence.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=labelled("convergence", "reconstruct"),
    shell:
        "fewphoton draw-figure --iterations {input.iterations} --metrics {input.metrics} --figure {output} "
        "--config-json {params.config:q} 2> {log}"


rule draw_bragg_diffuse:
    input:
        shells=grid_files("evaluate", "shells.csv"),
    output:
        report(
            f"{RESULTS}/{{dataset}}/figures/{{grid}}/bragg_diffuse.png",
            caption="../report/bragg_diffuse.rst",
            category="3 Evaluation",
            labels={
                "dataset": "{dataset}",
                "point": "{grid}",
                "figure": "Bragg to diffuse ratio",
            },
        ),
    log:
        f"{RESULTS}/{{dataset}}/logs/figures/{{grid}}/bragg_diffuse.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=labelled("bragg_diffuse", "evaluate"),
    shell:
        "fewphoton draw-figure --shells {input.shells} --figure {output} --config-json {params.config:q} 2> {log}"


rule draw_r_factor:
    input:
        shells=grid_files("evaluate", "shells.csv"),
    output:
        report(
            f"{RESULTS}/{{dataset}}/figures/{{grid}}/r_factor.png",
            caption="../report/r_factor.rst",
            category="3 Evaluation",
            labels={
                "dataset": "{dataset}",
                "point": "{grid}",
                "figure": "R(high-low)",
            },
        ),
    log:
        f"{RESULTS}/{{dataset}}/logs/figures/{{grid}}/r_factor.log",
    wildcard_constraints:
        dataset=only(REFERENCED),
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=labelled("r_factor", "evaluate"),
    shell:
        "fewphoton draw-figure --shells {input.shells} --figure {output} --config-json {params.config:q} 2> {log}"


rule draw_patterson:
    input:
        unpack(
            point_inputs(
                evaluation=("evaluate", "evaluation.h5"),
                metrics=("evaluate", "metrics.json"),
            )
        ),
    output:
        report(
            f"{RESULTS}/{{dataset}}/figures/{{point}}/patterson.png",
            caption="../report/patterson.rst",
            category="3 Evaluation",
            labels={
                "dataset": "{dataset}",
                "point": "{point}",
                "figure": "Patterson map",
            },
        ),
    log:
        f"{RESULTS}/{{dataset}}/logs/figures/{{point}}/patterson.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=figure("patterson"),
    shell:
        "fewphoton draw-figure --evaluation {input.evaluation} --metrics {input.metrics} --figure {output} "
        "--config-json {params.config:q} 2> {log}"


use rule draw_patterson as draw_reflections with:
    output:
        report(
            f"{RESULTS}/{{dataset}}/figures/{{point}}/reflections.png",
            caption="../report/reflections.rst",
            category="3 Evaluation",
            labels={
                "dataset": "{dataset}",
                "point": "{point}",
                "figure": "intensities",
            },
        ),
    log:
        f"{RESULTS}/{{dataset}}/logs/figures/{{point}}/reflections.log",
    params:
        config=figure("reflections"),


rule draw_sweep:
    input:
        table=rules.collect_metrics.output.table,
    output:
        report(
            f"{RESULTS}/figures/sweep.png",
            caption="../report/sweep.rst",
            category="0 Summary",
            labels={"dataset": "all", "point": "all", "figure": "sweep"},
        ),
    log:
        f"{RESULTS}/logs/figures/sweep.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=sweep_figure(),
    shell:
        "fewphoton draw-figure --table {input.table} --figure {output} --config-json {params.config:q} 2> {log}"


rule draw_convergence_study:
    input:
        table=rules.tabulate_convergence.output.convergence,
    output:
        report(
            f"{RESULTS}/figures/convergence_study.png",
            caption="../report/convergence_study.rst",
            category="0 Summary",
            labels={"dataset": "all", "point": "all", "figure": "convergence study"},
        ),
    log:
        f"{RESULTS}/logs/figures/convergence_study.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=study_figure(),
    shell:
        "fewphoton draw-figure --table {input.table} --figure {output} --config-json {params.config:q} 2> {log}"


rule draw_rotations:
    input:
        shells=f"{RESULTS}/{{dataset}}/evaluate_rotations/{{point}}/shells.csv",
        errors=f"{RESULTS}/{{dataset}}/evaluate_rotations/{{point}}/errors.csv",
        metrics=f"{RESULTS}/{{dataset}}/evaluate_rotations/{{point}}/metrics.json",
    output:
        report(
            f"{RESULTS}/{{dataset}}/figures/{{point}}/rotations.png",
            caption="../report/rotations.rst",
            category="2 Reconstruction",
            labels={
                "dataset": "{dataset}",
                "point": "{point}",
                "figure": "recovered rotations and correlations",
            },
        ),
    log:
        f"{RESULTS}/{{dataset}}/logs/figures/{{point}}/rotations.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=figure("rotations"),
    shell:
        "fewphoton draw-figure --shells {input.shells} --errors {input.errors} --metrics {input.metrics} "
        "--figure {output} --config-json {params.config:q} 2> {log}"


rule figures:
    input:
        all_figures(),
