"""Configuration of reconstruct (EMC) and of assemble (merging with known angles)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, model_validator

from fewphoton.config.section import Section


class GridConfig(Section):
    """The cubic grid in hkl space."""

    voxels_per_cell: int = Field(default=10, ge=1)
    """Voxels per reciprocal cell edge (Ayyer et al. 2015, section 4.3: 10); 1 for single particles, whose cell is a
    box about the particle."""
    n_voxels: int | None = Field(default=None, ge=8)
    """Voxels along an edge (366 in the paper). None: as many as the detector reaches."""


class _Merging(Section):
    grid: GridConfig = GridConfig()
    """Voxels and extent of the volume."""
    corrections: bool = True
    """Divide solid angle and polarization out of the volume (and put them into the expected counts)."""
    q_max_inv_angstrom: float | None = Field(default=None, gt=0)
    """Pixels beyond this q are left out altogether. None: none."""


class AssembleConfig(_Merging):
    """Merge frames of known angles into a volume: the reference of a comparison."""

    angle_offset_deg: float = 0.0
    """Added to every recorded angle."""
    shuffle_seed: int | None = Field(default=None, ge=0)
    """Exchange the recorded angles between frames at random: what orientations found by chance would give."""


class MarchStage(Section):
    """One stage of a reconstruction that begins with few angles and low q."""

    iterations: int = Field(ge=1)
    """Iterations of the stage at the most."""
    orientation_stride: int = Field(default=1, ge=1)
    """Every so many orientations take part; of an axis scan only."""
    level: int | None = Field(default=None, ge=1)
    """Subdivision of the 600-cell, where all rotations are sampled. None: that of the full reconstruction."""
    q_fraction: float = Field(default=1.0, gt=0, le=1)
    """Pixels up to this fraction of the largest q take part. Neighbouring views stay within a voxel of each other as
    long as orientation_stride times q_fraction does not exceed 1."""
    tolerance: float = Field(default=0.0, ge=0)
    """The stage ends early when the relative change of the volume falls below this at the full likelihood."""


class OrientationsConfig(Section):
    """Which orientations frames are compared with."""

    sampled: Literal["about_axis", "rotation_group"] = "about_axis"
    """`about_axis`: n_orientations equally spaced angles about the goniometer's axis; `rotation_group`: all rotations,
    for crystals of known cell in unknown orientation and for single particles."""
    level: int | None = Field(default=None, ge=1)
    """Parts that each edge of the 600-cell is cut into: 10 (5 n^3 + n) rotations about 75/n degrees apart, divided by
    the order of the group below. None: a step of one voxel at the edge of the grid."""
    reduced: bool = True
    """Leave out orientations that the proper rotations of the crystal's Laue group make equivalent to others. Without
    symmetry (P 1, single particles) there are none."""
    dense_q_fraction: float = Field(default=1.0, gt=0, le=1)
    """Pixels up to this fraction of the largest q take part until refinement begins: a sample that is too coarse for
    high q is also cheaper without. Below 1 needs refine."""
    memory_gb: float | None = Field(default=None, gt=0)
    """Memory that the tables of a rank may take. None: the machine's memory shared by its ranks. A run that needs more
    ends before it begins."""


class RefineStage(Section):
    """One stage of a finer sample, in which each frame tries the orientations about those it finds probable."""

    level: int = Field(ge=1)
    """Subdivision of the 600-cell."""
    iterations: int = Field(default=10, ge=1)
    """Iterations at the most."""
    q_fraction: float = Field(default=1.0, gt=0, le=1)
    """Pixels up to this fraction of the largest q take part. The first iteration of a stage that sees more than the
    former still judges orientations by what the former saw. The last stage must see all."""
    threshold: float = Field(default=1e-3, ge=0, lt=1)
    """A frame keeps the orientations of the former stage whose probability exceeds this fraction of its largest."""
    tolerance: float = Field(default=0.0, ge=0)
    """The stage ends early when the relative change of the volume falls below this."""


class MinibatchConfig(Section):
    """First iterations on a part of the frames, drawn anew each time (stepwise EM)."""

    iterations: int = Field(ge=1)
    """Iterations, from the first on."""
    fraction: float = Field(gt=0, lt=1)
    """Part of the frames in each of them."""
    averaging_exponent: float = Field(default=0.6, gt=0.5, le=1)
    """The n-th iteration of a stage enters the running average of the views with weight n to minus this power
    (Cappe & Moulines 2009, doi:10.1111/j.1467-9868.2009.00698.x)."""


class HeldOutConfig(Section):
    """Frames that are kept out of the update, to tell when further iterations only fit noise."""

    fraction: float = Field(default=0.05, gt=0, le=0.5)
    """Part of the frames, drawn from the seed; the merged half sets and frame angles include them."""
    every: int = Field(default=5, ge=1)
    """Iterations between looks at their likelihood."""
    patience: int = Field(default=3, ge=1)
    """Stop after so many looks in a row without a new best; the last iterate is the result."""
    minimum_gain: float = Field(default=1e-5, ge=0)
    """Log-likelihood per photon by which a new best must exceed the former."""


class WindowsConfig(Section):
    """Iterations that look at each frame only in the orientations where its probability is.

    A full sweep over all orientations chooses the windows. They are used once the sweep finds that the former ones
    missed hardly anything, for iterations at one exponent of the likelihood and one resolution, and not from the
    starts that acceleration extrapolates. A run converges on a full sweep alone, and the last look is exact. Frames
    with a background of their own cannot have windows.
    """

    full_sweep_every: int = Field(default=8, ge=2)
    """Every so many iterations all orientations are looked at and the windows chosen anew."""
    dropped_mass: float = Field(default=1e-6, gt=0, lt=0.1)
    """Probability of a frame that may be left out of the windows, and of the update, at the most."""
    margin_blocks: int = Field(default=1, ge=0)
    """Blocks of 32 orientations on both sides of each occupied one that belong to the windows as well."""
    missed_mass: float = Field(default=1e-3, gt=0, lt=1)
    """Windows are used when the former ones held all but this part of the probability (mean over frames)."""


PRESETS: dict[str, dict[str, Any]] = {
    "none": {},
    "recommended": {"acceleration": "squarem", "symmetry": "laue"},
    "squarem": {"acceleration": "squarem"},
    "symmetrized": {"symmetry": "laue"},
    "annealed": {"beta_start": "automatic"},
    "march": {
        "march": ({"iterations": 20, "orientation_stride": 2, "q_fraction": 0.5, "tolerance": 1e-2},),
    },
    "minibatch": {"minibatch": {"iterations": 15, "fraction": 0.1}},
}
"""What each preset fills in.

