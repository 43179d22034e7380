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
    """Return the inputs of evaluate for the same frames merged with shuffled angles."""
    point = AT["evaluate"][wildcards.point].until("reconstruct").folder
    files = evaluate_inputs(wildcards)
    files.pop("orientations")
    files["volume"] = (
        f"{RESULTS}/{wildcards.dataset}/assemble_shuffled/{point}/volume.h5"
    )
    return files


def shuffled_metrics():
    """Return the metrics by chance of all points, where every dataset has angles to shuffle and a comparison."""
    known = not ROTATED and all(
        name in SOURCES["simulate"] or name in HALVED for name in RECONSTRUCTED
    )
    return [
        f"{RESULTS}/{dataset}/evaluate_shuffled/{folder}/metrics.json"
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
    return json.dumps({"columns": rows})
