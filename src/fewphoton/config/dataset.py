"""Where a dataset comes from and what crystal it shows."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from fewphoton.config.frames import SplitConfig
from fewphoton.config.section import Section
from fewphoton.config.simulate import SimulateRotationConfig


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
    split: SplitConfig | None = None
    """Reconstruct from this half of the exposures; the other half, with its known angles, is the reference."""
    reference: SimulateRotationConfig | None = None
    """A second, high-fluence simulation whose known angles give the reference volume."""

    @model_validator(mode="after")
    def _one_source(self) -> DatasetConfig:
        given = [name for name in ("simulate", "raw", "scan") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a dataset needs exactly one of simulate, raw and scan; found {given or 'none'}")
        if self.split is not None and self.reference is not None:
            raise ValueError("a dataset is compared with its other half (split) or with a reference, not with both")
        if self.reference is not None and self.simulate is None:
            raise ValueError("a simulated reference needs a simulated dataset")
        return self
