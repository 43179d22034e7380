"""Opening every input that a dataset of a configuration names."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from fewphoton.commands.frame_glimpse import glimpse_raw, glimpse_scan
from fewphoton.commands.input_report import NOT_ORIENTED, ORIENTED, RANDOM, InputReport
from fewphoton.config import CountPhotonsConfig, CrystalConfig, DatasetConfig, FramesSource, RawSource, ScanSource
from fewphoton.data import Beam, Crystal, Detector
from fewphoton.data.physical_constants import KEV_ANGSTROM
from fewphoton.errors import InputFileError
from fewphoton.evaluate.predict_spots import allowed_reflections, predict_rotation, predict_still
from fewphoton.io.background_files import read_background_shape
from fewphoton.io.calibration_files import read_gain_stages, read_pixel_calibration
from fewphoton.io.crystal_description import crystal_from_config
from fewphoton.io.crystal_files import read_structure
from fewphoton.io.dials_experiments import DialsExperiment, read_dials_experiments
from fewphoton.io.fetch import local_folder, sha256_of
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.molecule_files import read_molecule
from fewphoton.io.raw_frames import open_raw_frames
from fewphoton.simulate.modular_detector import modular_detector
from fewphoton.simulate.rotation_experiment import euler_zyz
from fewphoton.simulate.tiled_detector import square_detector, tiled_detector
from fewphoton.stages.frame_image import masked_by

_CLOCK_TOLERANCE_S = 60.0
_STILL_EXCITATION_INV_ANGSTROM = 1e-3


def report_dataset(
    name: str, dataset: DatasetConfig, counting: CountPhotonsConfig, data_dir: Path | None, shown: int | None
) -> InputReport:
    """Open all inputs of a dataset and tell what they hold.

    Parameters
    ----------
    name : str
        Dataset.
    dataset : DatasetConfig
        Its section.
    counting : CountPhotonsConfig
        Tells which kind of calibration a raw dataset has, and its photon energy.
    data_dir : Path or None
        Folder with local copies of public data sets.
    shown : int or None
        Frame to show; None: some at the beginning.
    """
    kind = next(kind for kind in _REPORTERS if getattr(dataset, kind) is not None)
    report = InputReport(name, kind)
    if dataset.structure_file is not None:
        source = dataset.structure_file
        folder = public_folder(report, data_dir, source.folder, source.url, (source.name,), source.sha256)
        path = None if folder is None else folder / source.name
    else:
        path = getattr(getattr(dataset, kind), "structure", None)
    _REPORTERS[kind](report, dataset, counting, data_dir, shown, path)
    _compare_clocks(report)
    if dataset.background is not None and report.detector is not None and report.beam is not None:
        with report.trying():
            read_background_shape(dataset.background, report.detector, report.beam)
            report.tell("background", f"shape from {dataset.background}")
    return report


def _compare_clocks(report: InputReport) -> None:
    """Note frames whose files are younger than now: nothing made from them is ever up to date."""
    now = time.time()
    for path in {Path(source.partition("::")[0]) for source in report.frames.sources} if report.frames else ():
        if path.is_file() and (changed := path.stat().st_mtime) > now + _CLOCK_TOLERANCE_S:
            told = datetime.fromtimestamp(changed).isoformat(sep=" ", timespec="seconds")
            report.problems.append(
                f"{path}: was changed at {told}, which is yet to come, so that snakemake takes it again at every "
                f"start. Set the clock of the machine that wrote it, then `touch {shlex.quote(str(path))}`"
            )


def report_unfinished_raw(name: str, section: Mapping[str, Any], shown: int | None) -> InputReport:
    """Open what a raw section names that is not valid as a whole, as far as it goes."""
    report = InputReport(name, "raw")
    files, geometry = section.get("files"), section.get("geometry")
    if isinstance(files, list | tuple) and files and all(isinstance(item, str) for item in files):
        with report.trying():
            report.add_frames(glimpse_raw(files, shown))
    if isinstance(geometry, str):
        open_geometry(report, Path(geometry), None)
    if isinstance(section.get("crystal"), dict):
        try:
            config = CrystalConfig.model_validate(section["crystal"])
        except ValidationError:
            return report  # the configuration's own problems are told already
        with report.trying():
            crystal, axis = crystal_from_config(config)
            report.add_crystal(crystal, NOT_ORIENTED if config.ub_inv_angstrom is None else ORIENTED, axis)
    return report


def open_geometry(report: InputReport, path: Path, masked: Callable[[Detector], NDArray[np.bool_]] | None) -> None:
    """Read a geometry, with the mask of frames and files added."""
    with report.trying():
        geometry = read_geometry(path, None if report.frames is None else report.frames.frame_shape)
        detector = geometry.detector
        if report.frames is not None:
            detector = detector.with_mask(detector.masked | ~np.isfinite(report.frames.mean))
        if masked is not None:
            with report.trying():
                detector = detector.with_mask(detector.masked | masked(detector))
        report.add_detector(detector, geometry.beam)
        if geometry.rotation_axis is not None:
            report.values["rotation_axis_of_geometry"] = geometry.rotation_axis.tolist()


def _report_raw(
    report: InputReport,
    dataset: DatasetConfig,
    counting: CountPhotonsConfig,
    data_dir: Path | None,
    shown: int | None,
    structure: Path | None,
) -> None:
    source = dataset.raw
    assert isinstance(source, RawSource)
    with report.trying():
        report.add_frames(glimpse_raw(source.files, shown))
    open_geometry(report, source.geometry, None)
    report.compare_energies(counting.photon_energy_kev)
    _add_configured_crystal(report, source.crystal)
    if source.calibration is not None:
        _open_calibration(report, source.calibration, counting.calibration)
    elif counting.calibration in ("dark", "jungfrau"):
        report.problems.append(
            f"stages.count_photons.calibration is {counting.calibration!r}, but datasets.{report.name}.raw names no "
            "calibration. Name the file there"
        )


def _add_configured_crystal(report: InputReport, config: CrystalConfig) -> None:
    with report.trying():
        crystal, axis = crystal_from_config(config)
        report.add_crystal(crystal, NOT_ORIENTED if config.ub_inv_angstrom is None else ORIENTED, axis)
        other = report.values.get("rotation_axis_of_geometry")
        if other is not None and abs(np.dot(other, axis)) < 0.99 * np.linalg.norm(other) * np.linalg.norm(axis):
            report.problems.append(
                f"crystal.rotation_axis is {axis.tolist()}, but the geometry has the goniometer axis {other}. Correct "
                "the one that is wrong"
            )
        if config.ub_inv_angstrom is not None:
            report.predict(crystal, axis / np.linalg.norm(axis))


def _open_calibration(report: InputReport, path: Path, kind: str) -> None:
    if report.detector is None:
        return
    with report.trying():
        if kind == "given":
            read_pixel_calibration(path, report.detector.n_pixels)
        elif kind == "jungfrau":
            read_gain_stages(path, report.detector.n_pixels)
        elif kind == "dark":
            with open_raw_frames([str(path)]) as dark:
                if dark.frame_shape != report.detector.frame_shape:
                    expected = report.detector.frame_shape
                    problem = "dark frames have another shape"
                    raise InputFileError(path, problem, expected=expected, found=dark.frame_shape)
                report.tell("dark frames", f"{dark.n_frames} in {path}")
                return
        report.tell("calibration", f"{kind}: {path}")


def _report_scan(
    report: InputReport,
    dataset: DatasetConfig,
    counting: CountPhotonsConfig,
    data_dir: Path | None,
    shown: int | None,
    structure: Path | None,
) -> None:
    source = dataset.scan
    assert isinstance(source, ScanSource)
    names = (source.file, source.geometry)
    folder = public_folder(report, data_dir, source.folder, source.url, names, source.sha256)
    if folder is not None:
        if (folder / source.file).is_file():
            with report.trying():
                report.add_frames(
                    glimpse_scan(folder / source.file, source.group, source.saturation_counts, source.cap_counts, shown)
                )
        if (folder / source.geometry).is_file():
            open_geometry(report, folder / source.geometry, None)
    _add_configured_crystal(report, source.crystal)


def _report_frames(
    report: InputReport,
    dataset: DatasetConfig,
    counting: CountPhotonsConfig,
    data_dir: Path | None,
    shown: int | None,
    structure: Path | None,
) -> None:
    source = dataset.frames
    assert isinstance(source, FramesSource)
    folder = Path()
    if source.folder is not None:
        found_folder = public_folder(report, data_dir, source.folder, source.url, source.names(), source.sha256)
        if found_folder is None or report.problems:
            return
        folder = found_folder
    with report.trying():
        files = [name if source.folder is None else os.path.join(folder, name) for name in source.files]
        report.add_frames(glimpse_raw(files, dataset.shown_frame if shown is None else shown))
    masks = () if source.mask is None else (str(folder / source.mask),)
    open_geometry(report, folder / source.geometry, lambda detector: masked_by(masks, detector.frame_shape))
    for role in ("dark", "flat"):
        image = getattr(source, role)
        if image is not None and report.detector is not None:
            with report.trying():
                masked_by([str(folder / image)], report.detector.frame_shape)
                report.tell(role, str(image))
    report.compare_energies(None)
    if source.experiments:
        with report.trying():
            found = [item for name in source.experiments for item in read_dials_experiments(folder / name)]
            _add_experiments(report, tuple(found), dataset)


def _add_experiments(report: InputReport, experiments: tuple[DialsExperiment, ...], dataset: DatasetConfig) -> None:
    """Tell cell and orientation of DIALS experiments, and predict the shown frame where its experiment is known."""
    report.tell("experiments", f"{len(experiments)} of DIALS", n_experiments=len(experiments))
    report.add_crystal(experiments[0].crystal, ORIENTED, experiments[0].rotation_axis)
    if report.frames is None or report.detector is None or report.centre is None:
        return
    if report.detector.frame_shape != experiments[0].detector.frame_shape:
        report.problems.append(
            f"the experiments describe frames of {experiments[0].detector.frame_shape} pixels, the geometry of "
            f"{report.detector.frame_shape}. Name the experiments of these frames"
        )
        return
    d_min, frame = 1 / report.centre.q_max_inv_angstrom, report.frames.first_shown
    if experiments[0].rotation_axis is None:
        if frame < len(experiments):
            item = experiments[frame]
            hkl = allowed_reflections(item.crystal, d_min)
            report.add_spots(predict_still(item, hkl, item.ub_inv_angstrom[0], _STILL_EXCITATION_INV_ANGSTROM))
        return
    if dataset.integrate_spots is None:
        return
    for part in dataset.integrate_spots.runs:
        item = experiments[part.experiment]
        n_frames = part.n_frames or report.frames.n_frames
        image = frame + (0 if part.first_image is None else part.first_image - item.first_image)
        if frame < n_frames and image < item.n_images:
            report.add_spots(predict_rotation(item, d_min, image, 1))
        if frame < n_frames:
            return
        frame -= n_frames


def public_folder(
    report: InputReport,
    data_dir: Path | None,
    folder: str,
    url: str | None,
    names: tuple[str, ...],
    sha256: Mapping[str, str],
) -> Path | None:
    """Return the local folder of a public data set after checking its files, or None where there is no copy here."""
    with report.trying():
        place = local_folder(data_dir, folder)
        if place is None:
            if url is None:
                report.problems.append(f"{folder}: no local copy and no address. Set data_dir, FEWPHOTON_DATA or url")
            else:
                report.tell("files", f"{len(names)} are fetched from {url} when the run starts; none is opened here")
            return None
        for name in names:
            if not (place / name).is_file():
                report.problems.append(f"{place / name}: no such file. Copy the data set anew")
            elif name in sha256 and (found := sha256_of(place / name)) != sha256[name]:
                report.problems.append(
                    f"{place / name}: has another content than was published; expected {sha256[name]}; found {found}. "
                    "Copy the file anew, or correct sha256"
                )
        report.tell("files", f"{len(names)} in {place}, {sum(name in sha256 for name in names)} with known SHA-256")
        return place
    return None


def _report_simulation(
    report: InputReport,
    dataset: DatasetConfig,
    counting: CountPhotonsConfig,
    data_dir: Path | None,
    shown: int | None,
    structure: Path | None,
) -> None:
    config = getattr(dataset, report.kind)
    n_frames = config.n_batches * config.frames_per_batch if report.kind == "simulate" else config.n_frames
    report.tell("frames", f"{n_frames} are simulated when the run starts", n_frames=n_frames)
    with report.trying():
        builders: Mapping[str, Callable[[Any], Detector]] = {
            "simulate": tiled_detector,
            "simulate_stills": modular_detector,
        }
        detector = builders.get(report.kind, square_detector)(config.detector)
        if report.kind == "simulate_particles":
            beam = Beam(KEV_ANGSTROM / config.photon_energy_kev, polarization_fraction=config.polarization_fraction)
        else:
            beam = Beam(config.wavelength_angstrom)
        report.add_detector(detector, beam)
    if structure is None:
        return
    if report.kind == "simulate_particles":
        with report.trying():
            molecule = read_molecule(structure, config.chains, waters=config.waters)
            report.tell("structure", f"a molecule of {len(molecule)} atoms in {structure}")
        return
    with report.trying():
        atoms = read_structure(structure)
        report.tell("structure", f"{len(atoms.element)} atoms of the asymmetric unit in {structure}")
        turned = euler_zyz(config.u_euler_deg) if report.kind == "simulate" else np.eye(3)
        crystal = Crystal(atoms.cell, atoms.space_group, turned)
        axis = np.asarray(config.rotation_axis, dtype=np.float64) if report.kind == "simulate" else None
        report.add_crystal(crystal, RANDOM if axis is None else ORIENTED, axis)
        if axis is not None:
            report.predict(crystal, axis / np.linalg.norm(axis), (0.0, 1.0))


_Reporter = Callable[[InputReport, DatasetConfig, CountPhotonsConfig, Path | None, int | None, Path | None], None]
_REPORTERS: Mapping[str, _Reporter] = {
    "raw": _report_raw,
    "scan": _report_scan,
    "frames": _report_frames,
    "simulate": _report_simulation,
    "simulate_stills": _report_simulation,
    "simulate_particles": _report_simulation,
    "simulate_serial": _report_simulation,
}
