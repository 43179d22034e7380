"""Signal separation: background, strong pixels, rebuilt frames, peaks, hits, and the quality of what is left."""


rule fetch_frame:
    output:
        file=f"{RESULTS}/{{dataset}}/source/{{name}}",
    log:
        f"{RESULTS}/{{dataset}}/logs/fetch/{{name}}.log",
    wildcard_constraints:
        dataset=only(PUBLIC),
        name=".+",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=fetch_frame_section,
    shell:
        "fewphoton fetch --file {output.file} --config-json {params.config:q} 2> {log}"


rule simulate_stills:
    input:
        structure=named_structure("simulate_stills"),
    output:
        raw=f"{RESULTS}/{{dataset}}/simulate_stills/raw.h5",
        geometry=f"{RESULTS}/{{dataset}}/simulate_stills/geometry.yaml",
        truth=f"{RESULTS}/{{dataset}}/simulate_stills/truth.h5",
        reference=f"{RESULTS}/{{dataset}}/simulate_stills/reference.mtz",
        metrics=f"{RESULTS}/{{dataset}}/simulate_stills/metrics.json",
    log:
        f"{RESULTS}/{{dataset}}/logs/simulate_stills.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/simulate_stills.tsv"
    wildcard_constraints:
        dataset=only(SOURCES["simulate_stills"]),
    conda:
        "../../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        config=stills_section,
    shell:
        "fewphoton simulate-stills --raw {output.raw} --geometry {output.geometry} --truth {output.truth} "
        "--reference {output.reference} --metrics {output.metrics} --threads {threads} "
        "--config-json {params.config:q} 2> {log}"


rule sparsify:
    input:
        unpack(frame_inputs),
    output:
        sparse=f"{RESULTS}/{{dataset}}/sparsify/{{point}}/sparse.h5",
        metrics=f"{RESULTS}/{{dataset}}/sparsify/{{point}}/metrics.json",
    log:
        f"{RESULTS}/{{dataset}}/logs/sparsify/{{point}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/sparsify/{{point}}.tsv"
    wildcard_constraints:
        dataset=only(SEPARATED + SOURCES["raw"]),
    conda:
        "../../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        config=section_of("sparsify"),
        patterns=frame_patterns,
        corrections=correction_flags,
    shell:
        "fewphoton sparsify --raw {params.patterns:q} --geometry {input.geometry} {params.corrections} "
        "--sparse {output.sparse} --metrics {output.metrics} --threads {threads} "
        "--config-json {params.config:q} 2> {log}"


rule import_sparse:
    input:
        sparse=lambda wildcards: (
            f"{RESULTS}/{wildcards.dataset}/sparsify/"
            f"{AT['import_sparse'][wildcards.point].until('sparsify').folder}/sparse.h5"
        ),
    output:
        frames=f"{RESULTS}/{{dataset}}/import_sparse/{{point}}/frames.h5",
        metrics=f"{RESULTS}/{{dataset}}/import_sparse/{{point}}/metrics.json",
    log:
        f"{RESULTS}/{{dataset}}/logs/import_sparse/{{point}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/import_sparse/{{point}}.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        config=section_of("import_sparse"),
    shell:
        "fewphoton import-sparse --sparse {input.sparse} --frames {output.frames} --metrics {output.metrics} "
        "--config-json {params.config:q} 2> {log}"


rule densify:
    input:
        sparse=lambda wildcards: (
            f"{RESULTS}/{wildcards.dataset}/sparsify/"
            f"{AT['densify'][wildcards.point].until('sparsify').folder}/sparse.h5"
        ),
    output:
        frames=densified(),
        metrics=f"{RESULTS}/{{dataset}}/densify/{{point}}/metrics.json",
    log:
        f"{RESULTS}/{{dataset}}/logs/densify/{{point}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/densify/{{point}}.tsv"
    conda:
        "../../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        config=section_of("densify"),
    shell:
        "fewphoton densify --sparse {input.sparse} --frames {output.frames} --metrics {output.metrics} "
        "--threads {threads} --config-json {params.config:q} 2> {log}"


rule find_peaks:
    input:
        unpack(frame_inputs),
    output:
        peaks=f"{RESULTS}/{{dataset}}/find_peaks/{{point}}/peaks.cxi",
        metrics=f"{RESULTS}/{{dataset}}/find_peaks/{{point}}/metrics.json",
    log:
        f"{RESULTS}/{{dataset}}/logs/find_peaks/{{point}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/find_peaks/{{point}}.tsv"
    conda:
        "../../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        config=section_of("find_peaks"),
        patterns=frame_patterns,
        corrections=correction_flags,
    shell:
        "fewphoton find-peaks --raw {params.patterns:q} --geometry {input.geometry} {params.corrections} "
        "--peaks {output.peaks} --metrics {output.metrics} --threads {threads} "
        "--config-json {params.config:q} 2> {log}"


rule veto:
    input:
        peaks=lambda wildcards: (
            f"{RESULTS}/{wildcards.dataset}/find_peaks/"
            f"{AT['veto'][wildcards.point].until('find_peaks').folder}/peaks.cxi"
        ),
    output:
        kept=f"{RESULTS}/{{dataset}}/veto/{{point}}/kept_frames.txt",
        curve=f"{RESULTS}/{{dataset}}/veto/{{point}}/curve.csv",
        frames=f"{RESULTS}/{{dataset}}/veto/{{point}}/frames.csv",
        metrics=f"{RESULTS}/{{dataset}}/veto/{{point}}/metrics.json",
    log:
        f"{RESULTS}/{{dataset}}/logs/veto/{{point}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/veto/{{point}}.tsv"
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=section_of("veto"),
    shell:
        "fewphoton veto --peaks {input.peaks} --kept {output.kept} --curve {output.curve} --frames {output.frames} "
        "--metrics {output.metrics} --config-json {params.config:q} 2> {log}"


