"""Configuration of train-xrai: poses of single particles by an encoder and a decoder that are trained together."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from fewphoton.config.section import Section
from fewphoton.config.simulate import Positive
from fewphoton.config.simulate_particles import SimulateParticlesConfig


class EncoderConfig(Section):
    """From a pattern to poses."""

    network: Literal["pixels", "images"] = "pixels"
    """`pixels`: fully connected layers on whitened pixels; `images`: Gaussian pyramid and convolutions after VGG16."""
    widths: tuple[int, ...] = (512, 512, 256)
    """`pixels`: widths of the layers. `images`: channels of the five groups of convolutions."""
    hidden: tuple[int, int] = (512, 256)
    """`images`: widths of the fully connected layers behind the convolutions."""
    heads: int = Field(default=6, ge=1, le=64)
    """Poses that are proposed for each pattern; the one that explains it best is trained."""
    score_weight: float = Field(default=0.05, ge=0)
    """Weight of the loss by which scores learn to name the best head."""
    learning_rate: Positive = 1e-3
    """Highest learning rate of Adam."""

    @model_validator(mode="after")
    def _widths_fit_the_network(self) -> EncoderConfig:
        if min(self.widths, default=0) < 1 or min(self.hidden) < 1:
            raise ValueError("widths: at least one layer, and every width at least 1")
        if self.network == "images" and len(self.widths) != 5:
            raise ValueError(f"widths: `images` has five groups of convolutions, found {len(self.widths)} widths")
        return self


class DecoderConfig(Section):
    """From a pose to the expected pattern."""

    volume: Literal["voxels", "fourier_net"] = "voxels"
    """`voxels`: logarithms on a grid, interpolated linearly; `fourier_net`: a network of sines."""
    oversampling: float = Field(default=1.0, ge=1, le=4)
    """`voxels`: voxels of the grid for one of the box (1/L wide, L the edge of the box)."""
    start_spread: float = Field(default=0.1, ge=0, le=2)
    """`voxels`: standard deviation of the noise about the radial mean at the start."""
    width: int = Field(default=256, ge=4)
    """`fourier_net`: width of its layers."""
    friedel: bool = True
    """`fourier_net`: fold to a half space, so that Friedel mates are equal. Voxels always are."""
    learning_rate: Positive = 3e-2
    """Highest learning rate of Adam."""


class LikelihoodConfig(Section):
    """How a pattern and an expected pattern are compared."""

    model: Literal["automatic", "amplitudes", "poisson"] = "automatic"
    """`amplitudes`: squared differences of square roots of intensities; `poisson`: photon counts; `automatic`: by the
    kind of frames."""
    ring_weights: bool = True
    """`amplitudes`: weigh pixels by the inverse standard deviation of amplitudes in their ring of q."""
    symmetric: bool = False
    """Let the pattern turned by 180 degrees compete with the pattern (symmetric loss, eq. 4 of the paper); needs a
    detector whose middle is the beam's. Several heads do the same better."""
    fluence: Literal["equal", "per_frame"] = "equal"
    """Fluences of the frames: all the same, or the one that explains each frame best."""
    background_photons_per_frame: float = Field(default=0.0, ge=0)
    """`poisson`: known flat background, photons in a frame over all usable pixels."""


