"""Names and look-ups that all rules share. Nothing here reads data."""

import functools
import json

from fewphoton.config import RunConfig, sweep_grids, sweep_points
from fewphoton.config.load import check_section
from fewphoton.config.sweep import BASE, ORDER, drawn_axes, frame_chain

RUN = check_section(RunConfig, config, "configuration")
# What the chosen scale replaces, for the report's front page.
config.update(run=RUN.run, title=RUN.title)
RESULTS = f"results/{RUN.run}"
POINTS = {point.folder: point for point in sweep_points(RUN)}
AT = {
    stage: {point.until(stage).folder: point.until(stage) for point in POINTS.values()}
    for stage in ORDER
}
CHAIN = ["count_photons", *frame_chain(RUN)]
GRIDS = sweep_grids(RUN)
# Frames merged with shuffled angles know nothing of how a reconstruction found its own.
SHUFFLED = {
    point.without("reconstruct").folder: point.without("reconstruct")
    for point in AT["evaluate"].values()
}
SHUFFLED_FRAMES = {
    point.without("evaluate").folder: point.without("evaluate")
    for point in SHUFFLED.values()
}
SOURCES = {
    kind: [
        name
        for name, dataset in RUN.datasets.items()
        if getattr(dataset, kind) is not None
    ]
    for kind in (
        "simulate",
        "raw",
        "scan",
        "frames",
        "simulate_stills",
        "simulate_particles",
        "simulate_serial",
    )
}
RECONSTRUCTED = SOURCES["simulate"] + SOURCES["raw"] + SOURCES["scan"]
ROTATED = SOURCES["simulate_particles"] + SOURCES["simulate_serial"]
COUNTED = [
    name
    for name in SOURCES["simulate"] + SOURCES["raw"]
    if not RUN.datasets[name].simulate or RUN.datasets[name].simulate.readout
]
SEPARATED = SOURCES["frames"] + SOURCES["simulate_stills"]
HALVED = [name for name, dataset in RUN.datasets.items() if dataset.split is not None]
REFERENCED = [
    name for name, dataset in RUN.datasets.items() if dataset.split or dataset.reference
]


def only(names):
    """Return a wildcard pattern that matches the given names, and nothing where there are none."""
    return "|".join(names) or "(?!)"


wildcard_constraints:
    dataset=only(RUN.datasets),
    grid="|".join(GRIDS),
    point="[^/]+",


@functools.cache
def parameters_at(stage, folder, dataset=None):
    """Return the parameters of a stage at a point."""
    return AT[stage][folder].section(RUN, stage, dataset)


def section_of(stage):
    """Return the parameters of a stage at the point of the wildcards, as JSON for its command line."""
    return lambda wildcards: json.dumps(
        parameters_at(stage, wildcards.point, wildcards.get("dataset"))
    )


def source_frames(dataset, point):
    """Return the photon file that a dataset starts from."""
    if dataset in ROTATED:
        return f"{RESULTS}/{dataset}/simulate/frames.h5"
    if dataset in SOURCES["scan"]:
        folder = "split" if dataset in HALVED else "import_scan"
        return f"{RESULTS}/{dataset}/{folder}/frames.h5"
    if dataset in SOURCES["simulate"] and dataset not in COUNTED:
        return f"{RESULTS}/{dataset}/simulate/frames.h5"
    stage = "count_photons"
    if RUN.stages.import_sparse is not None and dataset in SOURCES["raw"]:
        stage = "import_sparse"
    return f"{RESULTS}/{dataset}/{stage}/{point.until(stage).folder}/frames.h5"


def frames_after(stage, dataset, point):
    """Return the photon file that a stage of the frame chain writes at a point."""
    if stage == "count_photons":
        return source_frames(dataset, point)
    return f"{RESULTS}/{dataset}/{stage}/{point.until(stage).folder}/frames.h5"


def frames_before(stage):
    """Return the input function of a stage of the frame chain, or of reconstruct."""
    before = CHAIN[CHAIN.index(stage) - 1] if stage in CHAIN else CHAIN[-1]
    return lambda wildcards: frames_after(
        before, wildcards.dataset, AT[stage][wildcards.point]
    )


def at_points(pattern):
    """Return the paths of ``pattern`` (with {dataset} and {point}) over all datasets and points of reconstruct."""
    return [
        pattern.format(dataset=dataset, point=folder)
        for dataset in RECONSTRUCTED
        for folder in AT["reconstruct"]
    ]


def megabytes(files):
    """Return the size of input files in MB, or 0 before they exist."""
    return sum(file.size_mb for file in files if hasattr(file, "size_mb"))


def mpi_of(tasks):
    """Return the resource that tells an executor of MPI jobs; a single rank is an ordinary job."""
    return lambda wildcards: "mpiexec" if tasks(wildcards) > 1 else None


def cpus_of(tasks):
    """Return the function that shares a job's threads out over its ranks."""
    return lambda wildcards, threads: max(1, threads // tasks(wildcards))


def launch(wildcards, resources):
    """Return the words before a program of several ranks; the launcher is the profile's, else the bundled MPI's."""
    if resources.tasks == 1:
        return ""
    launcher = resources.get("launcher", resources.get("mpi"))
    # srun takes one CPU for a rank, whatever its job asked for, unless this is set.
    return (
        f"SRUN_CPUS_PER_TASK={resources.cpus_per_task} {launcher} -n {resources.tasks}"
    )


def promised_ranks(wildcards, resources):
    """Return the option that makes a program of several ranks count them before it starts."""
    return f"--expect-ranks {resources.tasks}" if resources.tasks > 1 else ""


def parquet_beside(table):
    """Return the Parquet twin of a table where the run wants it, else nothing."""
    return f"{RESULTS}/{table}.parquet" if RUN.parquet else []


def parquet_words(wildcards, output):
    return ["--parquet", output.parquet] if output.parquet else []
