"""Configuration of the stages that make photon frames: count-photons, collapse, thin, add-background, split."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from fewphoton.config.section import Section


class CountPhotonsConfig(Section):
    """Raw ADU to photons."""

    calibration: Literal["given", "dark", "fit", "jungfrau", "photons"] = "fit"
    """Where offset and gain come from: `given` numbers or a calibration file, `dark` frames (offset and noise; gain
    from adu_per_photon), `fit` to the data's own 0- and 1-photon peaks, `jungfrau` pedestals and gains of three
    stages, or `photons` when the frames already hold photon counts."""
    adu_per_photon: float | None = Field(default=None, gt=0)
    """Nominal gain: ADU that one photon adds (start value of the fit; the gain itself for `given` and `dark`)."""
    offset_adu: float | None = None
    """Uniform offset for `given` where no calibration file is named."""
    read_noise_adu: float | None = Field(default=None, gt=0)
    """Read noise (standard deviation) for `given`; measured otherwise."""
    threshold_photons: float = Field(default=0.6, gt=0, lt=1)
    """A pixel holds n photons when its signal lies in (n - 1 + threshold, n + threshold] photons."""
    fit_frames: int = Field(default=500, ge=2)
    """Frames, spread over the run, that the fit of offset, gain and noise reads."""
    fit_per: Literal["pixel", "panel"] = "pixel"
    """Offset and noise are fitted per pixel, or per panel (ASIC) where there are fewer than about 20 frames; gains
    always per panel. It holds for `fit`, for `dark`, and for the noise of `jungfrau`."""
    common_mode: bool = False
    """Subtract each panel's own median from each frame before the threshold."""
    photon_energy_kev: float | None = Field(default=None, gt=0)
    """Photon energy, needed by `jungfrau` to turn keV into photons."""
    minimum_valid_adu: float | None = None
    """Raw values below are bad reads: the pixel is left out of that frame's photons and counted (NaN always is)."""
    max_noise_ratio: float = Field(default=4.0, gt=1)
    """A pixel is bad when its noise exceeds this multiple of its panel's median noise, dead below its inverse."""
    max_hot_ratio: float = Field(default=20.0, gt=1)
    """An isolated pixel is hot when it is lit more than this multiple of the local expectation, beyond chance."""
    max_total_sigma: float = Field(default=20.0, gt=0)
    """Frames whose photon total lies this many (robust, at least Poisson) sigmas above the median are rejected."""
    max_shift_sigma: float = Field(default=2.0, gt=0)
    """Frames whose empty pixels lie this many read noises from their offsets, in the median, are rejected."""
    exposures_per_batch: int | None = Field(default=None, ge=1)
    """Exposures in an uninterrupted series where the files do not say; None: one series a file."""
    omega_start_deg: float | None = None
    """Goniometer angle of the first exposure where the files do not hold angles."""
    omega_step_deg: float | None = None
    """Rotation in one exposure where the files do not hold angles."""
    chunk_frames: int = Field(default=256, ge=1)
    """Raw frames read at a time; fewer where they would take more than 256 MiB. It does not change the result."""
    jobs: int = Field(default=1, ge=1)
    """Jobs that share the frames of a dataset, each with an equal part of them. It does not change the result."""
    job: int | None = Field(default=None, ge=0)
    """Which of the jobs this is, from 0: the workflow sets it, and `join-photons` joins their parts. None: the frames
    are counted in one go."""

    @model_validator(mode="after")
    def _is_one_of_the_jobs(self) -> CountPhotonsConfig:
        if self.job is not None and self.job >= self.jobs:
            raise ValueError(f"job {self.job} is none of {self.jobs} jobs, which are counted from 0")
        return self


class JoinPhotonsConfig(Section):
    """Parts of a dataset, counted by several jobs, made one; there is nothing to choose."""


