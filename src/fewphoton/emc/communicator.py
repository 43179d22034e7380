"""One interface over a serial run and an MPI world; the only place that knows mpi4py, and only when asked."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fewphoton.errors import FewphotonError, ParallelError


class Communicator(Protocol):
    """What the reconstruction asks of its world; a node is what shares memory."""

    rank: int
    size: int
    node_rank: int
    node_size: int
    seconds_exchange: float
    """Time so far in calls that other ranks take part in: moving data, and waiting for who is late."""

    def sum(self, values: NDArray[Any]) -> None:
        """Replace ``values`` by their sum over all ranks, in place."""

    def maximum(self, values: NDArray[Any]) -> None:
        """Replace ``values`` by their elementwise maximum over all ranks, in place."""

    def gather(self, values: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the arrays of all ranks in rank order, on every rank."""

    def share(self, value: Any) -> Any:
        """Return rank 0's ``value`` on every rank."""

    def share_in_node(self, value: Any) -> Any:
        """Return the ``value`` of the node's rank 0 on every rank of the node."""

    def wait_for_node(self) -> None:
        """Return when all ranks of the node have come here."""


class Serial:
    """A world of one."""

    rank = 0
    size = 1
    node_rank = 0
    node_size = 1
    seconds_exchange = 0.0

    def sum(self, values: NDArray[Any]) -> None:
        """Leave ``values`` as they are."""

    def maximum(self, values: NDArray[Any]) -> None:
        """Leave ``values`` as they are."""

    def gather(self, values: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the one array."""
        return [values]

    def share(self, value: Any) -> Any:
        """Return ``value``."""
        return value

    def share_in_node(self, value: Any) -> Any:
        """Return ``value``."""
        return value

    def wait_for_node(self) -> None:
        """Return at once."""


class MpiWorld:
    """MPI's COMM_WORLD through mpi4py."""

    # Elements a reduction. Copies that MPI makes of 16 MB stay in cache: on two ranks of a node, 366^3 float64 take
    # 0.16 s in pieces of 2^21 elements, 0.43 s in pieces of 2^24.
    _PIECE = 1 << 21

    def __init__(self) -> None:
        from mpi4py import MPI

        self.seconds_exchange = 0.0
        self._mpi = MPI
        self._comm = MPI.COMM_WORLD
        self.rank = int(self._comm.Get_rank())
        self.size = int(self._comm.Get_size())
        self._node = self._comm.Split_type(MPI.COMM_TYPE_SHARED)
        self.node_rank = int(self._node.Get_rank())
        self.node_size = int(self._node.Get_size())

    def _reduce(self, values: NDArray[Any], operation: Any) -> None:
        flat = values.reshape(-1)
        if not np.shares_memory(flat, values):
            raise ParallelError("only contiguous arrays can be reduced in place")
        with self._timed():
            for start in range(0, len(flat), self._PIECE):
                self._comm.Allreduce(self._mpi.IN_PLACE, flat[start : start + self._PIECE], op=operation)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds_exchange += time.perf_counter() - begin

    def sum(self, values: NDArray[Any]) -> None:
        """Replace ``values`` by their sum over all ranks, in place."""
        self._reduce(values, self._mpi.SUM)

    def maximum(self, values: NDArray[Any]) -> None:
        """Replace ``values`` by their elementwise maximum over all ranks, in place."""
        self._reduce(values, self._mpi.MAX)

    def gather(self, values: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the arrays of all ranks in rank order, on every rank."""
        with self._timed():
            return list(self._comm.allgather(values))

    def share(self, value: Any) -> Any:
        """Return rank 0's ``value`` on every rank."""
        with self._timed():
            return self._comm.bcast(value, root=0)

    def share_in_node(self, value: Any) -> Any:
        """Return the ``value`` of the node's rank 0 on every rank of the node."""
        return self._node.bcast(value, root=0)

    def wait_for_node(self) -> None:
        """Return when all ranks of the node have come here."""
        self._node.Barrier()

    def abort(self) -> None:
        """End all ranks at once."""
        self._comm.Abort(1)


@contextmanager
def world(expected_ranks: int | None) -> Iterator[Communicator]:
    """Yield a serial world, or MPI's after checking that it has the promised size.

    A launcher that does not match the MPI library starts N programs that each believe to be alone; the check turns
    that into an error instead of N runs that write the same file. When a rank fails inside the block, it says why
    and ends all ranks, so nobody waits for it.

    Parameters
    ----------
    expected_ranks : int or None
        Ranks that the launcher promised; None: serial, and MPI is not started.

    Raises
    ------
    ParallelError
        If the world has another size, or mpi4py or an MPI library is missing.
    """
    if expected_ranks is None:
        yield Serial()
        return
    try:
        mpi = MpiWorld()
    except (ImportError, RuntimeError) as error:
        raise ParallelError(
            f"MPI cannot start: {error}. Install the extra 'bundled-mpi', or load the site's MPI and install 'mpi'"
        ) from error
    if mpi.size != expected_ranks:
        raise ParallelError(
            f"the MPI world has {mpi.size} rank(s), expected {expected_ranks}. Does the launcher (mpiexec, srun "
            "--mpi=...) belong to the MPI library that mpi4py loads?"
        )
    try:
        yield mpi
    except Exception as error:
        if mpi.size == 1:
            raise
        if isinstance(error, FewphotonError):
            print(f"fewphoton: rank {mpi.rank}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        else:
            traceback.print_exc()
        mpi.abort()
        raise


def mpi_library() -> str:
    """Return name and version of the MPI library that mpi4py has loaded; MPI is started if it was not.

    Raises
    ------
    ParallelError
        If mpi4py or an MPI library is missing.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise ParallelError(f"MPI cannot start: {error}") from error
    return " ".join(str(MPI.Get_library_version()).strip("\0").splitlines()[0].split())


def shard(n_items: int, communicator: Communicator) -> tuple[int, int]:
    """Return the contiguous range of items that this rank owns; sizes differ by one at the most.

    Raises
    ------
    ParallelError
        If there are more ranks than items.
    """
    if communicator.size > n_items:
        raise ParallelError(f"{communicator.size} ranks cannot share {n_items} orientations; ask for fewer tasks")
    return (
        n_items * communicator.rank // communicator.size,
        n_items * (communicator.rank + 1) // communicator.size,
    )
