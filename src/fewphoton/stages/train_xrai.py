"""train-xrai: poses and Fourier volume of a particle, by an encoder and a decoder that are trained on its frames."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.train_xrai import TrainXraiConfig
from fewphoton.data import Crystal, FrameOrientations, IntensityVolume
from fewphoton.data.pattern_source import PatternSource, PatternsWithin
from fewphoton.errors import ConfigError, DataError, GeometryError, InputFileError
from fewphoton.io.atomic import remove_leftovers, write_text, written_aside
from fewphoton.io.crystal_description import read_crystal
from fewphoton.io.metrics import write_metrics, write_table
from fewphoton.io.molecule_files import read_molecule
from fewphoton.io.orientation_files import write_orientation_file
from fewphoton.io.pattern_files import read_patterns
from fewphoton.io.provenance import Provenance, file_digest
from fewphoton.io.volumes import write_volume_file
from fewphoton.kernels.threads import use_threads
from fewphoton.simulate.particle import ParticleExperiment
from fewphoton.simulate.simulated_patterns import SimulatedPatterns
from fewphoton.simulate.snapshots import UNUSED_AXIS
from fewphoton.stages.contract import Context, input_files, path_field
from fewphoton.stages.torch_requirement import require_torch

if TYPE_CHECKING:
    import torch

    from fewphoton.xrai.inference import FoundPoses
    from fewphoton.xrai.pose_model import PoseModel
    from fewphoton.xrai.processes import Processes
    from fewphoton.xrai.training import TraceRow, Training

Config = TrainXraiConfig

_CALIBRATION_FRAMES = 2000


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    frames: Path | None = path_field("photon file, or pattern file without noise", optional=True)
    crystal: Path | None = path_field("the box about the particle, as simulate-particles writes it", optional=True)


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    poses: Path = path_field("pose of each frame (HDF5)")
    volume: Path = path_field("Fourier volume (HDF5)")
    trace: Path = path_field("loss and held-out likelihood by step (CSV)")
    metrics: Path = path_field("numbers of the run (JSON)")
    checkpoint: Path | None = path_field("checkpoint to resume from (PyTorch)", optional=True)
    preview: Path | None = path_field("volume and poses while training goes on (PNG)", optional=True)
    held_out: Path | None = path_field("numbers of the frames that were kept apart, one a line", optional=True)


@dataclass(frozen=True, eq=False)
class _Frames:
    source: PatternSource
    box_angstrom: float
    crystal: Crystal
    beam_direction: NDArray[np.float64]
    digests: dict[str, str]


def run(inputs: Inputs, outputs: Outputs, config: TrainXraiConfig, context: Context) -> None:
    """Train; under torchrun or srun with all processes they start.

    Raises
    ------
    MissingLibraryError
        If PyTorch is not installed.
    ConfigError
        If the device is not there, or frames are missing or given twice.
    """
    require_torch("train-xrai")
    import torch

    from fewphoton.xrai.device import chosen_device
    from fewphoton.xrai.processes import joined_processes

    use_threads(context.threads)
    torch.set_num_threads(context.threads)
    torch.set_float32_matmul_precision("highest" if config.precision == "float32" else "high")
    accelerated = config.device != "cpu" and torch.cuda.is_available()
    with joined_processes(accelerated) as processes:
        if processes.rank > 0:
            context = replace(context, progress=False)
        say = context.say if processes.rank == 0 else (lambda message: None)
        device = chosen_device(config.device, say, processes.local_rank)
        if device.type == "cuda":
            torch.cuda.set_device(device)
        frames = _frames(inputs, config)
        _Run(outputs, config, context, say, processes, device, frames).complete()


class _Run:
    """One training from frames to files."""

    def __init__(
        self,
        outputs: Outputs,
        config: TrainXraiConfig,
        context: Context,
        say: Callable[[str], None],
        processes: Processes,
        device: torch.device,
        frames: _Frames,
    ) -> None:
        self.outputs, self.config, self.context, self.say = outputs, config, context, say
        self.processes, self.device, self.frames = processes, device, frames
        section = config.model_dump(mode="json", exclude={"device", "preview_every"})
        # How often a state is saved is no part of the result.
        section["schedule"].pop("checkpoint_every")
        if config.simulate is not None and config.simulate.structure is not None:
            section["simulate"]["structure"] = config.simulate.structure.name
        self.provenance = Provenance("train-xrai", section, frames.digests)

    def complete(self) -> None:
        """Train to the end, find the poses of all frames, write."""
        from fewphoton.xrai.inference import find_poses, trained_volume

        config, source, schedule = self.config, self.frames.source, self.config.schedule
        training, held_out = self._training()
        model = training.model
        parameters = sum(values.numel() for values in model.parameters())
        self.say(
            f"{source.n_patterns} frames ({len(held_out)} held out), {model.n_pixels} pixels, {parameters} parameters "
            f"on {self.device} ({self.processes.size} process(es)), likelihood: {model.likelihood}"
        )
        self._resume(training)
        for row in self.context.track(training.course(), "train", "steps", total=training.steps_to_go):
            self._after_step(training, row, held_out)
        model = training.model
        self._save(training)
        self.say("finding the poses of all frames")
        poses = find_poses(model, source, self.device, self.processes)
        if self.processes.rank > 0:
            return
        volume = trained_volume(model, self.frames.box_angstrom)
        if config.likelihood.fluence == "per_frame":
            volume, poses = _of_mean_fluence_one(volume, poses)
        dark = int((poses.head < 0).sum())
        if dark:
            self.say(f"{dark} frames hold no photons: their poses are unknown (NaN)")
        self._write(volume, poses)
        write_table(self.outputs.trace, [asdict(row) for row in training.trace])
        if self.outputs.held_out is not None:
            write_text(self.outputs.held_out, "".join(f"{number}\n" for number in sorted(held_out.tolist())))
        seen = training.steps_taken * schedule.batch_frames
        write_metrics(
            self.outputs.metrics,
            {
                "n_frames": source.n_patterns,
                "n_frames_held_out": len(held_out),
                "n_frames_without_photons": dark,
                "n_pixels": model.n_pixels,
                "n_parameters": parameters,
                "steps": schedule.steps,
                "starts": schedule.starts,
                "best_start": training.best_start,
                "frames_seen": seen,
                "seconds_training": training.seconds,
                "frames_per_second": seen / training.seconds if training.seconds > 0 else None,
                "held_out_log_likelihood_per_pixel": training.trace[-1].held_out_log_likelihood,
                "mean_probability_of_the_chosen_head": float(poses.probability.mean()),
                "device": str(self.device),
                "processes": self.processes.size,
            },
        )

    def _training(self) -> tuple[Training, NDArray[np.int64]]:
        import torch

        from fewphoton.xrai.batches import held_out_split
        from fewphoton.xrai.calibration import Calibration
        from fewphoton.xrai.pose_model import PixelGrid, PoseModel
        from fewphoton.xrai.training import Training

        config, source = self.config, self.frames.source
        train, held_out = held_out_split(source.n_patterns, config.schedule.held_out_frames, config.seed)
        sample = train[:: max(1, len(train) // _CALIBRATION_FRAMES)][:_CALIBRATION_FRAMES]
        if len(train) < config.schedule.batch_frames:
            self.say(f"{len(train)} frames to train on are fewer than the {config.schedule.batch_frames} of a step")
        calibration = Calibration.of_frames(source, sample, counts=source.counts)
        grid = PixelGrid.of_source(source)

        def build(start: int) -> PoseModel:
            entropy = np.random.SeedSequence(config.seed, spawn_key=(3, start)).generate_state(2).tolist()
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(entropy[0])
                model = PoseModel(config, grid, calibration, self.frames.box_angstrom, counts=source.counts)
                model.start(torch.Generator().manual_seed(entropy[1]))
            return model

        return Training(config, source, train, held_out, build, self.device, self.processes), held_out

    @property
    def _identity(self) -> str:
        return json.dumps(self.provenance.record(), sort_keys=True)

    def _resume(self, training: Training) -> None:
        from fewphoton.xrai.checkpoint import checkpoint_content

        path = self.outputs.checkpoint
        if path is None:
            return
        if self.processes.rank == 0:
            remove_leftovers(path)
        if not path.exists():
            return
        remedy = "Remove it to begin anew"
        try:
            content = checkpoint_content(path.read_bytes())
            if content.get("identity") != self._identity:
                self.say(f"{path}: belongs to other frames, parameters or another version; training begins anew")
                return
            training.restore(content["training"])
        except OSError as error:
            raise InputFileError(path, f"cannot be read: {error.strerror or error}", remedy=remedy) from error
        except (DataError, KeyError) as error:
            raise InputFileError(path, f"is no usable checkpoint: {error}", remedy=remedy) from error
        self.say(f"resumed after {training.steps_taken} steps")

    def _save(self, training: Training) -> None:
        from fewphoton.xrai.checkpoint import checkpoint_bytes

        if self.outputs.checkpoint is None:
            return
        # Every process takes part in gathering the state; one writes it.
        data = checkpoint_bytes({"identity": self._identity, "training": training.content()})
        if self.processes.rank == 0:
            with written_aside(self.outputs.checkpoint) as aside:
                aside.write_bytes(data)

    def _after_step(self, training: Training, row: TraceRow | None, held_out: NDArray[np.int64]) -> None:
        schedule, taken = self.config.schedule, training.steps_taken
        if row is not None and self.context.progress:
            rate = taken / training.seconds
            self.say(
                f"start {row.start}, step {row.step}: loss {row.loss:.5g}, held-out log-likelihood "
                f"{row.held_out_log_likelihood:.5g}, {rate * schedule.batch_frames:.0f} frames/s, "
                f"{training.steps_to_go / rate:.0f} s left"
            )
        if taken % schedule.checkpoint_every == 0:
            self._save(training)
        due = taken % self.config.preview_every == 0 or training.steps_to_go == 0
        if due and self.outputs.preview is not None and self.processes.rank == 0:
            self._preview(training, held_out)

    def _preview(self, training: Training, held_out: NDArray[np.int64]) -> None:
        from fewphoton.figures import style, training_preview
        from fewphoton.xrai.inference import find_poses, trained_volume
        from fewphoton.xrai.processes import Processes

        assert self.outputs.preview is not None  # asked for
        chosen = PatternsWithin(self.frames.source, held_out)
        poses = find_poses(training.model, chosen, self.device, Processes())
        volume = trained_volume(training.model, self.frames.box_angstrom)
        course = [(row.start, row.step, row.held_out_log_likelihood) for row in training.trace]
        direction = self.frames.beam_direction
        figure = training_preview.draw(volume, poses.quaternion, poses.head, direction, course)
        style.save(figure, self.outputs.preview)

    def _write(self, volume: IntensityVolume, poses: FoundPoses) -> None:
        reach = float(np.linalg.norm(self.frames.source.q_per_angstrom, axis=1).max())
        n_frames = len(poses.head)
        orientations = FrameOrientations(
            np.full(n_frames, np.nan),
            poses.head.astype(np.int32),
            poses.probability.astype(np.float32),
            poses.entropy_nat.astype(np.float32),
            poses.log_likelihood,
            best_quaternion=poses.quaternion,
            # Poses lie on no grid; this is the turn that moves the outermost pixels by one voxel of the box.
            spacing_deg=float(np.rad2deg(1 / (self.frames.box_angstrom * reach))),
            fluence=poses.fluence if self.config.likelihood.fluence == "per_frame" else None,
        )
        write_orientation_file(self.outputs.poses, orientations, self.provenance)
        write_volume_file(self.outputs.volume, volume, self.frames.crystal, UNUSED_AXIS, self.provenance)


def _frames(inputs: Inputs, config: TrainXraiConfig) -> _Frames:
    if (inputs.frames is None) == (config.simulate is None):
        raise ConfigError("give exactly one of the input frames and the section simulate")
    source: PatternSource
    digests = {f"{role}:{path.name}": file_digest(path) for role, path in input_files(inputs).items()}
    if config.simulate is not None:
        structure = config.simulate.structure
        if structure is None:
            raise ConfigError("simulate.structure: the structure of the particle is needed")
        molecule = read_molecule(structure, config.simulate.chains, waters=config.simulate.waters)
        digests[f"structure:{structure.name}"] = file_digest(structure)
        experiment = ParticleExperiment.build(config.simulate, molecule)
        source, crystal, beam = SimulatedPatterns(experiment), experiment.crystal, experiment.beam
    else:
        assert inputs.frames is not None  # one of the two is given
        if inputs.crystal is None:
            raise ConfigError("frames from a file need the box about the particle too: give the input crystal")
        crystal, _ = read_crystal(inputs.crystal)
        content = read_patterns(inputs.frames)
        source, beam = content.source, content.beam
    edge = crystal.cell[0]
    if not np.allclose(crystal.ub_matrix, np.eye(3) / edge, atol=1e-6 / edge):
        raise GeometryError(
            f"{inputs.crystal}: a particle needs a cubic box along the axes of the laboratory (U the identity), found "
            f"the cell {crystal.cell} with U {crystal.u_matrix.tolist()}"
        )
    if config.q_max_inv_angstrom is not None:
        source = PatternsWithin(source, q_max_inv_angstrom=config.q_max_inv_angstrom)
    return _Frames(source, edge, crystal, beam.direction, digests)


def _of_mean_fluence_one(volume: IntensityVolume, poses: FoundPoses) -> tuple[IntensityVolume, FoundPoses]:
    """Move the mean fluence of frames with photons into the volume."""
    lit = poses.fluence > 0
    mean = float(poses.fluence[lit].mean()) if lit.any() else 1.0
    return replace(volume, values=volume.values * mean), replace(poses, fluence=poses.fluence / mean)
