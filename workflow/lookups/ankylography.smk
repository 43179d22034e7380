"""Molecules recovered from single shots: inputs, parameters, figures and results."""

import math

from fewphoton.config.recovery_study import shared_values

MOLECULES = RUN.ankylography.molecules if RUN.ankylography else {}
STUDIES = RUN.ankylography.studies if RUN.ankylography else {}
PUBLISHED_RECOVERIES = RUN.ankylography.published if RUN.ankylography else None


wildcard_constraints:
    molecule="[^/]+",
    study="[^/]+",
    method="[^/]+",
    batch=r"\d+",


def fetch_parameters(source):
    """Return the section of fetch for a structure file, as JSON."""
    return json.dumps(
        {
            "data_dir": str(RUN.data_dir) if RUN.data_dir else None,
            **source.model_dump(mode="json"),
        }
    )


def shown_structure(wildcards):
    """Return the structure of a molecule, which may have to be fetched; nothing where atoms are random."""
    molecule = MOLECULES[wildcards.molecule]
    if molecule.structure_file is not None:
        return f"{RESULTS}/molecules/{wildcards.molecule}/source/{molecule.structure_file.name}"
    structure = molecule.simulate_shot.structure
    return str(structure) if structure is not None else []


def shot_section(wildcards):
    """Return the parameters of a molecule's shot as JSON, with the structure where it lies."""
    values = MOLECULES[wildcards.molecule].simulate_shot.model_dump(mode="json")
    structure = shown_structure(wildcards)
    return json.dumps(values | ({"structure": structure} if structure else {}))


def recovery_config(wildcards):
    return MOLECULES[wildcards.molecule].methods[wildcards.method]


def recovery_threads(wildcards):
    """Return 2 threads a rank for the one method that shares its work among them."""
    config = recovery_config(wildcards)
    return 2 * config.tasks if config.method == "fewphoton" else 1


def recovery_tasks(wildcards):
    return recovery_config(wildcards).tasks


def study_tasks(wildcards):
    return STUDIES[wildcards.study].tasks


def minutes_of(seconds, attempt):
    """Return the minutes that a job may take for recoveries that take so many seconds."""
    return attempt * (480 if seconds is None else 15 + math.ceil(1.5 * seconds / 60))


MOLECULE_ROWS = [
    (molecule, method)
    for molecule in MOLECULES
    for method in MOLECULES[molecule].methods
]


def recovery_files(folder, name):
    """Return a file of every molecule and method, in the order of the table."""
    return [
        f"{RESULTS}/molecules/{molecule}/{folder}/{method}/{name}"
        for molecule, method in MOLECULE_ROWS
    ]


def molecule_columns(wildcards):
    """Return what stands before the metrics of each row: the molecule, and the name of the method."""
    rows = [
        {"molecule": molecule, "label": method} for molecule, method in MOLECULE_ROWS
    ]
    scores = {
        name: molecule.scores().model_dump(mode="json")
        for name, molecule in MOLECULES.items()
    }
    return json.dumps({"columns": rows, "parameters": {"molecule": scores}})


def recovered_of(wildcards):
    """Return the solutions of all methods of a molecule."""
    return [
        f"{RESULTS}/molecules/{wildcards.molecule}/recover/{method}/recovered.json"
        for method in MOLECULES[wildcards.molecule].methods
    ]


def molecule_figure(name):
    """Return the parameters of a figure of a molecule as JSON."""

    def parameters(wildcards):
        molecule = MOLECULES[wildcards.molecule]
        values = {
            "figure": name,
            "labels": list(molecule.methods),
            "match_angstrom": molecule.score.match_angstrom,
        }
        if name == "balls":
            values |= {"ball_scale": molecule.ball_scale, "view_deg": molecule.view_deg}
        else:
            # What is laid upon the truth may stick out of the grid of the shot.
            spacing = molecule.simulate_shot.grid.spacing_angstrom
            values |= {"spacing_angstrom": spacing}
        return json.dumps(values)

    return parameters


ON_GRID = [name for name, molecule in MOLECULES.items() if molecule.simulate_shot.grid]


