"""Inputs of count_photons, and the jobs that share its frames."""

N_COUNTING_JOBS = RUN.stages.count_photons.jobs


def raw_inputs(wildcards):
    """Return raw frames, geometry and calibration of a dataset; raw patterns that are no plain files go as params."""
    dataset = RUN.datasets[wildcards.dataset]
    if dataset.simulate:
        folder = f"{RESULTS}/{wildcards.dataset}/simulate"
        return {"raw": f"{folder}/raw.h5", "geometry": f"{folder}/geometry.yaml"}
    files = {"geometry": str(dataset.raw.geometry)}
    if dataset.raw.calibration:
        files["calibration"] = str(dataset.raw.calibration)
    return files


def raw_patterns(wildcards, input):
    dataset = RUN.datasets[wildcards.dataset]
    return [input.raw] if dataset.simulate else list(dataset.raw.files)


def calibration_words(wildcards, input):
    return f"--calibration {input.calibration}" if "calibration" in input.keys() else ""


def part_of_counting(wildcards):
    """Return the parameters of one of the jobs that share the frames, as JSON."""
    section = parameters_at("count_photons", wildcards.point, wildcards.dataset)
    return json.dumps(section | {"job": int(wildcards.part)})


def counted_parts(ending):
    return [
        f"{RESULTS}/{{dataset}}/count_photons/{{point}}/parts/{part}.{ending}"
        for part in range(N_COUNTING_JOBS)
    ]
