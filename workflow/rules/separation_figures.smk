"""Figures of signal separation. They read result files and, for single frames, the frames themselves."""


rule draw_error_models:
    input:
        unpack(frame_inputs),
    output:
        figure=report(
            f"{RESULTS}/{{dataset}}/figures/error_models.png",
            caption="../report/error_models.rst",
            category="4 Signal separation",
            labels={"dataset": "{dataset}", "figure": "error models"},
        ),
        table=f"{RESULTS}/{{dataset}}/figures/error_models.csv",
    log:
        f"{RESULTS}/{{dataset}}/logs/figures/error_models.log",
    wildcard_constraints:
        dataset=only(SEPARATED),
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        patterns=frame_patterns,
        corrections=correction_flags,
        config=separation_figure("error_models"),
    shell:
        "fewphoton draw-separation --raw {params.patterns:q} --geometry {input.geometry} {params.corrections} --figure {output.figure} --table {output.table} "
        "--config-json {params.config:q} 2> {log}"


rule draw_signal_separation:
    input:
        unpack(frame_inputs),
    output:
        figure=report(
            f"{RESULTS}/{{dataset}}/figures/signal_separation.png",
            caption="../report/signal_separation.rst",
            category="4 Signal separation",
            labels={"dataset": "{dataset}", "figure": "signal separation"},
        ),
        table=f"{RESULTS}/{{dataset}}/figures/signal_separation.csv",
    log:
        f"{RESULTS}/{{dataset}}/logs/figures/signal_separation.log",
    wildcard_constraints:
        dataset=only(SEPARATED),
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        patterns=frame_patterns,
        corrections=correction_flags,
        config=separation_figure("signal_separation"),
    shell:
        "fewphoton draw-separation --raw {params.patterns:q} --geometry {input.geometry} {params.corrections} --figure {output.figure} --table {output.table} "
        "--config-json {params.config:q} 2> {log}"


rule draw_pick_share:
    input:
        sparsify=lambda wildcards: [
            f"{RESULTS}/{wildcards.dataset}/sparsify/{folder}/metrics.json"
            for folder in PICKS
        ],
    output:
        figure=report(
            f"{RESULTS}/{{dataset}}/figures/pick_share.png",
            caption="../report/pick_share.rst",
            category="4 Signal separation",
            labels={"dataset": "{dataset}", "figure": "pick share"},
        ),
        table=f"{RESULTS}/{{dataset}}/figures/pick_share.csv",
    log:
        f"{RESULTS}/{{dataset}}/logs/figures/pick_share.log",
    wildcard_constraints:
        dataset=only(SEPARATED),
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=separation_figure("pick_share", labels=["measured"]),
    shell:
        "fewphoton draw-separation --sparsify {input.sparsify} --figure {output.figure} --table {output.table} "
        "--config-json {params.config:q} 2> {log}"


rule draw_peak_counts:
    input:
        peaks=peak_files,
    output:
        figure=report(
            f"{RESULTS}/{{dataset}}/figures/peak_counts.png",
            caption="../report/peak_counts.rst",
            category="4 Signal separation",
            labels={"dataset": "{dataset}", "figure": "peak counts"},
        ),
        table=f"{RESULTS}/{{dataset}}/figures/peak_counts.csv",
    log:
        f"{RESULTS}/{{dataset}}/logs/figures/peak_counts.log",
    wildcard_constraints:
        dataset=only(SEPARATED),
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=separation_figure(
            "peak_counts",
            labels=peak_labels(),
            minimum_peaks=RUN.stages.veto.minimum_peaks,
        ),
    shell:
        "fewphoton draw-separation --peaks {input.peaks} --figure {output.figure} --table {output.table} "
        "--config-json {params.config:q} 2> {log}"


rule draw_peak_comparison:
    input:
        unpack(frame_inputs),
        unpack(truth_inputs),
        peaks=peak_files,
    output:
        figure=report(
            f"{RESULTS}/{{dataset}}/figures/peak_comparison.png",
            caption="../report/peak_comparison.rst",
            category="4 Signal separation",
            labels={"dataset": "{dataset}", "figure": "peak comparison"},
        ),
        table=f"{RESULTS}/{{dataset}}/figures/peak_comparison.csv",
    log:
        f"{RESULTS}/{{dataset}}/logs/figures/peak_comparison.log",
    wildcard_constraints:
        dataset=only(SEPARATED),
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        patterns=frame_patterns,
        corrections=correction_flags,
        truth=truth_flag,
        config=separation_figure("peak_comparison", labels=peak_labels()),
    shell:
        "fewphoton draw-separation --raw {params.patterns:q} --geometry {input.geometry} {params.corrections} --peaks {input.peaks} {params.truth} --figure {output.figure} --table {output.table} "
        "--config-json {params.config:q} 2> {log}"


rule draw_veto:
    input:
        unpack(truth_inputs),
        peaks=lambda wildcards: peak_files(wildcards)[0],
    output:
        figure=report(
            f"{RESULTS}/{{dataset}}/figures/veto.png",
            caption="../report/veto.rst",
            category="4 Signal separation",
            labels={"dataset": "{dataset}", "figure": "veto"},
        ),
        table=f"{RESULTS}/{{dataset}}/figures/veto.csv",
    log:
        f"{RESULTS}/{{dataset}}/logs/figures/veto.log",
    wildcard_constraints:
        dataset=only(SEPARATED),
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        truth=truth_flag,
        config=separation_figure("veto", minimum_peaks=RUN.stages.veto.minimum_peaks),
    shell:
        "fewphoton draw-separation --peaks {input.peaks} {params.truth} --figure {output.figure} --table {output.table} "
        "--config-json {params.config:q} 2> {log}"


rule draw_spot_quality:
    input:
        sparsify=lambda wildcards: [
            f"{RESULTS}/{wildcards.dataset}/sparsify/{folder}/metrics.json"
            for folder in PICKS
        ],
        spots=lambda wildcards: quality_files(wildcards, "metrics.json"),
        shells=lambda wildcards: quality_files(wildcards, "shells.csv"),
    output:
        figure=report(
            f"{RESULTS}/{{dataset}}/figures/spot_quality.png",
            caption="../report/spot_quality.rst",
            category="4 Signal separation",
            labels={"dataset": "{dataset}", "figure": "spot quality"},
        ),
        table=f"{RESULTS}/{{dataset}}/figures/spot_quality.csv",
    log:
        f"{RESULTS}/{{dataset}}/logs/figures/spot_quality.log",
    wildcard_constraints:
        dataset=only(SEPARATED),
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=separation_figure("spot_quality"),
    shell:
        "fewphoton draw-separation --sparsify {input.sparsify} --spots {input.spots} --shells {input.shells} --figure {output.figure} --table {output.table} "
        "--config-json {params.config:q} 2> {log}"