class CollapseConfig(Section):
    """Sum successive frames of a batch."""

    n_frames: int | None = Field(default=None, ge=1)
    """Frames summed into one. Give this or collapse_deg."""
    collapse_deg: float | None = Field(default=None, gt=0)
    """Rotation range summed into one frame, in degrees, counted from the batch's first angle."""
    drop_incomplete: bool = False
    """Leave out the last group of a batch where it is shorter than the others."""
    pixel_binning: int = Field(default=1, ge=1)
    """Sum squares of this many pixels along each axis into one."""

    @model_validator(mode="after")
    def _one_measure(self) -> CollapseConfig:
        if (self.n_frames is None) == (self.collapse_deg is None):
            raise ValueError("collapse needs exactly one of n_frames and collapse_deg")
        return self


class ThinConfig(Section):
    """Binomial thinning: keep each photon with one probability, so that the mean falls to the wanted one."""

    photons_per_frame: float = Field(gt=0)
    """Wanted mean photons per frame, over all frames."""
    seed: int = Field(default=0, ge=0)
    """Seed of the random draws."""


class AddBackgroundConfig(Section):
    """Poisson photons of a smooth background, added to each frame (Ayyer et al. 2015, section 4.2)."""

    percent: float = Field(ge=0)
    """Mean background photons per frame in percent of the mean signal photons per frame."""
    shape: Literal["uniform", "radial"] = "uniform"
    """`uniform` over the unmasked pixels, or `radial`: a Gaussian in q of width radial_width_inv_angstrom."""
    radial_width_inv_angstrom: float = Field(default=0.3, gt=0)
    """Standard deviation in q of the radial shape."""
    seed: int = Field(default=0, ge=0)
    """Seed of the random draws."""


class SplitConfig(Section):
    """Part the exposures of a run into independent halves."""

    part: Literal["even", "odd"] = "even"
    """Which exposures are kept, by their place in the source."""
    reference_collapse_deg: float = Field(default=0.05, gt=0)
    """Rotation range over which the other half is summed before it is merged with its known angles."""


class CollectMetricsConfig(Section):
    """What stands before the metrics in each row of the table."""

    columns: list[dict[str, int | float | str]] = Field(min_length=1)
    """Dataset and swept values of each row."""
    parameters: dict[str, dict[str, dict[str, Any]]] = Field(default_factory=dict)
    """Parameters behind rows that their result files do not record, by a column and its value, as
    `dataset: {NAME: {...}}`; they enter the digests of these rows alone."""
    choices: dict[str, dict[str, str]] = Field(default_factory=dict)
    """What is taken from chosen metrics, by the name of a choice: columns of the table by names of metrics."""
    chosen: list[list[str]] = Field(default_factory=list)
    """The choices of each row, in the order of its `chosen_metrics`. Empty: none."""

    @model_validator(mode="after")
    def _rows_have_known_choices(self) -> CollectMetricsConfig:
        if self.chosen and len(self.chosen) != len(self.columns):
            raise ValueError(f"chosen: {len(self.chosen)} for {len(self.columns)} rows of columns")
        unknown = {name for names in self.chosen for name in names} - set(self.choices)
        if unknown:
            raise ValueError(f"chosen: choices tells nothing of {', '.join(sorted(unknown))}")
        return self

    def parameters_of(self, row: int) -> list[dict[str, Any]]:
        """Return the parameters behind a row that no file records."""
        columns = self.columns[row]
        found = [(column, str(columns.get(column))) for column in self.parameters]
        return [self.parameters[column][value] for column, value in found if value in self.parameters[column]]


class ImportScanConfig(Section):
    """A sparse rotation scan to photon frames."""

    group: str | None = None
    """Scan group in the file; None: the first."""
    saturation_counts: int | None = Field(default=None, ge=1)
    """Counts at or above are saturated: such hits are left out and counted."""
    cap_counts: int | None = Field(default=None, ge=1)
    """Counts above are set to this."""
    exposures_per_batch: int | None = Field(default=None, ge=1)
    """Exposures in an uninterrupted series. None: the scan is one series."""