# Only for those who have CrystFEL, and only when its stream is asked for: nothing depends on it.
rule index_peaks:
    input:
        unpack(frame_inputs),
        peaks=rules.find_peaks.output.peaks,
    output:
        geometry=f"{RESULTS}/{{dataset}}/index_peaks/{{point}}/detector.geom",
        files=f"{RESULTS}/{{dataset}}/index_peaks/{{point}}/files.lst",
        stream=f"{RESULTS}/{{dataset}}/index_peaks/{{point}}/indexed.stream",
    log:
        f"{RESULTS}/{{dataset}}/logs/index_peaks/{{point}}.log",
    wildcard_constraints:
        dataset=only(SEPARATED),
    conda:
        "../../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    shell:
        "(fewphoton export-crystfel --peaks {input.peaks} --geometry {input.geometry} "
        "--crystfel-geometry {output.geometry} --file-list {output.files} && "
        "indexamajig -i {output.files} -g {output.geometry} -o {output.stream} --peaks=cxi -j {threads}) 2> {log}"


rule integrate_original:
    input:
        unpack(spot_inputs),
    output:
        metrics=f"{RESULTS}/{{dataset}}/integrate_original/metrics.json",
        shells=f"{RESULTS}/{{dataset}}/integrate_original/shells.csv",
        merged=f"{RESULTS}/{{dataset}}/integrate_original/merged.mtz",
        observations=f"{RESULTS}/{{dataset}}/integrate_original/observations.csv",
    log:
        f"{RESULTS}/{{dataset}}/logs/integrate_original.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/integrate_original.tsv"
    wildcard_constraints:
        dataset=only(INTEGRATED),
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        config=spots_section,
        flags=spot_flags,
    shell:
        "fewphoton integrate-spots --frames {input.original} {params.flags} --metrics {output.metrics} "
        "--shells {output.shells} --merged {output.merged} --observations {output.observations} "
        "--config-json {params.config:q} 2> {log}"


rule integrate_densified:
    input:
        unpack(spot_inputs),
        densified=rules.densify.output.frames,
        observations=rules.integrate_original.output.observations,
    output:
        metrics=f"{RESULTS}/{{dataset}}/integrate_densified/{{point}}/metrics.json",
        shells=f"{RESULTS}/{{dataset}}/integrate_densified/{{point}}/shells.csv",
        merged=f"{RESULTS}/{{dataset}}/integrate_densified/{{point}}/merged.mtz",
        observations=f"{RESULTS}/{{dataset}}/integrate_densified/{{point}}/observations.csv",
    log:
        f"{RESULTS}/{{dataset}}/logs/integrate_densified/{{point}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/integrate_densified/{{point}}.tsv"
    wildcard_constraints:
        dataset=only(INTEGRATED),
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        config=spots_section,
        flags=spot_flags,
        patterns=lambda wildcards, input: (
            f"{input.densified}/*.cbf"
            if RUN.stages.densify.format == "cbf"
            else input.densified
        ),
    shell:
        "fewphoton integrate-spots --frames {params.patterns:q} --mask-frames {input.original} {params.flags} "
        "--original {input.observations} --metrics {output.metrics} --shells {output.shells} "
        "--merged {output.merged} --observations {output.observations} --config-json {params.config:q} 2> {log}"


rule collect_separation:
    input:
        sparsify=row_files("sparsify", "metrics.json"),
        find_peaks=row_files("find_peaks", "metrics.json"),
        veto=row_files("veto", "metrics.json"),
        sparse=row_files("sparsify", "sparse.h5"),
        peaks=row_files("find_peaks", "peaks.cxi"),
    output:
        table=report(
            f"{RESULTS}/separation.csv",
            caption="../report/separation.rst",
            category="0 Summary",
            labels={"table": "signal separation"},
        ),
    log:
        f"{RESULTS}/logs/collect_separation.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=separation_columns,
    shell:
        "fewphoton collect-metrics --metrics {input.sparsify} --more-metrics {input.find_peaks} {input.veto} "
        "--results {input.sparse} {input.peaks} "
        "--table {output.table} --config-json {params.config:q} 2> {log}"


rule collect_spot_quality:
    input:
        original=[
            f"{RESULTS}/{dataset}/integrate_original/metrics.json"
            for dataset in INTEGRATED
        ],
        densified=[
            f"{RESULTS}/{dataset}/integrate_densified/{folder}/metrics.json"
            for dataset in INTEGRATED
            for folder in AT["densify"]
        ],
    output:
        table=report(
            f"{RESULTS}/spot_quality.csv",
            caption="../report/spot_quality_table.rst",
            category="0 Summary",
            labels={"table": "quality of Bragg spots"},
        ),
    log:
        f"{RESULTS}/logs/collect_spot_quality.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=spot_quality_columns,
    shell:
        "fewphoton collect-metrics --metrics {input.original} {input.densified} "
        "--table {output.table} --config-json {params.config:q} 2> {log}"
