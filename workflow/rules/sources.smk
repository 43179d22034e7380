"""Where frames come from: simulation, or a sparse scan; and the crystal that a configuration describes."""


def simulation(kind):
    """Return the section of a simulated dataset ("simulate") or of its reference ("reference") as JSON."""

    def parameters(wildcards):
        section = getattr(RUN.datasets[wildcards.dataset], kind)
        grid = RUN.stages.reconstruct.grid
        values = section.model_dump(mode="json")
        values["truth_voxels_per_cell"] = grid.voxels_per_cell
        if grid.n_voxels is not None:
            values["truth_n_voxels"] = grid.n_voxels
        return json.dumps(values)

    return parameters


def structure_file(kind):
    return lambda wildcards: str(getattr(RUN.datasets[wildcards.dataset], kind).structure)


rule simulate_rotation:
    input:
        structure=structure_file("simulate"),
    output:
        raw=f"{RESULTS}/{{dataset}}/simulate/raw.h5",
        frames=f"{RESULTS}/{{dataset}}/simulate/true_photons.h5",
        geometry=f"{RESULTS}/{{dataset}}/simulate/geometry.yaml",
        crystal=f"{RESULTS}/{{dataset}}/simulate/crystal.yaml",
        truth=f"{RESULTS}/{{dataset}}/simulate/truth.h5",
    params:
        config=simulation("simulate"),
    wildcard_constraints:
        dataset=only(SOURCES["simulate"]),
    log:
        f"{RESULTS}/{{dataset}}/logs/simulate_rotation.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/simulate_rotation.tsv"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    shell:
        "fewphoton simulate-rotation --raw {output.raw} --frames {output.frames} --geometry {output.geometry} "
        "--crystal {output.crystal} --truth {output.truth} --threads {threads} --config-json {params.config:q} "
        "2> {log}"


rule simulate_reference:
    input:
        structure=structure_file("reference"),
    output:
        frames=f"{RESULTS}/{{dataset}}/reference/frames.h5",
        geometry=f"{RESULTS}/{{dataset}}/reference/geometry.yaml",
        crystal=f"{RESULTS}/{{dataset}}/reference/crystal.yaml",
    params:
        config=simulation("reference"),
    wildcard_constraints:
        dataset=only(name for name in SOURCES["simulate"] if RUN.datasets[name].reference),
    log:
        f"{RESULTS}/{{dataset}}/logs/simulate_reference.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/simulate_reference.tsv"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    shell:
        "fewphoton simulate-rotation --frames {output.frames} --geometry {output.geometry} "
        "--crystal {output.crystal} --threads {threads} --config-json {params.config:q} 2> {log}"


def crystal_section(wildcards):
    dataset = RUN.datasets[wildcards.dataset]
    return json.dumps((dataset.raw or dataset.scan).crystal.model_dump(mode="json"))


rule describe_crystal:
    output:
        crystal=f"{RESULTS}/{{dataset}}/crystal/crystal.yaml",
    params:
        config=crystal_section,
    wildcard_constraints:
        dataset=only(SOURCES["raw"] + SOURCES["scan"]),
    log:
        f"{RESULTS}/{{dataset}}/logs/describe_crystal.log",
    localrule: True
    shell:
        "fewphoton describe-crystal --crystal {output.crystal} --config-json {params.config:q} 2> {log}"


def crystal_of(dataset):
    """Return the crystal description of a dataset."""
    return f"{RESULTS}/{dataset}/{'simulate' if dataset in SOURCES['simulate'] else 'crystal'}/crystal.yaml"


def fetch_section(role):
    """Return the section that brings the scan ("file") or its detector ("geometry")."""

    def parameters(wildcards):
        scan = RUN.datasets[wildcards.dataset].scan
        place = {"folder": scan.folder, "url": scan.url, "sha256": scan.sha256}
        return json.dumps(
            {"name": getattr(scan, role), "data_dir": str(RUN.data_dir) if RUN.data_dir else None, **place}
        )

    return parameters


rule fetch_scan:
    output:
        scan=f"{RESULTS}/{{dataset}}/source/scan.h5",
        geometry=f"{RESULTS}/{{dataset}}/source/detector.par",
    params:
        scan=fetch_section("file"),
        geometry=fetch_section("geometry"),
    wildcard_constraints:
        dataset=only(SOURCES["scan"]),
    log:
        f"{RESULTS}/{{dataset}}/logs/fetch_scan.log",
    localrule: True
    shell:
        "(fewphoton fetch --file {output.scan} --config-json {params.scan:q} && "
        "fewphoton fetch --file {output.geometry} --config-json {params.geometry:q}) 2> {log}"


def scan_section(wildcards):
    scan = RUN.datasets[wildcards.dataset].scan
    return json.dumps(scan.model_dump(mode="json", include={"group", "saturation_counts", "cap_counts", "exposures_per_batch"}))


rule import_scan:
    input:
        scan=rules.fetch_scan.output.scan,
        geometry=rules.fetch_scan.output.geometry,
    output:
        frames=f"{RESULTS}/{{dataset}}/import_scan/frames.h5",
        metrics=f"{RESULTS}/{{dataset}}/import_scan/metrics.json",
    params:
        config=scan_section,
    log:
        f"{RESULTS}/{{dataset}}/logs/import_scan.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/import_scan.tsv"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    shell:
        "fewphoton import-scan --scan {input.scan} --geometry {input.geometry} --frames {output.frames} "
        "--metrics {output.metrics} --config-json {params.config:q} 2> {log}"


def half_section(other):
    """Return the split section of the half that is reconstructed, or of the other one."""

    def parameters(wildcards):
        part = RUN.datasets[wildcards.dataset].split.part
        return json.dumps({"part": part if not other else {"even": "odd", "odd": "even"}[part]})

    return parameters


rule split:
    input:
        frames=rules.import_scan.output.frames,
    output:
        half=f"{RESULTS}/{{dataset}}/split/frames.h5",
        metrics=f"{RESULTS}/{{dataset}}/split/metrics.json",
    params:
        config=half_section(other=False),
    wildcard_constraints:
        dataset=only(HALVED),
    log:
        f"{RESULTS}/{{dataset}}/logs/split.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/split.tsv"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    shell:
        "fewphoton split --frames {input.frames} --half {output.half} --metrics {output.metrics} "
        "--config-json {params.config:q} 2> {log}"


use rule split as split_reference with:
    output:
        half=f"{RESULTS}/{{dataset}}/split_reference/frames.h5",
        metrics=f"{RESULTS}/{{dataset}}/split_reference/metrics.json",
    params:
        config=half_section(other=True),
    log:
        f"{RESULTS}/{{dataset}}/logs/split_reference.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/split_reference.tsv"


def reference_collapse(wildcards):
    dataset = RUN.datasets[wildcards.dataset]
    return json.dumps(
        {
            "collapse_deg": dataset.split.reference_collapse_deg,
            "pixel_binning": RUN.stages.collapse.pixel_binning,
        }
    )


rule collapse_reference:
    input:
        frames=rules.split_reference.output.half,
    output:
        collapsed=f"{RESULTS}/{{dataset}}/reference/frames.h5",
        metrics=f"{RESULTS}/{{dataset}}/reference/metrics.json",
    params:
        config=reference_collapse,
    wildcard_constraints:
        dataset=only(HALVED),
    log:
        f"{RESULTS}/{{dataset}}/logs/collapse_reference.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/collapse_reference.tsv"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    shell:
        "fewphoton collapse --frames {input.frames} --collapsed {output.collapsed} --metrics {output.metrics} "
        "--config-json {params.config:q} 2> {log}"