class ScheduleConfig(Section):
    """Steps and what changes with them."""

    steps: int = Field(default=4000, ge=1)
    """Gradient steps, whatever the number of frames."""
    batch_frames: int = Field(default=64, ge=1)
    """Frames of a step, over all processes together."""
    pixels: Annotated[int, Field(ge=1)] | Literal["automatic", "all"] = "automatic"
    """Usable pixels drawn at random for each step, or `all`. `automatic`: 160 of frames without noise, and 480 of
    photon counts, whose photons a smaller part would waste."""
    order: Literal["shuffled", "stream"] = "shuffled"
    """`shuffled`: each pass in an order of its own; `stream`: in the order in which frames come."""
    warm_up_steps: int = Field(default=100, ge=0)
    """Steps over which learning rates rise."""
    decay: Literal["cosine", "none"] = "cosine"
    """Learning rates after that: down to 2 % along a cosine, or constant."""
    march_steps: int = Field(default=0, ge=0)
    """Frequency marching: steps over which the largest q of the likelihood rises from march_from to all."""
    march_from: float = Field(default=0.4, gt=0, le=1)
    """Part of the largest q at which marching begins."""
    starts: int = Field(default=1, ge=1, le=64)
    """Trainings that begin from different seeds; the one of the highest held-out likelihood is finished."""
    start_steps: int = Field(default=1000, ge=1)
    """Steps after which starts are compared."""
    held_out_frames: int = Field(default=500, ge=1)
    """Frames that are never trained on, a tenth of all at the most; their likelihood ranks starts."""
    evaluate_every: int = Field(default=500, ge=1)
    """Steps between rows of the trace with the held-out likelihood."""
    checkpoint_every: int = Field(default=1000, ge=1)
    """Steps between checkpoints; does not change the result."""


FAITHFUL: dict[str, Any] = {
    "encoder": {
        "network": "images",
        "widths": (64, 128, 256, 256, 256),
        "hidden": (512, 256),
        "heads": 1,
        "score_weight": 0.0,
        "learning_rate": 1e-4,
    },
    "decoder": {"volume": "fourier_net", "width": 256, "friedel": False, "learning_rate": 1e-4},
    "likelihood": {"model": "amplitudes", "ring_weights": False, "symmetric": True},
    "schedule": {"steps": 78100, "batch_frames": 64, "pixels": "all", "warm_up_steps": 0, "decay": "none"},
}
"""The method as published; sizes that the paper does not give are those of the program it descends from."""


class TrainXraiConfig(Section):
    """Encoder and decoder, trained together on frames of unknown orientation (X-RAI)."""

    preset: Literal["recommended", "faithful"] = "recommended"
    """Values of all keys of encoder, decoder, likelihood and schedule that are not given: `recommended` as listed
    there; `faithful`: one head, convolutions, FourierNet, symmetric squared differences of amplitudes."""
    simulate: SimulateParticlesConfig | None = None
    """Frames are made on the fly by this simulation, in place of a file."""
    encoder: EncoderConfig = EncoderConfig()
    """From a pattern to poses."""
    decoder: DecoderConfig = DecoderConfig()
    """From a pose to the expected pattern."""
    likelihood: LikelihoodConfig = LikelihoodConfig()
    """How both are compared."""
    schedule: ScheduleConfig = ScheduleConfig()
    """Steps and what changes with them."""
    pose_choice: Literal["likelihood", "score"] = "likelihood"
    """Which head gives a frame's pose in the end: the one that explains it best, or the one that the scores name, for
    which nothing is decoded."""
    q_max_inv_angstrom: Positive | None = None
    """Largest q of pixels that take part. None: all usable pixels."""
    device: str = "auto"
    """`auto`: an accelerator where there is one, and the processor otherwise; `cpu`, `cuda`, or `cuda:1`."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Of matrix products on an accelerator; `bfloat16` for the encoder alone."""
    compile: bool = False
    """Compile the networks (torch.compile): faster steps after a minute or more of compilation."""
    preview_every: int = Field(default=500, ge=1)
    """Steps between previews, where a preview is asked for; the last step gives one in any case."""
    seed: int = Field(default=0, ge=0)
    """Seed of weights, of the order of frames and of pixels drawn."""

    @model_validator(mode="before")
    @classmethod
    def _preset_stands_behind_what_is_given(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("preset") != "faithful":
            return values
        filled = dict(values)
        for section, preset in FAITHFUL.items():
            given = values.get(section, {})
            if isinstance(given, Section):
                given = given.model_dump(exclude_unset=True)
            if isinstance(given, dict):
                filled[section] = preset | given
        return filled

    @model_validator(mode="after")
    def _parts_fit(self) -> TrainXraiConfig:
        if self.likelihood.background_photons_per_frame and self.likelihood.model == "amplitudes":
            raise ValueError("likelihood.background_photons_per_frame: amplitudes know no background; use poisson")
        return self
