"""Inputs, labels and lists of figures."""


def figure(name, **options):
    """Return the parameters of draw-figure as JSON."""
    return json.dumps({"figure": name, **options})


def point_inputs(**names):
    """Return an input function for files of one point: role = (stage, file)."""

    def paths(wildcards):
        point = AT["evaluate"][wildcards.point]
        found = {}
        for role, (stage, name) in names.items():
            if stage == "frames":
                found[role] = frames_after(CHAIN[-1], wildcards.dataset, point)
            else:
                found[role] = (
                    f"{RESULTS}/{wildcards.dataset}/{stage}/{point.until(stage).folder}/{name}"
                )
        return found

    return paths


def dataset_files(stage, name):
    """Return the files of all points of a dataset."""
    return lambda wildcards: list(
        dict.fromkeys(
            f"{RESULTS}/{wildcards.dataset}/{stage}/{point.until(stage).folder}/{name}"
            for point in POINTS.values()
        )
    )


def label_of(stage, key, value):
    """Return a short name of a swept value."""
    usual = {
        "collapse.n_frames": "{} frames summed",
        "collapse.collapse_deg": "{}° summed",
        "thin.photons_per_frame": "{} photons",
        "add_background.percent": "+{} %",
    }
    return usual.get(f"{stage}.{key}", f"{key} {{}}").format(value)


def labels_at(stage):
    """Return the names of all points as a stage sees them."""
    return list(
        dict.fromkeys(
            ", ".join(label_of(*item) for item in point.until(stage).values) or "base"
            for point in POINTS.values()
        )
    )


def sweep_figure():
    """Return the parameters of the sweep figure: the first swept numbers run along the axis."""
    names = [f"{stage}.{key}" for stage, key, _ in next(iter(POINTS.values())).values]
    if names in ([], ["collapse.n_frames"]):
        return figure("sweep", x="photons_per_frame_mean", series="dataset")
    return figure("sweep", x=names[0], series=names[1] if len(names) > 1 else "dataset")


def reference_argument(wildcards):
    if wildcards.dataset not in REFERENCED:
        return ""
    return f"--reference-volume {RESULTS}/{wildcards.dataset}/assemble/volume.h5"


def all_figures():
    """Return every figure of the run."""
    per_point = ["frames", "orientations", "volume_slices", "patterson", "reflections"]
    files = [
        f"{RESULTS}/{dataset}/figures/{folder}/{name}.png"
        for dataset, folder in ALL_POINTS
        for name in per_point
    ]
    for dataset in RECONSTRUCTED:
        names = [
            "powder",
            "convergence",
            "bragg_diffuse",
            *(["r_factor"] if dataset in REFERENCED else []),
        ]
        files += [f"{RESULTS}/{dataset}/figures/{name}.png" for name in names]
    files += [
        f"{RESULTS}/{dataset}/figures/{folder}/{name}.png"
        for dataset, folder in ROTATED_POINTS
        for name in ("frames", "rotations", "volume_slices")
    ]
    files += [f"{RESULTS}/{dataset}/figures/convergence.png" for dataset in ROTATED]
    if len(ALL_POINTS) > 1:
        files.append(f"{RESULTS}/figures/sweep.png")
    return files
