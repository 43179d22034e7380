"""One iteration: expand, maximize, compress (Ayyer et al. 2015, doi:10.1107/S2052252514022313, section 2).

Orientations are sharded over ranks. Ranks meet three times: for the largest log-likelihood of each frame, for its
normalisation, and for the sum of their volumes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import IntensityVolume
from fewphoton.emc.batches import FrameBatch
from fewphoton.emc.communicator import Communicator
from fewphoton.emc.problem import Problem
from fewphoton.errors import ConvergenceError
from fewphoton.kernels.orientation_probability import (
    column_sums,
    exponentiate,
    log_expected,
    normalize_rows,
    row_maxima,
    weighted_column_sums,
)
from fewphoton.kernels.sparse_rows import add_weighted_rows
from fewphoton.kernels.threads import threads_in_use
from fewphoton.kernels.volume_slices import compress, expand

MIN_EXPOSURE = 1e-6
"""Frames a view must have received to be merged: below, its photons are sums of rounding errors."""


@dataclass(frozen=True, eq=False)
class Posterior:
    """Orientation probabilities of a batch on this rank, and each frame's sums over all ranks.

    Parameters
    ----------
    probability : ndarray of float32, `(n_frames, n_local)`
        Normalised over all ranks; zero for frames without photons, which say nothing about their orientation.
    log_evidence : ndarray of float64, `(n_frames,)`
        Logarithm of the frame's likelihood averaged over orientations, without row offsets.
    entropy_nat, information_nat : ndarray of float64, `(n_frames,)`
        Entropy of the probabilities, and their relative entropy to the prior.
    """

    probability: NDArray[np.float32]
    log_evidence: NDArray[np.float64]
    entropy_nat: NDArray[np.float64]
    information_nat: NDArray[np.float64]


@dataclass
class Views:
    """Sums over frames: photons times probability for each pixel row and orientation, and probability alone.

    Parameters
    ----------
    photons : ndarray of float32, `(n_rows, n_local)`
        Numerator of equation 2.
    exposure : ndarray of float64, `(n_local,)`
        Denominator of equation 2.
    """

    photons: NDArray[np.float32]
    exposure: NDArray[np.float64]

    @classmethod
    def empty(cls, problem: Problem) -> Views:
        """Return sums of nothing."""
        return cls(np.zeros((problem.rows.n_rows, problem.n_local), dtype=np.float32), np.zeros(problem.n_local))

    def add(self, batch: FrameBatch, probability: NDArray[np.float32]) -> None:
        """Add the photons of a batch."""
        by_pixel = batch.by_pixel
        add_weighted_rows(by_pixel.indptr, by_pixel.index, by_pixel.count, probability, self.photons)
        column_sums(probability, self.exposure)


def expected_table(problem: Problem, volume: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Expand the volume.

    Returns
    -------
    table : ndarray of float32, `(n_rows, n_local)`
        Intensity seen by each pixel row in each orientation (response not applied).
    expected : ndarray of float64, `(n_local,)`
        Expected photons of each view on the pixels of the likelihood.
    """
    rows = problem.rows
    table = np.empty((rows.n_rows, problem.n_local), dtype=np.float32)
    expand(volume, rows.q_inv_angstrom, problem.transforms, rows.origin, table)
    expected = np.empty(problem.n_local)
    weighted_column_sums(table, problem.likelihood_response, expected)
    return table, expected


def posteriors(
    problem: Problem,
    volume: NDArray[np.float64],
    beta: float,
    intensity_floor: float,
    communicator: Communicator,
) -> Iterator[tuple[FrameBatch, Posterior]]:
    """Yield the orientation probabilities of each batch (equation 1, with the likelihood raised to ``beta``).

    Raises
    ------
    ConvergenceError
        If the likelihood of a frame is not finite.
    """
    table, expected = expected_table(problem, volume)
    mean_expected = np.array([expected.sum()])
    communicator.sum(mean_expected)
    mean = float(mean_expected[0]) / problem.n_orientations / float(problem.likelihood_response.sum())
    log_expected(table, max(intensity_floor * mean, 1e-30), problem.row_offset)
    for batch in problem.batches:
        log_likelihood = np.empty((batch.n_frames, problem.n_local), dtype=np.float32)
        log_likelihood[:] = -expected
        by_frame = batch.by_frame
        add_weighted_rows(by_frame.indptr, by_frame.index, by_frame.count, table, log_likelihood)
        largest = np.empty(batch.n_frames)
        row_maxima(log_likelihood, largest)
        communicator.maximum(largest)
        if not np.isfinite(largest).all():
            frame = batch.first_frame + int(np.argmin(np.isfinite(largest)))
            raise ConvergenceError(f"the likelihood of frame {frame} is not finite; is the starting volume empty?")
        sums = np.empty((batch.n_frames, 3))
        exponentiate(log_likelihood, largest, problem.log_prior, beta, sums)
        communicator.sum(sums)
        mass, mass_log, mass_gain = sums.T
        normalize_rows(log_likelihood, mass)
        log_likelihood[batch.likelihood_photons == 0] = 0.0
        yield (
            batch,
            Posterior(
                log_likelihood,
                largest + np.log(mass) / beta,
                np.log(mass) - mass_log / mass,
                mass_gain / mass - np.log(mass),
            ),
        )


