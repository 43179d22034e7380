"""Where a dataset comes from and what crystal it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from fewphoton.config.frames import SplitConfig
from fewphoton.config.section import Section
from fewphoton.config.simulate import SimulateRotationConfig
from fewphoton.config.simulate_particles import SimulateParticlesConfig
from fewphoton.config.simulate_serial import SimulateSerialConfig
from fewphoton.config.simulate_stills import SimulateStillsConfig
from fewphoton.config.spot_quality import IntegrateSpotsConfig

_OF_A_STRUCTURE = ("simulate_stills", "simulate_particles", "simulate_serial")


class CrystalConfig(Section):
    """Cell, symmetry and orientation."""

    cell: tuple[float, float, float, float, float, float]
    """a, b, c in angstrom; alpha, beta, gamma in degrees."""
    space_group: str
    """Hermann-Mauguin symbol, for example `F d -3 m`."""
    ub_inv_angstrom: (
        tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]] | None
    ) = None
    """UB matrix by rows in the laboratory frame at goniometer zero, without 2 pi. None: U is the identity."""
    rotation_axis: tuple[float, float, float] = (0.0, 1.0, 0.0)
    """Goniometer axis in the laboratory frame; positive angles are right-handed."""


class RawSource(Section):
    """Raw detector frames in files."""

    files: tuple[str, ...] = Field(min_length=1)
    """Globs, files (anything FabIO reads), or HDF5 datasets as `file.h5::/path`."""
    geometry: Path
    """Geometry: .poni, CrystFEL .geom, NXmx HDF5, CBF with header, or our own .yaml."""
    calibration: Path | None = None
    """HDF5 with datasets offset_adu, adu_per_photon, read_noise_adu (each a frame), or dark frames."""
    crystal: CrystalConfig
    """Cell, symmetry, orientation."""


class ScanSource(Section):
    """A sparse rotation scan: row, column and intensity lists with the number of pixels in each frame."""

    folder: str
    """Folder of the data set below data_dir."""
    file: str
    """HDF5 file in that folder."""
    group: str | None = None
    """Scan group in the file; None: the first."""
    geometry: str
    """ImageD11 .par file of the detector in that folder."""
    crystal: CrystalConfig
    """Cell, symmetry, orientation."""
    url: str | None = None
    """Public address of the folder that holds both files; used where data_dir is not given."""
    sha256: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of each file, checked after fetching and on local copies alike."""
    saturation_counts: int | None = Field(default=None, ge=1)
    """Counts at or above are saturated: such hits are left out and counted."""
    cap_counts: int | None = Field(default=None, ge=1)
    """Counts above are set to this, before anything else."""
    exposures_per_batch: int | None = Field(default=None, ge=1)
    """Exposures in an uninterrupted series. None: the scan is one series."""


class FramesSource(Section):
    """Frames whose background is separated: strong pixels, peaks, hits."""

    files: tuple[str, ...] = Field(min_length=1)
    """Frames: globs, files, or HDF5 datasets as `file.h5::/path`; plain names below `folder` where that is given."""
    geometry: str
    """Geometry: .poni, CrystFEL .geom, NXmx HDF5, CBF with header, or our own .yaml."""
    mask: str | None = None
    """Image whose pixels other than 0 are masked."""
    dark: str | None = None
    """Dark image, or frames to average."""
    flat: str | None = None
    """Flat-field image."""
    experiments: tuple[str, ...] = ()
    """DIALS experiment lists, for integrate_spots."""
    reference: str | None = None
    """Merged reference intensities (MTZ, or the .hkl of the data set), for integrate_spots."""
    folder: str | None = None
    """Folder of a public data set below data_dir; then all files above are names in it, and are fetched and checked."""
    url: str | None = None
    """Public address of that folder; used where data_dir is not given."""
    sha256: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of each file, checked after fetching and on local copies alike."""

    def names(self) -> tuple[str, ...]:
        """All files of the source."""
        single = (self.geometry, self.mask, self.dark, self.flat, self.reference)
        return tuple(dict.fromkeys((*self.files, *self.experiments, *(name for name in single if name is not None))))


class StructureFile(Section):
    """A structure that is fetched."""

    folder: str
    """Folder of the data set below data_dir."""
    name: str
    """File in that folder."""
    url: str | None = None
    """Public address of that folder; used where data_dir is not given."""
    sha256: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of the file by name."""


class FetchConfig(Section):
    """One file of a public data set."""

    name: str
    """File name."""
    folder: str
    """Folder of the data set below data_dir."""
    data_dir: Path | None = None
    """Folder with local copies; the environment variable FEWPHOTON_DATA names it as well."""
    url: str | None = None
    """Public address of the folder, used where there is no local copy."""
    sha256: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of files by name."""


class DatasetConfig(Section):
    """One dataset: exactly one source, and what it is compared with."""

    simulate: SimulateRotationConfig | None = None
    """Simulate the frames."""
    raw: RawSource | None = None
    """Read raw frames."""
    scan: ScanSource | None = None
    """Read a sparse scan."""
    frames: FramesSource | None = None
    """Separate the background of frames."""
    simulate_stills: SimulateStillsConfig | None = None
    """Simulate serial stills and separate their background."""
    simulate_particles: SimulateParticlesConfig | None = None
    """Simulate snapshots of single particles and reconstruct them over all rotations."""
    simulate_serial: SimulateSerialConfig | None = None
    """Simulate few-photon snapshots of crystals in random orientations and reconstruct them over all rotations."""
    structure_file: StructureFile | None = None
    """The structure of simulate_stills, simulate_particles or simulate_serial is a file of a public data set."""
    reconstruct: dict[str, Any] = Field(default_factory=dict)
    """Keys that replace those of stages.reconstruct for this dataset."""
    integrate_spots: IntegrateSpotsConfig | None = None
    """Integrate spots at predicted positions in original and densified frames, and compare; needs densify."""
    background: Path | None = None
    """Shape of the background over the detector (HDF5: a map over pixels, or a curve over q), where reconstruct has
    `background: per_frame`. None: the same on all pixels."""
    shown_frame: int = Field(default=0, ge=0)
    """Frame that the figures of signal separation show."""
    split: SplitConfig | None = None
    """Reconstruct from this half of the exposures; the other half, with its known angles, is the reference."""
    reference: SimulateRotationConfig | None = None
    """A second, high-fluence simulation whose known angles give the reference volume."""

    @model_validator(mode="after")
    def _one_source(self) -> DatasetConfig:
        sources = ("simulate", "raw", "scan", "frames", *_OF_A_STRUCTURE)
        given = [name for name in sources if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a dataset needs exactly one of {', '.join(sources[:-1])} and {sources[-1]}; found "
                f"{' and '.join(given) or 'none'}"
            )
        simulated = self.simulate_stills or self.simulate_particles or self.simulate_serial
        if simulated is not None:
            if (self.structure_file is None) == (simulated.structure is None):
                raise ValueError(f"{given[0]} needs its structure, either here or as structure_file")
        elif self.structure_file is not None:
            raise ValueError(f"structure_file goes with {', '.join(_OF_A_STRUCTURE)}")
        if self.integrate_spots is not None and not (
            self.simulate_stills is not None or (self.frames is not None and self.frames.experiments)
        ):
            raise ValueError("integrate_spots needs simulated stills, or frames with experiments")
        if self.split is not None and self.reference is not None:
            raise ValueError("a dataset is compared with its other half (split) or with a reference, not with both")
        if self.reference is not None and self.simulate is None:
            raise ValueError("a simulated reference needs a simulated dataset")
        return self
