"""Processes that train together: what torchrun or srun promised, and what they exchange.

Every process computes the same course; a step's frames are shared among them and gradients averaged, so the result is
that of one process with the same frames a step, up to the rounding of sums.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as distributed
from numpy.typing import NDArray

from fewphoton.errors import ParallelError


@dataclass(frozen=True)
class Processes:
    """Place of this process among all.

    Parameters
    ----------
    rank, size, local_rank : int
        Number of this process, of all, and of this one on its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    def share(self, n: int) -> slice:
        """Return the part of ``n`` items that this process takes; parts differ by one item at the most."""
        return slice(self.rank * n // self.size, (self.rank + 1) * n // self.size)

    def joined(self, part: NDArray[np.float64], n: int, device: torch.device) -> NDArray[np.float64]:
        """Return what all processes hold, `(n, ...)`, in order, from the ``part`` of each (its :meth:`share`)."""
        if self.size == 1:
            return part
        whole = torch.zeros((n, *part.shape[1:]), dtype=torch.float64, device=device)
        whole[self.share(n)] = torch.as_tensor(part, device=device)
        # The others' rows are zero, so the sum is a concatenation; NaN stays where it was.
        distributed.all_reduce(whole)
        return np.asarray(whole.cpu().numpy())


def _number(names: tuple[str, ...], default: int) -> int:
    for name in names:
        text = os.environ.get(name)
        if text is not None:
            try:
                return int(text)
            except ValueError as error:
                raise ParallelError(f"environment variable {name} must be a number, found {text!r}") from error
    return default


@contextlib.contextmanager
def joined_processes(accelerator: bool) -> Iterator[Processes]:
    """Join the processes that torchrun (WORLD_SIZE, RANK, LOCAL_RANK) or srun (SLURM_*) started.

    Slurm's variables count only where MASTER_ADDR names the meeting point: an allocation alone is no such promise.

    Parameters
    ----------
    accelerator : bool
        Exchange through NCCL rather than Gloo.

    Raises
    ------
    ParallelError
        If the environment contradicts itself, or the others cannot be reached.
    """
    slurm = "MASTER_ADDR" in os.environ and "WORLD_SIZE" not in os.environ
    size = _number(("SLURM_NTASKS",) if slurm else ("WORLD_SIZE",), 1)
    if size <= 1:
        yield Processes()
        return
    rank = _number(("SLURM_PROCID",) if slurm else ("RANK",), -1)
    local_rank = _number(("SLURM_LOCALID",) if slurm else ("LOCAL_RANK",), 0)
    if not 0 <= rank < size:
        raise ParallelError(
            f"{size} processes are promised, but this one has the rank {rank}; start with torchrun, or with srun and "
            "MASTER_ADDR and MASTER_PORT set"
        )
    try:
        distributed.init_process_group("nccl" if accelerator else "gloo", rank=rank, world_size=size)
    except (RuntimeError, ValueError) as error:
        raise ParallelError(f"the {size} processes cannot meet: {error}") from error
    try:
        yield Processes(rank, size, local_rank)
    finally:
        distributed.destroy_process_group()
