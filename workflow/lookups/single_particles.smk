"""Single particles: sets of frames, methods, files of each run, figures and results."""

import itertools

PARTICLES = RUN.single_particles.particles if RUN.single_particles else {}
REAL_PATTERNS = RUN.single_particles.patterns if RUN.single_particles else {}
FRAME_SETS = {name: particle.frame_sets() for name, particle in PARTICLES.items()}


wildcard_constraints:
    particle="[^/]+",
    frames="[^/]+",
    seed=r"\d+",
    patterns="[^/]+",


def particle_structure(wildcards):
    """Return the structure of a particle, which may have to be fetched."""
    particle = PARTICLES[wildcards.particle]
    if particle.structure_file is None:
        return str(particle.simulate_particles.structure)
    return f"{RESULTS}/particles/{wildcards.particle}/source/{particle.structure_file.name}"


def frames_section(wildcards):
    """Return the parameters of a set of frames as JSON, with the structure where it lies."""
    values = FRAME_SETS[wildcards.particle][wildcards.frames].model_dump(mode="json")
    return json.dumps(values | {"structure": particle_structure(wildcards)})


def pose_method(wildcards):
    return PARTICLES[wildcards.particle].methods[wildcards.method]


def seeded_section(stage):
    """Return the parameters of a stage of a method as JSON, with the seed of the run."""

    def parameters(wildcards):
        section = getattr(pose_method(wildcards), stage)
        return json.dumps(
            section.model_dump(mode="json") | {"seed": int(wildcards.seed)}
        )

    return parameters


def phase_section(wildcards):
    """Return the parameters of phase: those of the method, or of the particle."""
    section = pose_method(wildcards).phase or PARTICLES[wildcards.particle].phase
    return json.dumps(section.model_dump(mode="json") | {"seed": int(wildcards.seed)})


def particle_tasks(wildcards):
    return pose_method(wildcards).reconstruct.tasks


def particle_threads(wildcards):
    """Return the threads that a job can use: a second one gains nothing with small frames."""
    frames = FRAME_SETS[wildcards.particle][wildcards.frames]
    return 2 if frames.detector.pixels > 64 else 1


def begins_with(stage):
    """Return a wildcard pattern of the methods that begin with a stage."""
    return only(
        dict.fromkeys(
            name
            for particle in PARTICLES.values()
            for name, method in particle.methods.items()
            if method.first == stage
        )
    )


def folder_of_run(particle, frames, method, seed):
    return f"{RESULTS}/particles/{particle}/{frames}/{method}/{seed}"


def run_folder(wildcards):
    return folder_of_run(
        wildcards.particle, wildcards.frames, wildcards.method, wildcards.seed
    )


def first_files(wildcards):
    """Return poses and volume of the stage that finds them from nothing."""
    folder = f"{run_folder(wildcards)}/{pose_method(wildcards).first}"
    return {"poses": f"{folder}/poses.h5", "volume": f"{folder}/volume.h5"}


def solved_files(wildcards):
    """Return the poses and the volume that a method ends with."""
    if pose_method(wildcards).refine_poses is None:
        files = first_files(wildcards)
        if pose_method(wildcards).first == "train_xrai":
            # Refinement merges all frames, so that none stays apart there.
            files["held_out"] = f"{run_folder(wildcards)}/train_xrai/held_out.txt"
        return files
    folder = f"{run_folder(wildcards)}/refine_poses"
    return {"poses": f"{folder}/poses.h5", "volume": f"{folder}/volume.h5"}


def solved_volume(wildcards):
    return solved_files(wildcards)["volume"]


def score_section(wildcards):
    return PARTICLES[wildcards.particle].score().model_dump_json()


def brightness(simulation):
    """Return mean photons of a frame, or nothing where frames are without noise."""
    return None if simulation.noise == "none" else simulation.photons_per_frame


# EMC counts photons, so frames without noise are nothing to it.
PARTICLE_RUNS = [
    (particle, frames, method, seed)
    for particle, sets in FRAME_SETS.items()
    for (frames, simulation), method, seed in itertools.product(
        sets.items(), PARTICLES[particle].methods, PARTICLES[particle].seeds
    )
    if simulation.noise != "none"
    or PARTICLES[particle].methods[method].first != "reconstruct"
]


def particle_columns(wildcards):
    """Return what stands before the scores of each run."""
    rows = []
    for particle, frames, method, seed in PARTICLE_RUNS:
        simulation = FRAME_SETS[particle][frames]
        row = {"particle": particle, "n_frames": simulation.n_frames}
        if brightness(simulation) is not None:
            row["photons_per_frame"] = brightness(simulation)
        rows.append(row | {"method": method, "seed": seed})
    scores = {
        name: particle.score().model_dump(mode="json")
        for name, particle in PARTICLES.items()
    }
    return json.dumps(
        {
            "columns": rows,
            "parameters": {"particle": scores},
            "choices": CHOICES,
            "chosen": [
                measured_stages(particle, method)
                for particle, _, method, _ in PARTICLE_RUNS
            ],
        }
    )


# Metrics of a run's stages that become columns, and their names there.
CHOICES = {
    "train_xrai": {"seconds_training": "train_xrai_seconds"},
    "match_patterns": {"seconds": "match_patterns_seconds"},
    "refine_poses": {"seconds": "refine_poses_seconds"},
    "score_training": {
        f"{frames}_pose_error_median_deg": f"after_training_{frames}_pose_error_median_deg"
        for frames in ("train", "held_out")
    },
}


