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


def grid_files(stage, name):
    """Return the files of the points of one section of the sweep."""
    return lambda wildcards: list(
        dict.fromkeys(
            f"{RESULTS}/{wildcards.dataset}/{stage}/{point.until(stage).folder}/{name}"
            for point in GRIDS[wildcards.grid]
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


def labelled(name, stage):
    """Return the parameters of a figure whose curves are the points of a section, named by what varies in it."""

    def parameters(wildcards):
        points = list(
            dict.fromkeys(point.until(stage) for point in GRIDS[wildcards.grid])
        )
        varying = [
            len({point.values[place] for point in points}) > 1
            for place in range(len(points[0].values))
        ]
        labels = [
            ", ".join(
                label_of(*item)
                for item, varies in zip(point.values, varying)
                if varies or len(points) == 1
            )
            or "base"
            for point in points
        ]
        return figure(name, labels=labels)

    return parameters


def sweep_figure():
    """Return the parameters of the sweep figure: parameters that vary run along the axis, as lines, and as panels."""
    x, series, facet = drawn_axes(
        list(POINTS.values()), len(RECONSTRUCTED + ROTATED) > 1
    )
    return figure("sweep", x=x, series=series, facet=facet)


def study_figure():
    """Return the parameters of the study figure: photons per frame, or what stands for them, run along the axis."""
    names = [f"{stage}.{key}" for stage, key, _ in next(iter(POINTS.values())).values]
    usual = ("thin.photons_per_frame", "collapse.n_frames", "add_background.percent")
    return figure(
        "convergence_study",
        x=next((name for name in usual if name in names), "photons_per_frame_mean"),
    )


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
        if RUN.figures == "all"
    ]
    for dataset in RECONSTRUCTED:
        names = [
            "convergence",
            "bragg_diffuse",
            *(["r_factor"] if dataset in REFERENCED else []),
        ]
        files.append(f"{RESULTS}/{dataset}/figures/powder.png")
        files += [
            f"{RESULTS}/{dataset}/figures/{grid}/{name}.png"
            for grid in GRIDS
            for name in names
            if RUN.figures == "all"
        ]
    files += [
        f"{RESULTS}/{dataset}/figures/{folder}/{name}.png"
        for dataset, folder in ROTATED_POINTS
        for name in ("frames", "rotations", "volume_slices")
    ]
    files += [
        f"{RESULTS}/{dataset}/figures/{grid}/convergence.png"
        for dataset in ROTATED
        for grid in GRIDS
    ]
    if COMPARED_PRESETS:
        files.append(f"{RESULTS}/figures/convergence_study.png")
    elif len(ALL_POINTS) > 1:
        files.append(f"{RESULTS}/figures/sweep.png")
    return files
