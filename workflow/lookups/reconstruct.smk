"""Memory, parameters and results of reconstruct and assemble."""


def emc_memory(wildcards, input, attempt):
    """Return MB for views, volumes and photons; the views of a rank shrink with the number of ranks."""
    return int((3000 + 10 * megabytes(input)) * attempt)


def assemble_values():
    """Return the parameters of assemble, with grid, corrections and q range as reconstruct has them."""
    values = RUN.stages.assemble.model_dump(mode="json")
    same = RUN.stages.reconstruct.model_dump(mode="json")
    return values | {
        key: same[key] for key in ("grid", "corrections", "q_max_inv_angstrom")
    }


def assemble_section(wildcards):
    """Return the parameters of assemble as JSON."""
    return json.dumps(assemble_values())


def shuffled_section(wildcards):
    """Return the same with angles exchanged between frames: the level of chance."""
    return json.dumps(assemble_values() | {"shuffle_seed": 0})


def rotation_results():
    """Return the volumes of all datasets in random orientations."""
    return [
        f"{RESULTS}/{dataset}/reconstruct/{folder}/volume.h5"
        for dataset in ROTATED
        for folder in AT["reconstruct"]
    ]