def study_structures(wildcards):
    """Return the structures of a study by name, which may have to be fetched."""
    return {
        name: (
            f"{RESULTS}/studies/{wildcards.study}/source/{name}/{molecule.structure_file.name}"
            if molecule.structure_file
            else str(molecule.structure)
        )
        for name, molecule in STUDIES[wildcards.study].molecules.items()
    }


def study_section(wildcards):
    """Return the parameters of a batch of a study as JSON, with the structures where they lie."""
    values = STUDIES[wildcards.study].model_dump(mode="json")
    for name, path in study_structures(wildcards).items():
        values["molecules"][name] |= {"structure": path, "structure_file": None}
    return json.dumps(values | {"batch_number": int(wildcards.batch)})


def batch_seconds(study):
    """Return the seconds that a batch takes at most on its ranks, compilation left out; None where there is no limit."""
    if study.time_budget_s is None:
        return None
    return study.time_budget_s * math.ceil(study.batch / study.tasks)


def study_batches(wildcards):
    return [
        f"{RESULTS}/studies/{wildcards.study}/batches/{number}.csv"
        for number in range(STUDIES[wildcards.study].n_batches)
    ]


def figures_of_study(study):
    """Return the figures of a study by name, with the parameters of draw-molecule.

    What a curve does not vary is fixed at the first value of the configuration; methods are compared over cells that
    all of them recovered.
    """
    noise = "noise_level" if study.white_levels else "photons_per_shot"
    levels = list(study.white_levels or study.photons_per_shot)
    first = {
        "method": next(iter(study.methods)),
        "atom_model": study.atom_models[0],
        noise: levels,
    }
    if study.n_atoms:
        first["molecule"] = "random"

    def curves(series, panels, **only):
        return {
            "figure": "error_curves",
            "series": [series],
            "panels": [panels],
            "only": {
                key: value
                for key, value in (first | only).items()
                if key != series and value is not None
            },
        }

    found = {"error_by_noise": curves(noise, "wavelength_angstrom")}
    if len(study.wavelengths_angstrom) > 1:
        found["error_by_wavelength"] = curves("wavelength_angstrom", noise)
    if len(study.atom_models) > 1:
        wavelength = study.wavelengths_angstrom[0]
        found["error_by_atom_model"] = curves(
            "atom_model", noise, wavelength_angstrom=wavelength
        )
    if study.white_levels and study.photons_per_shot:
        photons = {"noise_level": None, "photons_per_shot": study.photons_per_shot}
        found["error_by_photons"] = curves(
            "photons_per_shot", "wavelength_angstrom", **photons
        )
    if study.shot.grid is None:
        found["precision"] = {
            "figure": "precision",
            "x": noise,
            "series": ["wavelength_angstrom"],
            "only": first,
        }
    shared = shared_values(study)
    if len(study.methods) > 1 and all(shared.values()):
        wavelengths = shared.get("wavelength_angstrom", study.wavelengths_angstrom)
        found["error_by_method"] = curves(
            "method", noise, **shared | {"wavelength_angstrom": wavelengths[0]}
        )
    if all(shared.values()):
        found["time_to_solution"] = {
            "figure": "time_to_solution",
            "series": ["method"],
            "only": shared,
        }
    return found


def curves_of_study(wildcards):
    """Return the parameters of a figure of a study as JSON."""
    return json.dumps(figures_of_study(STUDIES[wildcards.study])[wildcards.figure])


def drawn_as(figure):
    """Return the names under which studies draw a figure."""
    return only(
        dict.fromkeys(
            name
            for study in STUDIES.values()
            for name, values in figures_of_study(study).items()
            if values["figure"] == figure
        )
    )


def ankylography_results():
    """Return everything that the section ankylography of a run gives."""
    files = [f"{RESULTS}/molecules.csv"] if MOLECULES else []
    files += [
        f"{RESULTS}/molecules/{molecule}/figures/balls.png" for molecule in MOLECULES
    ]
    files += [
        f"{RESULTS}/molecules/{molecule}/figures/site_stems.png" for molecule in ON_GRID
    ]
    for name, study in STUDIES.items():
        files.append(f"{RESULTS}/studies/{name}/cells.csv")
        files += [
            f"{RESULTS}/studies/{name}/figures/{figure}.png"
            for figure in figures_of_study(study)
        ]
    if PUBLISHED_RECOVERIES:
        files.append(f"{RESULTS}/published_recoveries.csv")
    return files