def measured_stages(particle, method):
    """Return the stages of a method of whose metrics some become columns."""
    config = PARTICLES[particle].methods[method]
    stages = [
        stage
        for stage in CHOICES
        if stage != "score_training" and getattr(config, stage) is not None
    ]
    # Without refinement, score_particles tells the errors of training itself.
    scored = ["score_training"] if stages == ["train_xrai", "refine_poses"] else []
    return stages + scored


def chosen_metrics(wildcards):
    """Return the metrics of the stages of each run from which single ones are taken."""
    return [
        f"{folder_of_run(particle, frames, method, seed)}/{stage}/metrics.json"
        for particle, frames, method, seed in PARTICLE_RUNS
        for stage in measured_stages(particle, method)
    ]


def particle_results(wildcards):
    """Return the files that tell where each row comes from: all densities, then all poses."""
    densities, poses = [], []
    for particle, frames, method, seed in PARTICLE_RUNS:
        config = PARTICLES[particle].methods[method]
        folder = folder_of_run(particle, frames, method, seed)
        densities.append(f"{folder}/phase/density.h5")
        poses.append(
            f"{folder}/{'refine_poses' if config.refine_poses else config.first}/poses.h5"
        )
    return densities + poses


def particle_scores(wildcards):
    return [f"{folder_of_run(*run)}/score/metrics.json" for run in PARTICLE_RUNS]


def shown_methods(particle, frames):
    """Return the methods of a set of frames; their first seed is drawn, whatever the scores say."""
    return list(
        dict.fromkeys(
            method
            for one, other, method, _ in PARTICLE_RUNS
            if (one, other) == (particle, frames)
        )
    )


def of_shown(stage, name):
    """Return the input function of a file of each method's first seed."""

    def paths(wildcards):
        seed = PARTICLES[wildcards.particle].seeds[0]
        folder = f"{RESULTS}/particles/{wildcards.particle}/{wildcards.frames}"
        return [
            f"{folder}/{method}/{seed}/{stage}/{name}"
            for method in shown_methods(wildcards.particle, wildcards.frames)
            if stage != "train_xrai"
            or PARTICLES[wildcards.particle].methods[method].first == stage
        ]

    return paths


def truth_map(wildcards):
    """Return the true density as the score of the first method has it; all of them are alike."""
    return of_shown("score", "truth.ccp4")(wildcards)[0]


def particle_figure(name):
    """Return the parameters of a figure of a set of frames as JSON."""

    def parameters(wildcards):
        labels = shown_methods(wildcards.particle, wildcards.frames)
        if name == "training":
            methods = PARTICLES[wildcards.particle].methods
            labels = [label for label in labels if methods[label].first == "train_xrai"]
        return json.dumps(
            {
                "figure": name,
                "labels": (["truth"] if name == "densities" else []) + labels,
            }
        )

    return parameters


def accuracy_section(wildcards):
    """Return the parameters of a table of accuracies as JSON."""
    bright = any(
        brightness(simulation) is not None
        for simulation in FRAME_SETS[wildcards.particle].values()
    )
    return json.dumps(
        {
            "figure": "accuracy_table",
            "merit": wildcards.merit,
            "groups": "photons_per_frame" if bright else None,
            "only": {"particle": wildcards.particle},
        }
    )


def located(patterns, name):
    """Return where a file of real patterns lies, fetched or as it is named; `::/dataset` stays behind it."""
    if REAL_PATTERNS[patterns].folder is None:
        return name
    return f"{RESULTS}/patterns/{patterns}/source/{name}"


def located_files(*roles):
    """Return the input function of plain files of real patterns."""

    def paths(wildcards):
        section = REAL_PATTERNS[wildcards.patterns]
        return list(
            dict.fromkeys(
                located(wildcards.patterns, name).partition("::")[0]
                for role in roles
                for name in getattr(section, role)
            )
        )

    return paths


def pattern_words(flag, role):
    """Return an option of real patterns with its files and their datasets, or nothing."""

    def words(wildcards):
        names = getattr(REAL_PATTERNS[wildcards.patterns], role)
        paths = [located(wildcards.patterns, name) for name in names]
        return [flag, *paths] if paths else []

    return words


def fetched_pattern(wildcards):
    """Return the section that fetches a file of real patterns."""
    section = REAL_PATTERNS[wildcards.patterns].model_dump(mode="json")
    keys = ("folder", "url", "sha256")
    return json.dumps(
        {
            "name": wildcards.name,
            "data_dir": str(RUN.data_dir) if RUN.data_dir else None,
            **{key: section[key] for key in keys},
        }
    )


def patterns_section(stage):
    return lambda wildcards: getattr(
        REAL_PATTERNS[wildcards.patterns], stage
    ).model_dump_json()


def single_particle_results():
    """Return everything that the section single_particles of a run gives."""
    files = [f"{RESULTS}/particles.csv"] if PARTICLES else []
    for particle, sets in FRAME_SETS.items():
        files += [
            f"{RESULTS}/particles/{particle}/tables/{merit}.png"
            for merit in RUN.single_particles.merits
        ]
        for frames in sets:
            if not shown_methods(particle, frames):
                continue
            names = ["densities", "shell_correlations"]
            if any(
                PARTICLES[particle].methods[method].first == "train_xrai"
                for method in shown_methods(particle, frames)
            ):
                names.append("training")
            files += [
                f"{RESULTS}/particles/{particle}/{frames}/figures/{name}.png"
                for name in names
            ]
    return files + [
        f"{RESULTS}/patterns/{name}/figures/patterns.png" for name in REAL_PATTERNS
    ]