def merge(problem: Problem, views: Views, view_weights: str, communicator: Communicator) -> IntensityVolume:
    """Compress views into a volume.

    Parameters
    ----------
    problem : Problem
        Geometry.
    views : Views
        Sums over frames.
    view_weights : str
        ``uniform``: every view that received a frame counts the same, as in the paper; ``exposure``: views count by
        the frames they received, which is the maximum-likelihood mean.
    communicator : Communicator
        World; volumes are summed over it.

    Returns
    -------
    IntensityVolume
        Photons per pixel of response 1 and frame; weights are interpolation weights times exposure.
    """
    rows = problem.rows
    seen = views.exposure > MIN_EXPOSURE
    exposure = np.where(seen, views.exposure, 0.0)
    photons = views.photons
    if view_weights == "uniform":
        exposure = seen.astype(np.float64)
        photons = photons * np.divide(1.0, views.exposure, out=np.zeros_like(exposure), where=seen).astype(np.float32)
    total = np.zeros((rows.n_voxels, rows.n_voxels, rows.n_voxels, 2))
    compress(
        photons,
        exposure,
        rows.response,
        rows.q_inv_angstrom,
        problem.transforms,
        rows.origin,
        threads_in_use(),
        total,
    )
    communicator.sum(total)
    weight = np.ascontiguousarray(total[..., 1])
    values = np.divide(total[..., 0], weight, out=np.zeros_like(weight), where=weight > 0)
    return IntensityVolume(values, weight, rows.voxels_per_cell)


@dataclass(frozen=True)
class IterationRecord:
    """Numbers of one iteration.

    Parameters
    ----------
    iteration : int
        From 1.
    change : float
        Root mean square difference to the former volume over the rms of the former, on measured voxels.
    log_likelihood_per_photon : float
        Of the former volume; factorials of counts left out.
    mutual_information_nat, entropy_nat : float
        Means over frames with photons: relative entropy of the probabilities to the prior, and their entropy.
    beta : float
        Exponent of the likelihood.
    seconds_expand_maximize, seconds_compress, seconds_total : float
        Wall time on rank 0.
    """

    iteration: int
    change: float
    log_likelihood_per_photon: float
    mutual_information_nat: float
    entropy_nat: float
    beta: float
    seconds_expand_maximize: float
    seconds_compress: float
    seconds_total: float


def iterate(
    problem: Problem,
    volume: NDArray[np.float64],
    number: int,
    beta: float,
    intensity_floor: float,
    view_weights: str,
    communicator: Communicator,
) -> tuple[IntensityVolume, IterationRecord]:
    """Carry out iteration ``number`` and return the new volume with its record."""
    begin = time.perf_counter()
    views = Views.empty(problem)
    evidence = information = entropy = 0.0
    for batch, posterior in posteriors(problem, volume, beta, intensity_floor, communicator):
        views.add(batch, posterior.probability)
        informative = batch.likelihood_photons > 0
        evidence += float(posterior.log_evidence[informative].sum())
        information += float(posterior.information_nat[informative].sum())
        entropy += float(posterior.entropy_nat[informative].sum())
    middle = time.perf_counter()
    updated = merge(problem, views, view_weights, communicator)
    end = time.perf_counter()
    measured = updated.weight > 0
    former = volume[measured]
    scale = float(np.sqrt(np.mean(former**2)))
    change = float(np.sqrt(np.mean((updated.values[measured] - former) ** 2))) / scale if scale > 0 else np.inf
    record = IterationRecord(
        number,
        change,
        (evidence + problem.log_likelihood_constant) / problem.likelihood_photons,
        information / problem.n_informative_frames,
        entropy / problem.n_informative_frames,
        beta,
        middle - begin,
        end - middle,
        end - begin,
    )
    return updated, record
