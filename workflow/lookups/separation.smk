"""Inputs of signal separation: frames from files, from public data sets, or simulated."""


def frame_source(dataset):
    """Return the frames section of a dataset, or None where its stills are simulated."""
    return RUN.datasets[dataset].frames or RUN.datasets[dataset].raw


def brought(dataset, name):
    """Return where a file of a public data set lies once it is fetched; other files lie where they are."""
    source = RUN.datasets[dataset].frames
    if source is None or source.folder is None:
        return str(name)
    return f"{RESULTS}/{dataset}/source/{name}"


def frame_inputs(wildcards):
    """Return geometry, mask, dark and flat of a dataset, and its frames where they are plain files."""
    dataset = wildcards.dataset
    if dataset in SOURCES["simulate_stills"]:
        folder = f"{RESULTS}/{dataset}/simulate_stills"
        return {"raw": [f"{folder}/raw.h5"], "geometry": f"{folder}/geometry.yaml"}
    source = frame_source(dataset)
    files = {"geometry": brought(dataset, source.geometry)}
    plain = getattr(source, "folder", None) is not None
    if plain:
        files["raw"] = [brought(dataset, name) for name in source.files]
    for role in ("mask", "dark", "flat"):
        if getattr(source, role, None) is not None:
            files[role] = brought(dataset, getattr(source, role))
    return files


def frame_patterns(wildcards, input):
    """Return the frames of a dataset as the command line takes them."""
    if "raw" in input.keys():
        return list(input.raw)
    return list(frame_source(wildcards.dataset).files)


def correction_flags(wildcards, input):
    """Return --mask, --dark and --flat where a dataset has them."""
    return " ".join(
        f"--{role} {input[role]}"
        for role in ("mask", "dark", "flat")
        if role in input.keys()
    )


def fetch_frame_section(wildcards):
    """Return the section that fetches one file of a public data set."""
    dataset = RUN.datasets[wildcards.dataset]
    source = dataset.frames or dataset.structure_file
    return json.dumps(
        {
            "name": wildcards.name,
            "data_dir": str(RUN.data_dir) if RUN.data_dir else None,
            "folder": source.folder,
            "url": source.url,
            "sha256": source.sha256,
        }
    )


def stills_section(wildcards):
    values = RUN.datasets[wildcards.dataset].simulate_stills.model_dump(mode="json")
    structure = named_structure("simulate_stills")(wildcards)
    return json.dumps(values | {"structure": structure})


def spots_section(wildcards):
    section = RUN.datasets[wildcards.dataset].integrate_spots
    return json.dumps(section.model_dump(mode="json"))


INTEGRATED = [name for name in SEPARATED if RUN.datasets[name].integrate_spots]
PUBLIC = [
    name
    for name in SEPARATED + ROTATED
    if RUN.datasets[name].structure_file
    or (RUN.datasets[name].frames and RUN.datasets[name].frames.folder)
]


def spot_inputs(wildcards):
    """Return what tells the positions of spots, the reference, and the original frames."""
    dataset = wildcards.dataset
    if dataset in SOURCES["simulate_stills"]:
        folder = f"{RESULTS}/{dataset}/simulate_stills"
        files = {
            "still_truth": f"{folder}/truth.h5",
            "geometry": f"{folder}/geometry.yaml",
            "reference": f"{folder}/reference.mtz",
            "original": [f"{folder}/raw.h5"],
        }
    else:
        source = RUN.datasets[dataset].frames
        files = {
            "experiments": [brought(dataset, name) for name in source.experiments],
            "original": [brought(dataset, name) for name in source.files],
        }
        if source.reference is not None:
            files["reference"] = brought(dataset, source.reference)
    return files


def spot_flags(wildcards, input):
    """Return the flags of integrate-spots for what tells the positions, and for the reference."""
    flags = [
        f"--{role.replace('_', '-')} {input[role]}"
        for role in ("still_truth", "geometry", "reference")
        if role in input.keys()
    ]
    if "experiments" in input.keys():
        flags.append(f"--experiments {input.experiments}")
    return " ".join(flags)


def densified():
    """Return the rebuilt frames of a point as an output: a file, or a folder of CBF files."""
    path = f"{RESULTS}/{{dataset}}/densify/{{point}}/frames"
    if RUN.stages.densify is not None and RUN.stages.densify.format == "cbf":
        return directory(path)
    return f"{path}.h5"


def separation_points(stage):
    """Return (dataset, folder) of a stage of signal separation."""
    return [(dataset, folder) for dataset in SEPARATED for folder in AT[stage]]


def separation_files(name, stage):
    return [
        f"{RESULTS}/{dataset}/{stage}/{folder}/{name}"
        for dataset, folder in separation_points(stage)
    ]


