"""The figures of merit of a recovered molecule, as one flat record; and of all solutions of a recovery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.evaluate.molecule_alignment import HANDS
from fewphoton.evaluate.molecule_match import CLOSE_ANGSTROM, MoleculeMatch


def score(
    match: MoleculeMatch,
    *,
    close_angstrom: float = CLOSE_ANGSTROM,
    grid_spacing_angstrom: float | None = None,
    bound_angstrom: NDArray[np.float64] | None = None,
    standard_error_angstrom: NDArray[np.float64] | None = None,
) -> dict[str, Any]:
    """Return the figures of merit of one solution.

    Parameters
    ----------
    match : MoleculeMatch
        The solution laid upon the truth.
    close_angstrom : float
        Atoms this near count as close.
    grid_spacing_angstrom : float, optional
        Spacing of the grid that the truth sits on, where it does.
    bound_angstrom : ndarray of float64, `(n_true, 3)`, optional
        Cramér-Rao bound of the true coordinates.
    standard_error_angstrom : ndarray of float64, `(n_recovered, 3)`, optional
        Standard errors that the method itself states.

    Returns
    -------
    dict
        ``error`` is eq. 4 of Mutzafi et al. 2015 for the better of the two forms of equal intensities, named by
        ``hand``; ``error_z_mirrored`` and its inverse belong to wrong molecules. Position errors are NaN where no atom
        is concerned, infinite where a true atom of their set has no partner at all. Errors of matched atoms, also over
        the bound, are after the shift that makes them least: few matched atoms look better than they are.

    Raises
    ------
    DataError
        If the bound, the errors or the spacing do not fit.
    """
    distance, matched, heavy = match.distance_angstrom, match.is_matched, match.is_heavy
    close = distance < close_angstrom
    errors = {hand: match.alignments[hand].error for hand in HANDS}
    mirrored = min(error for hand, error in errors.items() if not match.alignments[hand].is_exact)
    record: dict[str, Any] = {
        "n_atoms": len(match.truth),
        "n_heavy_atoms": int(heavy.sum()),
        "n_recovered_atoms": int((match.aligned.occupancy > 0).sum()),
        "n_surplus": match.n_surplus,
        "solved": match.is_solved,
        "error": match.alignment.error,
        "hand": match.alignment.hand,
        **{f"error_{hand}": error for hand, error in errors.items()},
        "mirror_fits_better": bool(mirrored < match.alignment.error),
        "n_matched": int(matched.sum()),
        "n_heavy_matched": int((matched & heavy).sum()),
        "n_close": int(close.sum()),
        "n_heavy_close": int((close & heavy).sum()),
        "all_heavy_close": bool(close[heavy].all()),
        "element_accuracy": match.element_accuracy(),
        "rms_matched_angstrom": match.rms_angstrom(matched),
        "rms_heavy_matched_angstrom": match.rms_angstrom(matched & heavy),
        "rms_all_angstrom": match.rms_angstrom(),
        "largest_heavy_error_angstrom": float(distance[heavy].max()) if heavy.any() else float("nan"),
    }
    if grid_spacing_angstrom is not None:
        record["on_right_sites"] = match.is_on_right_sites(grid_spacing_angstrom)
    if bound_angstrom is not None:
        record["rms_over_bound"] = match.rms_over_bound(bound_angstrom)
        record["bound_rms_angstrom"] = float(np.sqrt(np.sum(bound_angstrom**2) / len(match.truth)))
    if standard_error_angstrom is not None:
        record["rms_over_standard_error"] = match.rms_over_standard_error(standard_error_angstrom)
    return record


def headline(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the record of the solution that the method ranks first, and where the best ones by the truth rank.

    The truth chooses nothing: ``rank_of_best``, ``error_of_best`` and ``rank_of_solved`` only tell whether the method
    found better ones than it put first. Ranks begin with 1; None where no solution is solved.

    Parameters
    ----------
    records : sequence of dict
        From :func:`score`, in the order of the method; at least one.
    """
    best = int(np.argmin([record["error"] for record in records]))
    solved = [number for number, record in enumerate(records) if record["solved"]]
    return records[0] | {
        "n_solutions": len(records),
        "rank_of_best": best + 1,
        "error_of_best": records[best]["error"],
        "n_matched_of_best": records[best]["n_matched"],
        "rank_of_solved": solved[0] + 1 if solved else None,
    }
