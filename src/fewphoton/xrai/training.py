"""Training: several starts, the best of them finished; every step a function of seed and number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fewphoton.config.train_xrai import ScheduleConfig, TrainXraiConfig
from fewphoton.data.pattern_source import PatternSource
from fewphoton.errors import ConfigError, ConvergenceError, DataError
from fewphoton.xrai.batches import BatchOrder, chosen_pixels
from fewphoton.xrai.inference import mean_log_likelihood
from fewphoton.xrai.pose_model import PoseModel
from fewphoton.xrai.processes import Processes

_LAST_RATE = 0.02
_PIXELS_WITHOUT_NOISE, _PIXELS_OF_COUNTS = 160, 480


@dataclass(frozen=True)
class TraceRow:
    """What is known after some steps.

    Parameters
    ----------
    start, step : int
        Number of the start, and its steps so far.
    seconds : float
        Spent on training so far, in all starts.
    loss, misfit : float
        Means over the steps since the last row: of what is made small, and of its part that compares patterns.
    learning_rate_factor : float
        Part of the highest learning rates at this step.
    held_out_log_likelihood : float
        Mean over held-out frames and pixels.
    """

    start: int
    step: int
    seconds: float
    loss: float
    misfit: float
    learning_rate_factor: float
    held_out_log_likelihood: float


def learning_rate_factor(schedule: ScheduleConfig, step: int) -> float:
    """Part of the highest learning rates at a step."""
    rising = min(1.0, (step + 1) / (schedule.warm_up_steps + 1))
    if schedule.decay == "none":
        return rising
    course = 0.5 * (1 + math.cos(math.pi * min(1.0, step / schedule.steps)))
    return rising * (_LAST_RATE + (1 - _LAST_RATE) * course)


def march_fraction(schedule: ScheduleConfig, step: int) -> float:
    """Part of the largest q that takes part at a step (frequency marching)."""
    if step >= schedule.march_steps:
        return 1.0
    return schedule.march_from + (1 - schedule.march_from) * step / schedule.march_steps


class Training:
    """The course of a training.

    Parameters
    ----------
    config : TrainXraiConfig
        Parameters.
    source : PatternSource
        Frames.
    train, held_out : ndarray of int64
        Frames to train on, and frames to rank starts by.
    build : callable
        Makes an untrained model of a start from its seed.
    device : torch.device
        Where.
    processes : Processes
        With whom.
    """

    def __init__(
        self,
        config: TrainXraiConfig,
        source: PatternSource,
        train: NDArray[np.int64],
        held_out: NDArray[np.int64],
        build: Callable[[int], PoseModel],
        device: torch.device,
        processes: Processes,
    ) -> None:
        if config.schedule.batch_frames % processes.size:
            raise ConfigError(
                f"schedule.batch_frames: {config.schedule.batch_frames} frames cannot be shared evenly among "
                f"{processes.size} processes"
            )
        self.config, self.device = config, device
        self.trace: list[TraceRow] = []
        self.start, self.step, self.seconds = 0, 0, 0.0
        self._source, self._train, self._processes, self._build = source, train, processes, build
        # Held-out frames are few and asked for often.
        self._held_out = torch.as_tensor(source.patterns(held_out))
        self._best: dict[str, Any] | None = None
        self._sums = torch.zeros(2, dtype=torch.float64)
        self._summed = 0
        self._begin(0)

    @property
    def model(self) -> PoseModel:
        """The model in training, and in the end the trained one."""
        return self._model

    @property
    def steps_to_go(self) -> int:
        """Steps until the end, in all starts."""
        schedule = self.config.schedule
        if schedule.starts == 1 or self.start == schedule.starts:
            return schedule.steps - self.step
        others = (schedule.starts - self.start) * self._start_steps - self.step
        return others + schedule.steps - self._start_steps

    @property
    def _start_steps(self) -> int:
        return min(self.config.schedule.start_steps, self.config.schedule.steps)

    def _begin(self, start: int) -> None:
        """Make the model of a start; the number after the last start stands for the finish of the best."""
        self.start, self.step = start, 0
        self._model = self._build(start).to(self.device)
        module: nn.Module = self._model
        if self._processes.size > 1:
            if self.device.type == "cuda":
                module = nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
            module = DistributedDataParallel(module)
        if self.config.compile:
            self._model.compile_networks()
        self._module = module
        encoder = [*self._model.encoder.parameters(), *self._model.heads.parameters()]
        groups = [
            {"params": encoder, "lr": self.config.encoder.learning_rate},
            {"params": list(self._model.decoder.parameters()), "lr": self.config.decoder.learning_rate},
        ]
        self._optimizer = torch.optim.Adam(groups)
        self._order = BatchOrder(self._train, self.config.schedule, self.config.seed, start)
        self._sums, self._summed = self._sums.new_zeros(2).to(self.device), 0

    @property
    def steps_taken(self) -> int:
        """Steps so far, in all starts."""
        return self._total_steps - self.steps_to_go

    @property
    def _total_steps(self) -> int:
        schedule = self.config.schedule
        return schedule.steps + (schedule.starts - 1) * self._start_steps

    @property
    def _seeded_start(self) -> int:
        """Number of the start whose model is in training."""
        return self.best_start if self.start == self.config.schedule.starts else self.start

    @property
    def best_start(self) -> int:
        """Number of the start that is finished, or of the best so far."""
        return self.start if self._best is None else int(self._best["start"])

    def course(self) -> Iterator[TraceRow | None]:
        """Take all steps that are left; each yields the row that it added to the trace, if it did.

        Raises
        ------
        ConvergenceError
            If the loss is no longer finite.
        """
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self._patterns, self._order, self.step)
            for _ in range(self.steps_to_go):
                n_rows = len(self.trace)
                ahead = self._one_step(reader, ahead)
                yield self.trace[-1] if len(self.trace) > n_rows else None

    def _patterns(self, order: BatchOrder, step: int) -> Tensor:
        frames = order.frames(step)
        patterns = torch.from_numpy(self._source.patterns(frames[self._processes.share(len(frames))]))
        return patterns.pin_memory() if self.device.type == "cuda" else patterns

    def _one_step(self, reader: ThreadPoolExecutor, ahead: Future[Tensor]) -> Future[Tensor]:
        began = perf_counter()
        patterns = ahead.result().to(self.device, non_blocking=True)
        ahead = reader.submit(self._patterns, self._order, self.step + 1)
        schedule = self.config.schedule
        factor = learning_rate_factor(schedule, self.step)
        highest = self.config.encoder.learning_rate, self.config.decoder.learning_rate
        for group, rate in zip(self._optimizer.param_groups, highest, strict=True):
            group["lr"] = factor * rate
        self._module.train()
        terms = self._module(patterns, self._pixels())
        self._optimizer.zero_grad(set_to_none=True)
        terms[0].backward()
        self._optimizer.step()
        self._sums += terms.detach()
        self._summed += 1
        self.step += 1
        ends = self.step == self._end_of_start()
        self.seconds += perf_counter() - began
        if ends or self.step % schedule.evaluate_every == 0:
            self._evaluate(factor)
        if ends and self._ranking:
            self._next_start()
            ahead = reader.submit(self._patterns, self._order, self.step)
        return ahead

    @property
    def _ranking(self) -> bool:
        """Whether this is a start that others compete with."""
        return self.config.schedule.starts > 1 and self.start < self.config.schedule.starts

    def _end_of_start(self) -> int:
        return self._start_steps if self._ranking else self.config.schedule.steps

    def _pixels(self) -> Tensor:
        candidates, q_length = self._model.candidates, self._model.grid_q_length
        limit = march_fraction(self.config.schedule, self.step) * float(q_length[-1])
        n_inside = max(1, int(np.searchsorted(q_length, limit, side="right")))
        wanted = self.config.schedule.pixels
        if wanted == "automatic":
            wanted = _PIXELS_OF_COUNTS if self._source.counts else _PIXELS_WITHOUT_NOISE
        drawn = n_inside if wanted == "all" else wanted
        chosen = chosen_pixels(n_inside, drawn, self.config.seed, self._seeded_start, self.step)
        return candidates[torch.as_tensor(chosen, device=self.device)]

    def _evaluate(self, factor: float) -> None:
        means = self._sums.clone()
        if self._processes.size > 1:
            torch.distributed.all_reduce(means)
        loss, misfit = (means / (self._summed * self._processes.size)).tolist()
        if not math.isfinite(loss):
            raise ConvergenceError(
                f"the loss is {loss} after {self.step} steps; lower encoder.learning_rate and decoder.learning_rate"
            )
        held = mean_log_likelihood(self._model, self._held_out, self.device)
        self.trace.append(TraceRow(self._seeded_start, self.step, self.seconds, loss, misfit, factor, held))
        self._sums.zero_()
        self._summed = 0

    def _next_start(self) -> None:
        """Keep the better of this start and the best so far; begin the next, or go on with the best."""
        held = self.trace[-1].held_out_log_likelihood
        if self._best is None or held > self._best["held_out_log_likelihood"]:
            self._best = {"held_out_log_likelihood": held, "start": self.start, "state": self._course()}
        following = self.start + 1
        self._begin(following)
        if following == self.config.schedule.starts:
            best = self._best
            self._begin(best["start"])
            self._restore_course(best["state"])
            self.start, self.step = following, self._start_steps

    def _course(self) -> dict[str, Any]:
        """Weights and optimizer as copies on the processor."""
        return {
            "model": _on_processor(self._model.state_dict()),
            "optimizer": _on_processor(self._optimizer.state_dict()),
        }

    def _restore_course(self, course: dict[str, Any]) -> None:
        self._model.load_state_dict(course["model"])
        self._optimizer.load_state_dict(course["optimizer"])

    def content(self) -> dict[str, Any]:
        """Everything that a later process needs to go on, as tensors, numbers and text."""
        sums = self._sums.clone()
        if self._processes.size > 1:
            torch.distributed.all_reduce(sums)
        return {
            "course": self._course(),
            "best": self._best,
            "start": self.start,
            "step": self.step,
            "seconds": self.seconds,
            "sums": (sums / self._processes.size).cpu(),
            "summed": self._summed,
            "trace": [asdict(row) for row in self.trace],
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Go on from what :meth:`content` gave.

        Raises
        ------
        DataError
            If it belongs to another model.
        """
        try:
            best = content["best"]
            finishing = best is not None and content["start"] == self.config.schedule.starts
            self._begin(best["start"] if finishing else content["start"])
            self._restore_course(content["course"])
            self.start, self.step, self.seconds = content["start"], content["step"], content["seconds"]
            self._best = best
            self._sums, self._summed = content["sums"].to(self.device), content["summed"]
            self.trace = [TraceRow(**row) for row in content["trace"]]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = str(error).partition("\n")[0]
            raise DataError(f"a checkpoint of another model: {reason}") from error


def _on_processor(content: Any) -> Any:
    if isinstance(content, Tensor):
        return content.detach().cpu().clone()
    if isinstance(content, dict):
        return {key: _on_processor(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_on_processor(value) for value in content]
    return content
