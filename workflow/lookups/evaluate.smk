"""Inputs of evaluate, and the rows of the metrics table."""


def evaluate_inputs(wildcards):
    """Return volume, frames and orientations of a point, with reference and truth where the dataset has them."""
    dataset, point = wildcards.dataset, AT["evaluate"][wildcards.point]
    folder = f"{RESULTS}/{dataset}/reconstruct/{point.until('reconstruct').folder}"
    files = {
        "volume": f"{folder}/volume.h5",
        "orientations": f"{folder}/orientations.h5",
        "frames": frames_after(CHAIN[-1], dataset, point),
    }
    if dataset in REFERENCED:
        files["reference"] = f"{RESULTS}/{dataset}/assemble/volume.h5"
    if dataset in SOURCES["simulate"]:
        files["truth"] = f"{RESULTS}/{dataset}/simulate/truth.h5"
    return files


def shuffled_inputs(wildcards):
    """Return the inputs of evaluate for frames merged with shuffled angles."""
    dataset, point = wildcards.dataset, SHUFFLED[wildcards.point]
    folder = point.without("evaluate").folder
    files = {
        "volume": f"{RESULTS}/{dataset}/assemble_shuffled/{folder}/volume.h5",
        "frames": frames_after(CHAIN[-1], dataset, point),
    }
    if dataset in REFERENCED:
        files["reference"] = f"{RESULTS}/{dataset}/assemble/volume.h5"
    if dataset in SOURCES["simulate"]:
        files["truth"] = f"{RESULTS}/{dataset}/simulate/truth.h5"
    return files


def shuffled_metrics():
    """Return the metrics by chance of all points, where every dataset has angles to shuffle and a comparison."""
    known = not ROTATED and all(
        name in SOURCES["simulate"] or name in HALVED for name in RECONSTRUCTED
    )
    return [
        f"{RESULTS}/{dataset}/evaluate_shuffled/{AT['evaluate'][folder].without('reconstruct').folder}/metrics.json"
        for dataset, folder in ALL_POINTS
        if known
    ]


ALL_POINTS = [
    (dataset, folder) for dataset in RECONSTRUCTED for folder in AT["evaluate"]
]
ROTATED_POINTS = [
    (dataset, folder) for dataset in ROTATED for folder in AT["reconstruct"]
]


def score_of(dataset, folder):
    """Return the metrics of a point: of evaluate, or of evaluate_rotations where all rotations are sampled."""
    stage = "evaluate_rotations" if dataset in ROTATED else "evaluate"
    return f"{RESULTS}/{dataset}/{stage}/{folder}/metrics.json"


def rotated_inputs(wildcards):
    """Return what evaluate_rotations reads."""
    dataset, point = wildcards.dataset, AT["reconstruct"][wildcards.point]
    folder = f"{RESULTS}/{dataset}/reconstruct/{wildcards.point}"
    return {
        "volume": f"{folder}/volume.h5",
        "orientations": f"{folder}/orientations.h5",
        "frames": frames_after(CHAIN[-1], dataset, point),
        "truth": f"{RESULTS}/{dataset}/simulate/truth.h5",
    }


def table_columns(wildcards):
    """Return what stands before the metrics of each row: dataset and swept values."""
    rows = [
        {
            "dataset": dataset,
            **{
                f"{stage}.{key}": value
                for stage, key, value in (AT["evaluate"] | AT["reconstruct"])[
                    folder
                ].values
            },
        }
        for dataset, folder in ALL_POINTS + ROTATED_POINTS
    ]
    rotations = RUN.stages.evaluate_rotations.model_dump(mode="json")
    parameters = {"dataset": {dataset: rotations for dataset in ROTATED}}
    return json.dumps({"columns": rows, "parameters": parameters})


def provenance_files():
    """Return the files that tell where each row comes from: all volumes, then what evaluate made of them."""
    return of_reconstructions("volume.h5", "reconstruct") + [
        (
            f"{RESULTS}/{dataset}/reconstruct/{folder}/volume.h5"
            if dataset in ROTATED
            else f"{RESULTS}/{dataset}/evaluate/{folder}/evaluation.h5"
        )
        for dataset, folder in ALL_POINTS + ROTATED_POINTS
    ]


def of_reconstructions(name, *stages):
    """Return the files ``name`` of these stages for all points, stage by stage."""
    return [
        f"{RESULTS}/{dataset}/{stage}/{(AT['evaluate'] | AT['reconstruct'])[folder].until('reconstruct').folder}/{name}"
        for stage in stages
        for dataset, folder in ALL_POINTS + ROTATED_POINTS
    ]


COMPARED_PRESETS = RECONSTRUCTED == REFERENCED and any(
    (stage, key) == ("reconstruct", "preset")
    for point in POINTS.values()
    for stage, key, _ in point.values
)
