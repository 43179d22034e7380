"""One iteration of expand, maximize, compress over the orientations that frames list.

Orientations come in tiles, of which only one is held at a time. In a first round the views of a tile are expanded and
compared with all frames that list them; in a second, when probabilities are known, its updated views are summed and
compressed. Orientations that received next to no frame have no part in the second; late in a run that is most of them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import FrameOrientations, IntensityVolume
from fewphoton.emc.communicator import Communicator
from fewphoton.emc.half_sets import frame_orientations
from fewphoton.emc.iteration import MIN_EXPOSURE
from fewphoton.emc.iteration_record import IterationRecord, relative_change
from fewphoton.emc.listed_problem import ListedProblem
from fewphoton.errors import ConvergenceError
from fewphoton.kernels.listed_orientations import (
    divide_listed,
    listed_exponentials,
    listed_exposures,
    listed_log_likelihoods,
    listed_maxima,
    listed_views,
)
from fewphoton.kernels.orientation_probability import log_expected, weighted_column_sums
from fewphoton.kernels.threads import threads_in_use
from fewphoton.kernels.volume_change import divide_by_weight
from fewphoton.kernels.volume_slices import compress, expand

_TILE_BYTES = 1 << 25
_VIEWS = 64  # what expand and compress take at a time: other tiles would change the order of sums


@dataclass(frozen=True, eq=False)
class ListedPosterior:
    """Probabilities of the listed orientations of a rank, and each frame's sums over all ranks.

    Parameters
    ----------
    probability : ndarray of float64, `(n_pairs,)`
        In the order by frame; normalised over all ranks.
    log_evidence, entropy_nat, information_nat : ndarray of float64, `(n_frames,)`
        As :class:`~fewphoton.emc.iteration.Posterior` has them, orientations off the lists counted as impossible;
        NaN for frames without a list.
    """

    probability: NDArray[np.float64]
    log_evidence: NDArray[np.float64]
    entropy_nat: NDArray[np.float64]
    information_nat: NDArray[np.float64]


def _tile(n_rows: int) -> int:
    return max(1, _TILE_BYTES // (4 * n_rows * _VIEWS)) * _VIEWS


def listed_posterior(
    problem: ListedProblem,
    volume: NDArray[np.float64],
    beta: float,
    intensity_floor: float,
    communicator: Communicator,
) -> ListedPosterior:
    """Find the probabilities of the listed orientations (parameters as for dense posteriors).

    The mean expected count, of which ``intensity_floor`` is a fraction, is that of the data.

    Raises
    ------
    ConvergenceError
        If the likelihood of a frame is not finite.
    """
    dense = problem.dense
    rows, response = dense.rows, dense.likelihood_response
    floor = max(intensity_floor * dense.likelihood_photons / dense.n_informative_frames / response.sum(), 1e-30)
    value = np.empty(len(problem.orientation))
    single = volume.astype(np.float32)
    tile = _tile(rows.n_rows)
    photons = problem.photons
    for first in range(0, problem.n_local, tile):
        last = min(first + tile, problem.n_local)
        table = np.empty((rows.n_rows, last - first), dtype=np.float32)
        expand(single, rows.q_inv_angstrom, problem.transforms[first:last], rows.origin, table)
        expected = np.zeros(last - first)
        weighted_column_sums(table, response, expected)
        log_expected(table, floor, dense.row_offset)
        table[~rows.likelihood] = 0.0
        listed_log_likelihoods(
            first,
            np.ascontiguousarray(table.T),
            expected,
            problem.by_orientation,
            problem.frame,
            problem.place,
            photons.indptr,
            photons.pixel,
            photons.count,
            value,
        )
    largest, sums = np.empty(problem.n_frames), np.empty((problem.n_frames, 3))
    listed_maxima(problem.by_frame, value, largest)
    communicator.maximum(largest)
    listed = np.isfinite(largest)
    if np.isnan(largest).any() or (largest == np.inf).any() or not listed.any():
        raise ConvergenceError("the likelihood of a frame is not finite; is the starting volume empty?")
    largest[~listed] = 0.0
    listed_exponentials(problem.by_frame, problem.orientation, problem.log_prior, beta, largest, value, sums)
    communicator.sum(sums)
    mass, mass_log, mass_gain = sums[listed].T
    divide_listed(problem.by_frame, sums[:, 0], value)
    evidence, entropy, information = (np.full(problem.n_frames, np.nan) for _ in range(3))
    evidence[listed] = largest[listed] + np.log(mass) / beta
    entropy[listed] = np.log(mass) - mass_log / mass
    information[listed] = mass_gain / mass - np.log(mass)
    return ListedPosterior(value, evidence, entropy, information)


def merge_listed(
    problem: ListedProblem,
    probability: NDArray[np.float64],
    frame_weight: NDArray[np.float64],
    view_weights: str,
    communicator: Communicator,
) -> IntensityVolume:
    """Sum frames into views and compress these.

    Parameters
    ----------
    problem : ListedProblem
        Pairs and geometry.
    probability : ndarray of float64, `(n_pairs,)`
        In the order by frame.
    frame_weight : ndarray of float64, `(n_frames,)`
        1 for frames to merge, 0 for others.
    view_weights : str
        As for :func:`fewphoton.emc.iteration.merge`. With ``uniform``, the mean over few frames in a fine sample is
        one over the orientations that happened to receive a frame.
    communicator : Communicator
        World; volumes are summed over it.
    """
    rows, photons = problem.dense.rows, problem.photons
    pairs = problem.by_orientation, problem.frame, problem.place, probability, frame_weight
    exposure = np.empty(problem.n_local)
    listed_exposures(*pairs, exposure)
    seen = np.flatnonzero(exposure > MIN_EXPOSURE)
    weight_factor = exposure if view_weights == "exposure" else problem.view_weight
    total, weight = np.zeros((rows.n_voxels,) * 3), np.zeros((rows.n_voxels,) * 3)
    ones, tile = np.ones(rows.n_rows), _tile(rows.n_rows)
    for first in range(0, len(seen), tile):
        chosen = seen[first : first + tile]
        views = np.empty((len(chosen), rows.n_rows), dtype=np.float32)
        listed_views(chosen, *pairs, photons.indptr, photons.pixel, photons.count, views)
        geometry = rows.q_inv_angstrom, problem.transforms[chosen], rows.origin, threads_in_use()
        factor = weight_factor[chosen] / exposure[chosen]
        compress(np.ascontiguousarray(views.T), ones, factor, *geometry, total)
        compress(None, rows.response, weight_factor[chosen], *geometry, weight)
    communicator.sum(total)
    communicator.sum(weight)
    divide_by_weight(total, weight)
    return IntensityVolume(total, weight, rows.voxels_per_cell)


def iterate_listed(
    problem: ListedProblem,
    volume: NDArray[np.float64],
    number: int,
    intensity_floor: float,
    view_weights: str,
    communicator: Communicator,
) -> tuple[IntensityVolume, IterationRecord]:
    """Carry out iteration ``number`` at the full likelihood and return the new volume with its record."""
    begin, exchanged = time.perf_counter(), communicator.seconds_exchange
    posterior = listed_posterior(problem, volume, 1.0, intensity_floor, communicator)
    middle = time.perf_counter()
    updated = merge_listed(problem, posterior.probability, np.ones(problem.n_frames), view_weights, communicator)
    change = relative_change(updated, volume)
    end = time.perf_counter()
    exchanged = communicator.seconds_exchange - exchanged
    own_seconds = np.concatenate(communicator.gather(np.array([end - begin - exchanged])))
    dense = problem.dense
    record = IterationRecord(
        number,
        change,
        (float(np.nansum(posterior.log_evidence)) + dense.log_likelihood_constant) / dense.likelihood_photons,
        float(np.nanmean(posterior.information_nat)),
        float(np.nanmean(posterior.entropy_nat)),
        1.0,
        middle - begin,
        end - middle,
        end - begin,
        seconds_exchange=exchanged,
        slowest_to_mean_rank=float(own_seconds.max() / own_seconds.mean()),
    )
    return updated, record


def best_listed(
    problem: ListedProblem, probability: NDArray[np.float64], communicator: Communicator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return each frame's most probable orientation in the sample, -1 without a list, and its probability."""
    top = np.empty(problem.n_frames)
    listed_maxima(problem.by_frame, probability, top)
    owner = np.repeat(np.arange(problem.n_frames), np.diff(problem.by_frame))
    frame, first = np.unique(owner[probability == top[owner]], return_index=True)
    best = np.full(problem.n_frames, -1, dtype=np.int64)
    best[frame] = problem.number[problem.orientation[np.flatnonzero(probability == top[owner])[first]]]
    values, numbers = np.stack(communicator.gather(top)), np.stack(communicator.gather(best))
    winner = values.argmax(axis=0), np.arange(problem.n_frames)
    return numbers[winner], np.maximum(values[winner], 0.0)


def last_look_listed(
    problem: ListedProblem,
    volume: NDArray[np.float64],
    intensity_floor: float,
    view_weights: str,
    n_equivalent: int,
    communicator: Communicator,
) -> tuple[IntensityVolume, tuple[IntensityVolume, IntensityVolume], FrameOrientations]:
    """Merge all frames, the even and the odd ones, and note the best orientation of each frame.

    As :func:`fewphoton.emc.half_sets.last_look`, over the listed orientations.
    """
    posterior = listed_posterior(problem, volume, 1.0, intensity_floor, communicator)
    odd = (np.arange(problem.n_frames) % 2).astype(np.float64)
    merged, first, second = (
        merge_listed(problem, posterior.probability, frames, view_weights, communicator)
        for frames in (np.ones(problem.n_frames), 1.0 - odd, odd)
    )
    best, probability = best_listed(problem, posterior.probability, communicator)
    found = frame_orientations(
        problem.orientations,
        n_equivalent,
        best,
        probability.astype(np.float32),
        np.where(best >= 0, posterior.entropy_nat, np.log(len(problem.orientations))).astype(np.float32),
        posterior.log_evidence,
    )
    return merged, (first, second), found
