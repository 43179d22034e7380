"""Inputs of count_photons."""


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
