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
        dataset=only(COUNTED),
    conda:
        "../../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        config=section_of("count_photons"),
        patterns=raw_patterns,
        calibration=lambda wildcards, input: (
            f"--calibration {input.calibration}"
            if "calibration" in input.keys()
            else ""
        ),
    shell:
        "fewphoton count-photons --raw {params.patterns:q} --geometry {input.geometry} {params.calibration} "
        "--frames {output.frames} --metrics {output.metrics} --threads {threads} "
        "--config-json {params.config:q} 2> {log}"


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
