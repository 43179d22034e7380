"""Which function recovers a molecule by which method."""

from __future__ import annotations

import time
from collections.abc import Callable

from threadpoolctl import threadpool_limits

from fewphoton.ankylography.gespar import recover_by_gespar
from fewphoton.ankylography.hio import recover_by_hio
from fewphoton.ankylography.recover_by_tempering import recover_by_tempering
from fewphoton.ankylography.residues import recover_by_residues
from fewphoton.ankylography.search_state import SearchMemory
from fewphoton.config.recover_molecule import RecoverMoleculeConfig
from fewphoton.data import Shot
from fewphoton.data.recovered_molecule import RecoveredMolecule


def recover(
    shot: Shot,
    config: RecoverMoleculeConfig,
    say: Callable[[str], None],
    *,
    threads: int = 1,
    largest: Callable[[float], float] = float,
    rank: int = 0,
    memory: SearchMemory | None = None,
) -> list[RecoveredMolecule]:
    """Run the method that a configuration names, within its time budget.

    Parameters
    ----------
    shot : Shot
        Measurement.
    config : RecoverMoleculeConfig
        Method and parameters.
    say : callable
        Takes lines of progress.
    threads : int
        Threads (`fewphoton`); BLAS works with one.
    largest : callable
        The largest of a number over all ranks (`fewphoton`).
    rank : int
        Number of this search among those that run together.
    memory : SearchMemory, optional
        Where the search is saved and taken up again (`fewphoton`).

    Returns
    -------
    list of RecoveredMolecule
        Distinct solutions, best first.
    """
    end = None if config.time_budget_s is None else time.monotonic() + config.time_budget_s

    def stop() -> bool:
        return end is not None and time.monotonic() >= end

    # How BLAS shares a product among threads of its own shows in the last digits of what the methods return.
    with threadpool_limits(1, user_api="blas"):
        if config.method == "gespar":
            assert config.gespar is not None  # the configuration has been checked
            return recover_by_gespar(shot, config.gespar, config.seed, stop, say)
        if config.method == "hybrid_input_output":
            assert config.hybrid_input_output is not None
            return recover_by_hio(shot, config.hybrid_input_output, config.seed, stop, say)
        if config.method == "residues":
            assert config.residues is not None
            return recover_by_residues(shot, config.residues, config.seed, stop, say)
        return recover_by_tempering(
            shot, config.fewphoton, config.seed, stop, say, threads, largest=largest, rank=rank, memory=memory
        )
