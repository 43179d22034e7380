"""Opening the inputs of single particles: structures that are simulated, and patterns of real runs."""

from __future__ import annotations

import os
from pathlib import Path

from fewphoton.commands.dataset_inputs import open_geometry, public_folder, report_dataset
from fewphoton.commands.frame_glimpse import glimpse_raw
from fewphoton.commands.input_report import InputReport
from fewphoton.config import CountPhotonsConfig, DatasetConfig
from fewphoton.config.single_particles import ParticleConfig, RealPatternsConfig
from fewphoton.io.frame_labels import read_labels
from fewphoton.stages.frame_image import masked_by


def report_particle(name: str, particle: ParticleConfig, data_dir: Path | None, shown: int | None) -> InputReport:
    """Open the inputs of a simulated particle, and tell the sets of frames that are made of it."""
    dataset = DatasetConfig(simulate_particles=particle.simulate_particles, structure_file=particle.structure_file)
    report = report_dataset(name, dataset, CountPhotonsConfig(), data_dir, shown)
    report.tell("frame sets", ", ".join(particle.frame_sets()), n_frame_sets=len(particle.frame_sets()))
    report.tell("methods", f"{', '.join(particle.methods)}, with {len(particle.seeds)} seed(s) each")
    return report


def report_patterns(name: str, source: RealPatternsConfig, data_dir: Path | None, shown: int | None) -> InputReport:
    """Open patterns of a real run, with their masks and labels."""
    report = InputReport(name, "patterns")
    folder = ""
    if source.folder is not None:
        names = tuple(dict.fromkeys(item.partition("::")[0] for item in (*source.files, *source.masks, *source.labels)))
        place = public_folder(report, data_dir, source.folder, source.url, names, source.sha256)
        if place is None or report.problems:
            return report
        folder = str(place)
    files, masks, labels = (
        [os.path.join(folder, item) for item in items] for items in (source.files, source.masks, source.labels)
    )
    with report.trying():
        report.add_frames(glimpse_raw(files, shown))
    open_geometry(report, Path(source.geometry), lambda detector: masked_by(masks, detector.frame_shape))
    report.compare_energies(source.count_photons.photon_energy_kev)
    if labels and report.frames is not None:
        with report.trying():
            found = read_labels(labels, report.frames.n_frames)
            report.tell("labels", f"{int((found > 0).sum())} wanted, {int((found == 0).sum())} not, of {len(found)}")
    return report