SEPARATION_ROWS = [
    (dataset, point) for dataset in SEPARATED for point in POINTS.values()
]


def row_files(stage, name):
    """Return a file of a stage for every dataset and point, in the order of the table."""
    return [
        f"{RESULTS}/{dataset}/{stage}/{point.until(stage).folder}/{name}"
        for dataset, point in SEPARATION_ROWS
    ]


def separation_columns(wildcards):
    """Return what stands before the metrics of each row: dataset and swept values."""
    rows = [
        {
            "dataset": dataset,
            **{f"{stage}.{key}": value for stage, key, value in point.values},
        }
        for dataset, point in SEPARATION_ROWS
    ]
    # What is swept of it stands among the columns.
    veto = RUN.stages.veto.model_dump(mode="json")
    parameters = {"dataset": {dataset: veto for dataset in SEPARATED}}
    return json.dumps({"columns": rows, "parameters": parameters})


def spot_quality_columns(wildcards):
    """Return dataset and version of the frames for each row of the table of spots."""
    rows = [
        {"dataset": dataset, "frames": "original", "densify_point": ""}
        for dataset in INTEGRATED
    ]
    rows += [
        {
            "dataset": dataset,
            "frames": "densified",
            "densify_point": folder,
            **{
                f"{stage}.{key}": value
                for stage, key, value in AT["densify"][folder].values
            },
        }
        for dataset in INTEGRATED
        for folder in AT["densify"]
    ]
    return json.dumps({"columns": rows})


def separation_figure(name, **options):
    """Return an input function's partner: the parameters of draw-separation for a dataset, as JSON."""

    def parameters(wildcards):
        frame = RUN.datasets[wildcards.dataset].shown_frame
        section = AT["find_peaks"][next(iter(AT["find_peaks"]))].section(
            RUN, "find_peaks"
        )
        keys = (
            "n_bins",
            "unit",
            "radial_range",
            "solid_angle",
            "polarization",
            "minimum_valid",
            "saturation",
        )
        return json.dumps(
            {
                "figure": name,
                "frame": frame,
                "background": {key: section[key] for key in keys},
                **options,
            }
        )

    return parameters


def peak_files(wildcards):
    """Return the peaks of a dataset at all points."""
    return [
        f"{RESULTS}/{wildcards.dataset}/find_peaks/{folder}/peaks.cxi"
        for folder in AT["find_peaks"]
    ]


def peak_labels():
    """Return the names of the points of find_peaks for legends."""
    return [
        ", ".join(
            str(value) if key == "method" else f"{key} {value}"
            for _, key, value in point.values
        )
        or RUN.stages.find_peaks.method
        for point in AT["find_peaks"].values()
    ]


def truth_inputs(wildcards):
    """Return the truth of simulated stills, where there is one."""
    if wildcards.dataset in SOURCES["simulate_stills"]:
        return {
            "still_truth": f"{RESULTS}/{wildcards.dataset}/simulate_stills/truth.h5"
        }
    return {}


def truth_flag(wildcards, input):
    return f"--still-truth {input.still_truth}" if "still_truth" in input.keys() else ""


PICKS = [
    folder
    for folder, point in AT["sparsify"].items()
    if all(key == "cutoff_pick" for _, key, _ in point.values)
]
"""Points of sparsify that differ in the cut-off alone."""


def quality_files(wildcards, name):
    """Return results of integrate-spots: those of the original frames, then those of each cut-off."""
    folder = f"{RESULTS}/{wildcards.dataset}"
    densify = [
        next(
            key
            for key, point in AT["densify"].items()
            if point.until("sparsify").folder == pick
        )
        for pick in PICKS
    ]
    return [f"{folder}/integrate_original/{name}"] + [
        f"{folder}/integrate_densified/{place}/{name}" for place in densify
    ]


def separation_figures():
    """Return the figures of the separated datasets."""
    files = []
    for dataset in SEPARATED:
        names = [
            "error_models",
            "signal_separation",
            "peak_counts",
            "peak_comparison",
            "veto",
        ]
        if PICKS:
            names.append("pick_share")
        if dataset in INTEGRATED and PICKS:
            names.append("spot_quality")
        files += [f"{RESULTS}/{dataset}/figures/{name}.png" for name in names]
    return files


def separation_results():
    """Return everything that the separated datasets of a run give."""
    if not SEPARATED:
        return []
    files = [f"{RESULTS}/separation.csv"]
    if RUN.stages.densify is not None:
        files += separation_files("metrics.json", "densify")
    if INTEGRATED:
        files.append(f"{RESULTS}/spot_quality.csv")
    return files + separation_figures()
