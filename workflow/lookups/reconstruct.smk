"""Memory, ranks and parameters of reconstruct and assemble."""


def reconstruct_tasks(wildcards):
    return parameters_at("reconstruct", wildcards.point, wildcards.dataset)["tasks"]


def emc_memory(wildcards, input, attempt):
    """Return MB for views, volumes and photons; the views of a rank shrink with the number of ranks."""
    return int((3000 + 10 * megabytes(input)) * attempt)


def background_shape(wildcards):
    """Return the file with the shape of the background where a point looks for background, else nothing."""
    section = parameters_at("reconstruct", wildcards.point, wildcards.dataset)
    shape = RUN.datasets[wildcards.dataset].background
    return [str(shape)] if shape and section["background"] == "per_frame" else []


@functools.cache
def assemble_values(dataset):
    """Return the parameters of assemble, with grid, corrections and q range as reconstruct has them."""
    values = RUN.stages.assemble.model_dump(mode="json")
    same = RUN.reconstruct_of(dataset).model_dump(mode="json")
    return values | {
        key: same[key] for key in ("grid", "corrections", "q_max_inv_angstrom")
    }


def assemble_section(wildcards):
    """Return the parameters of assemble as JSON."""
    return json.dumps(assemble_values(wildcards.dataset))


def shuffled_section(wildcards):
    """Return the same with angles exchanged between frames: the level of chance."""
    return json.dumps(assemble_values(wildcards.dataset) | {"shuffle_seed": 0})
