"""Raw ADU to photon frames, and what is done to photon frames before they are reconstructed."""


rule count_photons:
    input:
        unpack(raw_inputs),
    output:
        frames=f"{RESULTS}/{{dataset}}/count_photons/{{point}}/frames.h5",
        metrics=f"{RESULTS}/{{dataset}}/count_photons/{{point}}/metrics.json",
    log:
        f"{RESULTS}/{{dataset}}/logs/count_photons/{{point}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/count_photons/{{point}}.tsv"
    wildcard_constraints:
        dataset=only(COUNTED if N_COUNTING_JOBS == 1 else []),
    conda:
        "../../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        config=section_of("count_photons"),
        patterns=raw_patterns,
        calibration=calibration_words,
    shell:
        "fewphoton count-photons --raw {params.patterns:q} --geometry {input.geometry} {params.calibration} "
        "--frames {output.frames} --metrics {output.metrics} --threads {threads} "
        "--config-json {params.config:q} 2> {log}"


rule count_photons_of_a_part:
    input:
        unpack(raw_inputs),
    output:
        frames=temp(f"{RESULTS}/{{dataset}}/count_photons/{{point}}/parts/{{part}}.h5"),
        metrics=temp(
            f"{RESULTS}/{{dataset}}/count_photons/{{point}}/parts/{{part}}.json"
        ),
    log:
        f"{RESULTS}/{{dataset}}/logs/count_photons/{{point}}/{{part}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/count_photons/{{point}}/{{part}}.tsv"
    wildcard_constraints:
        dataset=only(COUNTED),
        part=r"\d+",
    conda:
        "../../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        config=part_of_counting,
        patterns=raw_patterns,
        calibration=calibration_words,
    shell:
        "fewphoton count-photons --raw {params.patterns:q} --geometry {input.geometry} {params.calibration} "
        "--frames {output.frames} --metrics {output.metrics} --threads {threads} "
        "--config-json {params.config:q} 2> {log}"


rule join_photons:
    input:
        parts=counted_parts("h5"),
        metrics=counted_parts("json"),
    output:
        frames=f"{RESULTS}/{{dataset}}/count_photons/{{point}}/frames.h5",
        metrics=f"{RESULTS}/{{dataset}}/count_photons/{{point}}/metrics.json",
    log:
        f"{RESULTS}/{{dataset}}/logs/join_photons/{{point}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/join_photons/{{point}}.tsv"
    wildcard_constraints:
        dataset=only(COUNTED if N_COUNTING_JOBS > 1 else []),
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    shell:
        "fewphoton join-photons --parts {input.parts} --part-metrics {input.metrics} --frames {output.frames} "
        "--metrics {output.metrics} 2> {log}"


rule collapse:
    input:
        frames=frames_before("collapse"),
    output:
        collapsed=f"{RESULTS}/{{dataset}}/collapse/{{point}}/frames.h5",
        metrics=f"{RESULTS}/{{dataset}}/collapse/{{point}}/metrics.json",
    log:
        f"{RESULTS}/{{dataset}}/logs/collapse/{{point}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/collapse/{{point}}.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        config=section_of("collapse"),
    shell:
        "fewphoton collapse --frames {input.frames} --collapsed {output.collapsed} --metrics {output.metrics} "
        "--threads {threads} --config-json {params.config:q} 2> {log}"


rule thin:
    input:
        frames=frames_before("thin") if "thin" in CHAIN else [],
    output:
        thinned=f"{RESULTS}/{{dataset}}/thin/{{point}}/frames.h5",
        metrics=f"{RESULTS}/{{dataset}}/thin/{{point}}/metrics.json",
    log:
        f"{RESULTS}/{{dataset}}/logs/thin/{{point}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/thin/{{point}}.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        config=section_of("thin"),
    shell:
        "fewphoton thin --frames {input.frames} --thinned {output.thinned} --metrics {output.metrics} "
        "--config-json {params.config:q} 2> {log}"


rule add_background:
    input:
        frames=frames_before("add_background") if "add_background" in CHAIN else [],
    output:
        with_background=f"{RESULTS}/{{dataset}}/add_background/{{point}}/frames.h5",
        metrics=f"{RESULTS}/{{dataset}}/add_background/{{point}}/metrics.json",
    log:
        f"{RESULTS}/{{dataset}}/logs/add_background/{{point}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/add_background/{{point}}.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        config=section_of("add_background"),
    shell:
        "fewphoton add-background --frames {input.frames} --with-background {output.with_background} "
        "--metrics {output.metrics} --config-json {params.config:q} 2> {log}"
