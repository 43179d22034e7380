"""Where frames come from: simulation, or a sparse scan; and the crystal that a configuration describes."""


rule simulate_rotation:
    input:
        structure=structure_file("simulate"),
    output:
        raw=f"{RESULTS}/{{dataset}}/simulate/raw.h5",
        frames=f"{RESULTS}/{{dataset}}/simulate/true_photons.h5",
        geometry=f"{RESULTS}/{{dataset}}/simulate/geometry.yaml",
        crystal=f"{RESULTS}/{{dataset}}/simulate/crystal.yaml",
        truth=f"{RESULTS}/{{dataset}}/simulate/truth.h5",
    log:
        f"{RESULTS}/{{dataset}}/logs/simulate_rotation.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/simulate_rotation.tsv"
    wildcard_constraints:
        dataset=only(name for name in SOURCES["simulate"] if name in COUNTED),
    conda:
        "../../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        config=simulation("simulate"),
    shell:
        "fewphoton simulate-rotation --raw {output.raw} --frames {output.frames} --geometry {output.geometry} "
        "--crystal {output.crystal} --truth {output.truth} --threads {threads} --config-json {params.config:q} "
        "2> {log}"


rule simulate_photons:
    input:
        structure=structure_file("simulate"),
    output:
        frames=f"{RESULTS}/{{dataset}}/simulate/frames.h5",
        geometry=f"{RESULTS}/{{dataset}}/simulate/geometry.yaml",
        crystal=f"{RESULTS}/{{dataset}}/simulate/crystal.yaml",
        truth=f"{RESULTS}/{{dataset}}/simulate/truth.h5",
    log:
        f"{RESULTS}/{{dataset}}/logs/simulate_photons.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/simulate_photons.tsv"
    wildcard_constraints:
        dataset=only(name for name in SOURCES["simulate"] if name not in COUNTED),
    conda:
        "../../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        config=simulation("simulate"),
    shell:
        "fewphoton simulate-rotation --frames {output.frames} --geometry {output.geometry} "
        "--crystal {output.crystal} --truth {output.truth} --threads {threads} --config-json {params.config:q} "
        "2> {log}"


rule simulate_reference:
    input:
        structure=structure_file("reference"),
    output:
        frames=f"{RESULTS}/{{dataset}}/reference/frames.h5",
        geometry=f"{RESULTS}/{{dataset}}/reference/geometry.yaml",
        crystal=f"{RESULTS}/{{dataset}}/reference/crystal.yaml",
    log:
        f"{RESULTS}/{{dataset}}/logs/simulate_reference.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/simulate_reference.tsv"
    wildcard_constraints:
        dataset=only(
            name for name in SOURCES["simulate"] if RUN.datasets[name].reference
        ),
    conda:
        "../../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        config=simulation("reference"),
    shell:
        "fewphoton simulate-rotation --frames {output.frames} --geometry {output.geometry} "
        "--crystal {output.crystal} --threads {threads} --config-json {params.config:q} 2> {log}"


rule describe_crystal:
    output:
        crystal=f"{RESULTS}/{{dataset}}/crystal/crystal.yaml",
    log:
        f"{RESULTS}/{{dataset}}/logs/describe_crystal.log",
    wildcard_constraints:
        dataset=only(SOURCES["raw"] + SOURCES["scan"]),
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=crystal_section,
    shell:
        "fewphoton describe-crystal --crystal {output.crystal} --config-json {params.config:q} 2> {log}"


