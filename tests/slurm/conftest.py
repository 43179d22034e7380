"""A Slurm of two virtual nodes for the session."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.slurm.virtual import VirtualSlurm


@pytest.fixture(scope="session")
def cluster(tmp_path_factory) -> Iterator[VirtualSlurm]:
    """Two nodes, which most runs share."""
    # Started in the background of a script, we would hand down that interrupts are ignored.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cluster = VirtualSlurm.started(tmp_path_factory.mktemp("slurm") / "cluster", n_nodes=2)
    try:
        yield cluster
    finally:
        cluster.stop()
