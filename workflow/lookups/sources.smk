"""Parameters of the rules that bring frames in."""


def simulation(kind):
    """Return the section of a simulated dataset ("simulate") or of its reference ("reference") as JSON."""

    def parameters(wildcards):
        section = getattr(RUN.datasets[wildcards.dataset], kind)
        grid = RUN.reconstruct_of(wildcards.dataset).grid
        values = section.model_dump(mode="json")
        values["truth_voxels_per_cell"] = grid.voxels_per_cell
        if grid.n_voxels is not None:
            values["truth_n_voxels"] = grid.n_voxels
        return json.dumps(values)

    return parameters


def structure_file(kind):
    return lambda wildcards: str(
        getattr(RUN.datasets[wildcards.dataset], kind).structure
    )


def crystal_section(wildcards):
    dataset = RUN.datasets[wildcards.dataset]
    return json.dumps((dataset.raw or dataset.scan).crystal.model_dump(mode="json"))


def crystal_of(dataset):
    """Return the crystal description of a dataset."""
    simulated = dataset in SOURCES["simulate"] + ROTATED
    return f"{RESULTS}/{dataset}/{'simulate' if simulated else 'crystal'}/crystal.yaml"


def named_structure(kind):
    """Return the input function of the structure that a simulation names, or that is fetched for it."""

    def path(wildcards):
        dataset = RUN.datasets[wildcards.dataset]
        if dataset.structure_file is None:
            return str(getattr(dataset, kind).structure)
        return f"{RESULTS}/{wildcards.dataset}/source/{dataset.structure_file.name}"

    return path


def snapshots_section(kind):
    """Return the section of simulated snapshots as JSON, the true volume on the grid of reconstruct."""

    def parameters(wildcards):
        values = getattr(RUN.datasets[wildcards.dataset], kind).model_dump(mode="json")
        grid = RUN.reconstruct_of(wildcards.dataset).grid
        values["structure"] = named_structure(kind)(wildcards)
        if "truth_voxels_per_cell" in values:
            values["truth_voxels_per_cell"] = grid.voxels_per_cell
        if grid.n_voxels is not None:
            values["truth_n_voxels"] = grid.n_voxels
        return json.dumps(values)

    return parameters


def fetch_section(role):
    """Return the section that brings the scan ("file") or its detector ("geometry")."""

    def parameters(wildcards):
        scan = RUN.datasets[wildcards.dataset].scan
        place = {"folder": scan.folder, "url": scan.url, "sha256": scan.sha256}
        return json.dumps(
            {
                "name": getattr(scan, role),
                "data_dir": str(RUN.data_dir) if RUN.data_dir else None,
                **place,
            }
        )

    return parameters


def scan_section(wildcards):
    values = RUN.datasets[wildcards.dataset].scan.model_dump(mode="json")
    keys = ("group", "saturation_counts", "cap_counts", "exposures_per_batch")
    return json.dumps({key: values[key] for key in keys})


def half_section(other):
    """Return the split section of the half that is reconstructed, or of the other one."""

    def parameters(wildcards):
        part = RUN.datasets[wildcards.dataset].split.part
        return json.dumps(
            {"part": part if not other else {"even": "odd", "odd": "even"}[part]}
        )

    return parameters


def reference_collapse(wildcards):
    dataset = RUN.datasets[wildcards.dataset]
    return json.dumps(
        {
            "collapse_deg": dataset.split.reference_collapse_deg,
            "pixel_binning": RUN.stages.collapse.pixel_binning,
        }
    )