On simulated frames of 10 to 623 photons `recommended` came to rest in 6 to 9 iterations, Laue averaging alone in 7 to
11, acceleration alone in 62 to 136, plain iterations in 44 to more than 300 (docs/emc.md). Annealing, the march and
minibatches took more iterations to a good R from peaks at the lattice points, and annealing and the march failed from
starts that hardly tell the lattice.
"""


class ReconstructConfig(_Merging):
    """Expand-maximize-compress: orientations unknown about one axis (Ayyer et al. 2015, section 2) or altogether."""

    preset: Literal["none", "recommended", "squarem", "symmetrized", "annealed", "march", "minibatch"] = "none"
    """Fills keys that are not given. `none` leaves the paper's plain iteration; `recommended` converges in fewer
    iterations and at fewer photons; the others take one option each: SQUAREM acceleration, Laue symmetry, an annealed
    likelihood, a march from coarse angles and low q, minibatches."""
    orientations: OrientationsConfig = OrientationsConfig()
    """Rotations about one axis, or all."""
    n_orientations: int | None = Field(default=None, ge=1)
    """Equally spaced angles over a full turn. None: pi times the voxels along an edge (1150 for 366)."""
    axis_margin_pixels: float = Field(default=11.0, ge=0)
    """Pixels nearer than this to the projected rotation axis do not enter the orientation probabilities (paper: 11);
    they are merged all the same. Where all rotations are sampled there is no axis, and all pixels enter."""
    start_model: Literal["automatic", "peaks", "speckle"] = "automatic"
    """`peaks`: a Gaussian of random height at each lattice point; `speckle`: the mean of the data at each q times
    random speckle, for single particles; `automatic`: speckle where the grid has one voxel a cell."""
    start_width_voxels: float = Field(default=2.0, gt=0)
    """Standard deviation of the starting model's Gaussians, or of the kernel that smooths the noise of its speckle, in
    voxels (paper: 2)."""
    start_background: float = Field(default=0.01, ge=0)
    """Level between the Gaussians, as a fraction of their mean height, or of the speckle, as a fraction of its mean."""
    starts: int = Field(default=1, ge=1)
    """Random starts to try; the one of the highest log-likelihood after start_iterations is taken."""
    start_iterations: int = Field(default=5, ge=1)
    """Iterations by which starts are judged, at the options of the first iteration. They are not counted."""
    seed: int = Field(default=0, ge=0)
    """Seed of the starting model."""
    max_iterations: int = Field(default=200, ge=1)
    """Iterations at the most."""
    tolerance: float = Field(default=1e-5, ge=0)
    """Stop when the relative rms change of the volume between iterates falls below this."""
    intensity_floor: float = Field(default=1e-6, gt=0, lt=1)
    """Smallest expected count, as a fraction of the mean expected count, before its logarithm is taken."""
    view_weights: Literal["uniform", "exposure"] = "uniform"
    """How views are averaged by compress: `uniform` as in the paper, every view by its quadrature weight (alike in an
    axis scan), or `exposure`, by the frames each view received."""
    beta_start: Annotated[float, Field(gt=0, le=1)] | Literal["automatic"] = 1.0
    """Exponent of the likelihood at the first iteration: 1 is the paper's; below 1 anneals; `automatic` derives it from
    the mean photons N of a frame as exp(-6.5 (N / 1e5)^0.15), the rule of Dragonfly."""
    beta_factor: float = Field(default=1.2, ge=1)
    """The exponent grows by this factor every beta_every iterations until it reaches 1."""
    beta_every: int = Field(default=5, ge=1)
    """See beta_factor."""
    march: tuple[MarchStage, ...] = ()
    """Stages with fewer angles and lower q before the full reconstruction; they count towards max_iterations."""
    refine: tuple[RefineStage, ...] = ()
    """Stages with finer samples of all rotations after the full reconstruction; they come on top of max_iterations."""
    minibatch: MinibatchConfig | None = None
    """First iterations on a part of the frames. None: every iteration uses all frames."""
    acceleration: Literal["none", "squarem"] = "none"
    """`squarem` extrapolates after every second iteration (Varadhan & Roland 2008) and takes the step back when the
    log-likelihood falls (see acceleration_fall); at full resolution, full likelihood and all frames only."""
    acceleration_scale: Literal["intensity", "log"] = "intensity"
    """What is extrapolated: intensities, which are kept positive, or their logarithms."""
    acceleration_fall: float = Field(default=1e-3, ge=0)
    """Log-likelihood per photon that an extrapolation may lose if the volume then changes less than before: with
    uniform view_weights plain iterations lose some as well. 0: none."""
    symmetry: Literal["none", "laue"] = "none"
    """`laue` averages equivalents of the crystal's Laue group in every iteration; the paper does not. The volume that
    is written is merged from all frames with the orientations so found, and is not averaged itself."""
    held_out: HeldOutConfig | None = None
    """Stop on the likelihood of frames kept out of the update. None: on the change or on max_iterations alone."""
    fluence: Literal["same", "per_frame"] = "same"
    """`per_frame` estimates a factor for the expected counts of each frame (mean 1), where exposures or crystals
    differ; it costs next to nothing. The paper has one fluence for all."""
    background: Literal["none", "per_frame"] = "none"
    """`per_frame` estimates for each frame the level of a background that does not turn with the crystal, of the shape
    given to the stage, or the same on all pixels. An iteration then takes about three times as long. Where the volume
    has about as many voxels as there are photons it explains each of them by itself, and backgrounds fall towards zero:
    `symmetry: laue`, larger voxels or more frames keep it from that."""
    background_start: float = Field(default=0.25, gt=0, lt=1)
    """Part of each frame's photons that is background at the start. Scattering of the crystal that looks like the
    background in every orientation cannot be told from it, so of that the start decides; differences between frames
    are found."""
    windows: WindowsConfig | None = None
    """Look at each frame only where its probability is, in iterations between full sweeps. None: all orientations in
    every iteration, as in the paper."""
    likelihood_table: Literal["float32", "int16", "uint8"] = "float32"
    """Type of the table of log intensities while orientations are found: `int16` is 1.4 times as fast and changes
    probabilities by less than 2e-4, `uint8` 1.7 times and by less than 0.05. The last look is exact."""
    batch_frames: int = Field(default=32768, ge=1)
    """Frames whose probabilities are held in memory at a time, at the most."""
    batch_hits: int = Field(default=8_000_000, ge=1)
    """Pixels with photons in those frames, at the most (but at least one frame), so that bright frames make no larger
    batches than dim ones; arranging a batch takes about 70 bytes for each."""
    photon_storage: Literal["memory", "mapped", "automatic"] = "automatic"
    """Where photons are kept: in the `memory` of each rank; `mapped` from a scratch file that each node writes once and
    its ranks share, so that photons may exceed memory; or `automatic`: mapped where several ranks share a node or the
    photons would fill more than a quarter of its memory. The result is the same to the last bit."""
    scratch_folder: Path | None = None
    """Folder of that file, best on a disk of the node's own: it needs 16 bytes for each pixel with photons of a frame,
    up to three times that with march, minibatch or held_out. None: TMPDIR where that is set, or else the folder of the
    checkpoint. The file loses its name before it is filled, so nothing is left behind, however the program ends."""
    checkpoint_every: int = Field(default=10, ge=1)
    """Iterations between checkpoints."""
    trace_every: int = Field(default=1, ge=1)
    """Iterations between entries of the trace, where one is asked for: integrated intensities, by which an iterate can
    be compared with a reference afterwards."""
    trace_radius_voxels: float | None = Field(default=None, gt=0)
    """Radius of the spheres in which the trace integrates. None: 2 voxels, or half-way to the nearest other lattice
    point where that is less."""
    tasks: int = Field(default=1, ge=1)
    """MPI ranks; orientations are sharded over them."""

    @model_validator(mode="wrap")
    @classmethod
    def _preset_fills_what_is_not_given(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        preset = values.get("preset") if isinstance(values, dict) else None
        filling = PRESETS.get(preset, {}) if isinstance(preset, str) else {}
        if not filling:
            return handler(values)
        made = handler({**filling, **values})
        # What a preset fills in does not count as given: another preset may take its place in a sweep.
        made.model_fields_set.intersection_update(values)
        return made

    @model_validator(mode="after")
    def _annealing_must_end(self) -> ReconstructConfig:
        if self.beta_start != 1.0 and self.beta_factor == 1:
            raise ValueError("beta_start below 1 needs beta_factor above 1, or the exponent never reaches 1")
        return self

    @model_validator(mode="after")
    def _stages_fit_the_sampling(self) -> ReconstructConfig:
        if self.refine and (self.fluence != "same" or self.background != "none"):
            raise ValueError("refine takes frames as alike: it needs fluence: same and background: none")
        about_axis = self.orientations.sampled == "about_axis"
        if about_axis and (self.refine or any(stage.level is not None for stage in self.march)):
            raise ValueError("refine, and the level of a march stage, need orientations.sampled: rotation_group")
        if (self.refine[-1].q_fraction if self.refine else self.orientations.dense_q_fraction) < 1:
            raise ValueError(
                "the last stage of refine, or without refine orientations.dense_q_fraction, must be 1 in q"
            )
        if about_axis:
            return self
        if self.n_orientations is not None:
            raise ValueError("n_orientations belongs to an axis scan; all rotations are sampled by orientations.level")
        if any(stage.orientation_stride > 1 for stage in self.march):
            raise ValueError("orientation_stride belongs to an axis scan; give the march stage a level")
        return self

    @model_validator(mode="after")
    def _background_needs_float32(self) -> ReconstructConfig:
        if self.background != "none" and self.likelihood_table != "float32":
            raise ValueError(
                "with background: per_frame no table of logarithms is made; likelihood_table must be float32"
            )
        return self

    @model_validator(mode="after")
    def _windows_need_signal_alone(self) -> ReconstructConfig:
        if self.windows is not None and self.background != "none":
            raise ValueError("windows cannot be used with background per_frame; leave one of them out")
        return self

    @model_validator(mode="after")
    def _full_reconstruction_must_begin(self) -> ReconstructConfig:
        coarse = sum(stage.iterations for stage in self.march)
        if coarse >= self.max_iterations:
            raise ValueError(
                f"the stages of march take {coarse} iterations and leave none of max_iterations "
                f"({self.max_iterations}) for the full reconstruction"
            )
        return self