rule simulate_particles:
    input:
        structure=named_structure("simulate_particles"),
    output:
        frames=f"{RESULTS}/{{dataset}}/simulate/frames.h5",
        geometry=f"{RESULTS}/{{dataset}}/simulate/geometry.yaml",
        crystal=f"{RESULTS}/{{dataset}}/simulate/crystal.yaml",
        truth=f"{RESULTS}/{{dataset}}/simulate/truth.h5",
        metrics=f"{RESULTS}/{{dataset}}/simulate/metrics.json",
    log:
        f"{RESULTS}/{{dataset}}/logs/simulate_particles.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/simulate_particles.tsv"
    wildcard_constraints:
        dataset=only(SOURCES["simulate_particles"]),
    conda:
        "../../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        stage="simulate-particles",
        config=snapshots_section("simulate_particles"),
    shell:
        "fewphoton {params.stage} --frames {output.frames} --geometry {output.geometry} --crystal {output.crystal} "
        "--truth {output.truth} --metrics {output.metrics} --threads {threads} --config-json {params.config:q} "
        "2> {log}"


use rule simulate_particles as simulate_serial with:
    input:
        structure=named_structure("simulate_serial"),
    log:
        f"{RESULTS}/{{dataset}}/logs/simulate_serial.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/simulate_serial.tsv"
    wildcard_constraints:
        dataset=only(SOURCES["simulate_serial"]),
    params:
        stage="simulate-serial",
        config=snapshots_section("simulate_serial"),


rule fetch_scan:
    output:
        scan=f"{RESULTS}/{{dataset}}/source/scan.h5",
        geometry=f"{RESULTS}/{{dataset}}/source/detector.par",
    log:
        f"{RESULTS}/{{dataset}}/logs/fetch_scan.log",
    wildcard_constraints:
        dataset=only(SOURCES["scan"]),
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        scan=fetch_section("file"),
        geometry=fetch_section("geometry"),
    shell:
        "(fewphoton fetch --file {output.scan} --config-json {params.scan:q} && "
        "fewphoton fetch --file {output.geometry} --config-json {params.geometry:q}) 2> {log}"


rule import_scan:
    input:
        scan=rules.fetch_scan.output.scan,
        geometry=rules.fetch_scan.output.geometry,
    output:
        frames=f"{RESULTS}/{{dataset}}/import_scan/frames.h5",
        metrics=f"{RESULTS}/{{dataset}}/import_scan/metrics.json",
    log:
        f"{RESULTS}/{{dataset}}/logs/import_scan.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/import_scan.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        config=scan_section,
    shell:
        "fewphoton import-scan --scan {input.scan} --geometry {input.geometry} --frames {output.frames} "
        "--metrics {output.metrics} --config-json {params.config:q} 2> {log}"


rule split:
    input:
        frames=rules.import_scan.output.frames,
    output:
        half=f"{RESULTS}/{{dataset}}/split/frames.h5",
        metrics=f"{RESULTS}/{{dataset}}/split/metrics.json",
    log:
        f"{RESULTS}/{{dataset}}/logs/split.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/split.tsv"
    wildcard_constraints:
        dataset=only(HALVED),
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        config=half_section(other=False),
    shell:
        "fewphoton split --frames {input.frames} --half {output.half} --metrics {output.metrics} "
        "--config-json {params.config:q} 2> {log}"


use rule split as split_reference with:
    output:
        half=f"{RESULTS}/{{dataset}}/split_reference/frames.h5",
        metrics=f"{RESULTS}/{{dataset}}/split_reference/metrics.json",
    log:
        f"{RESULTS}/{{dataset}}/logs/split_reference.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/split_reference.tsv"
    params:
        config=half_section(other=True),


rule collapse_reference:
    input:
        frames=rules.split_reference.output.half,
    output:
        collapsed=f"{RESULTS}/{{dataset}}/reference/frames.h5",
        metrics=f"{RESULTS}/{{dataset}}/reference/metrics.json",
    log:
        f"{RESULTS}/{{dataset}}/logs/collapse_reference.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/collapse_reference.tsv"
    wildcard_constraints:
        dataset=only(HALVED),
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        config=reference_collapse,
    shell:
        "fewphoton collapse --frames {input.frames} --collapsed {output.collapsed} --metrics {output.metrics} "
        "--config-json {params.config:q} 2> {log}"
