"""One iteration: expand, maximize, compress (Ayyer et al. 2015, doi:10.1107/S2052252514022313, section 2).

Orientations are sharded over ranks. Ranks meet three times: for the largest log-likelihood of each frame, for its
normalisation, and for the sum of their volumes. A rank alone joins the first two with the likelihood in one pass.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import IntensityVolume
from fewphoton.emc.batches import FrameBatch
from fewphoton.emc.communicator import Communicator
from fewphoton.emc.frame_model import FrameFit
from fewphoton.emc.iteration_record import IterationRecord, relative_change
from fewphoton.emc.log_table import LogTable, TableType
from fewphoton.emc.mixture_table import MixtureTable
from fewphoton.emc.pixels import PixelRows
from fewphoton.emc.posterior import Posterior
from fewphoton.emc.problem import Problem
from fewphoton.emc.views import Views
from fewphoton.emc.windows import OrientationWindows, Sweep, posterior_on_windows
from fewphoton.errors import ConvergenceError
from fewphoton.kernels.aligned_table import aligned_table, padded_columns
from fewphoton.kernels.block_vectors import BLOCK
from fewphoton.kernels.orientation_probability import (
    exponentiate,
    log_expected,
    normalize_rows,
    posterior_rows,
    row_maxima,
    weighted_column_sums,
)
from fewphoton.kernels.threads import threads_in_use
from fewphoton.kernels.volume_change import divide_by_weight
from fewphoton.kernels.volume_slices import compress, expand

MIN_EXPOSURE = 1e-6
"""Frames a view must have received to be merged: below, its photons are sums of rounding errors."""


def expected_table(problem: Problem, volume: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Expand the volume.

    Returns
    -------
    table : ndarray of float32, `(n_rows, n_columns)`
        Intensity seen by each pixel row in each orientation (response not applied); columns from ``n_local`` on repeat
        the last orientation and fill the rows up to whole cache lines.
    expected : ndarray of float64, `(n_local,)`
        Expected photons of each view on the pixels of the likelihood.
    """
    rows = problem.rows
    n_columns = padded_columns(problem.n_local)
    table = aligned_table(rows.n_rows, n_columns, np.float32)
    columns = np.minimum(np.arange(n_columns), problem.n_local - 1)
    expand(volume.astype(np.float32), rows.q_inv_angstrom, problem.transforms[columns], rows.origin, table)
    expected = np.zeros(problem.n_local)
    weighted_column_sums(table, problem.likelihood_response, expected)
    return table, expected


def posteriors(
    problem: Problem,
    volume: NDArray[np.float64],
    beta: float,
    intensity_floor: float,
    communicator: Communicator,
    table_type: TableType = "float32",
    frames: FrameFit | None = None,
    windows: OrientationWindows | None = None,
) -> Iterator[tuple[FrameBatch, Posterior]]:
    """Yield the orientation probabilities of each batch (equation 1, with the likelihood raised to ``beta``).

    Parameters
    ----------
    problem : Problem
        Photons and geometry.
    volume : ndarray of float64, `(n, n, n)`
        Intensity.
    beta : float
        Exponent of the likelihood.
    intensity_floor : float
        Smallest expected count, as a fraction of the mean, before its logarithm is taken.
    communicator : Communicator
        World.
    table_type : str
        How log intensities are stored: ``float32``, or rounded to ``int16`` or ``uint8``, which halve and quarter the
        bytes that bound the likelihood's speed. Not used where frames have background.
    frames : FrameFit, optional
        Fluence and background of the frames; has their new values of a batch when that is yielded. None: all alike.
    windows : OrientationWindows, optional
        Orientations that each frame is judged in, where frames have no background. None: all.

    Raises
    ------
    ConvergenceError
        If the likelihood of a frame is not finite.
    """
    table, expected = expected_table(problem, volume)
    mean_expected = np.array([expected.sum()])
    communicator.sum(mean_expected)
    mean = float(mean_expected[0]) / problem.n_orientations / float(problem.likelihood_response.sum())
    floor = max(intensity_floor * mean, 1e-30)
    logarithms: LogTable | MixtureTable | None = None if frames is None else frames.mixture(table, floor)
    if logarithms is None:
        log_expected(table, floor, problem.row_offset)
        logarithms = LogTable.build(table, table_type, communicator)
    del table
    for batch in problem.batches:
        largest, sums = np.empty(batch.n_frames), np.empty((batch.n_frames, 3))
        blocks = None if windows is None or isinstance(logarithms, MixtureTable) else windows.blocks(problem, batch)
        fluence = np.ones(batch.n_frames, dtype=np.float32) if frames is None else frames.fluence(batch)
        if blocks is not None and isinstance(logarithms, LogTable):
            probability = aligned_table(len(blocks.block), BLOCK, np.float32)
            posterior_on_windows(
                problem, batch, blocks, logarithms, expected, fluence, beta, communicator, probability, largest, sums
            )
        else:
            probability = aligned_table(batch.n_frames, logarithms.values.shape[1], np.float32)
            _normalize(problem, batch, logarithms, expected, fluence, beta, communicator, probability, largest, sums)
        finite = np.isfinite(largest) & np.isfinite(sums).all(axis=1)
        if not finite.all():
            frame = batch.first_frame + int(np.argmin(finite))
            raise ConvergenceError(f"the likelihood of frame {frame} is not finite; is the starting volume empty?")
        dark = batch.likelihood_photons == 0
        if blocks is None and dark.any():
            probability[dark] = 0.0
        constants = logarithms.frame_constants(batch)
        if frames is not None:
            frames.estimate(batch, probability, expected, communicator, blocks)
            constants += frames.log_constants(batch)
        mass, mass_log, mass_gain = sums.T
        yield (
            batch,
            Posterior(
                probability,
                logarithms.step * largest + constants + np.log(mass) / beta,
                np.log(mass) - mass_log / mass,
                mass_gain / mass - np.log(mass),
                blocks,
            ),
        )
    if frames is not None:
        frames.release()


def _normalize(
    problem: Problem,
    batch: FrameBatch,
    logarithms: LogTable | MixtureTable,
    expected: NDArray[np.float64],
    fluence: NDArray[np.float32],
    beta: float,
    communicator: Communicator,
    probability: NDArray[np.float32],
    largest: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> None:
    """Fill probabilities, largest log-likelihoods (in steps of the table) and sums, the latter two over all ranks."""
    padding = probability.shape[1] - problem.n_local
    start = np.pad(-expected / logarithms.step, (0, padding), mode="edge").astype(np.float32)
    power = beta * logarithms.step
    if communicator.size == 1 and isinstance(logarithms, LogTable):
        photons = batch.by_frame
        posterior_rows(
            photons.indptr,
            photons.index,
            photons.count,
            logarithms.values,
            start,
            fluence,
            problem.log_prior,
            power,
            probability,
            largest,
            sums,
        )
        return
    np.multiply(fluence[:, None], start, out=probability)
    logarithms.add_log_likelihood(batch, probability)
    row_maxima(probability, largest)
    communicator.maximum(largest)
    exponentiate(probability, largest, problem.log_prior, power, sums)
    communicator.sum(sums)
    normalize_rows(probability, sums[:, 0])


_FULL_WEIGHTS: WeakKeyDictionary[PixelRows, tuple[NDArray[np.float64], NDArray[np.float64]]] = WeakKeyDictionary()
"""Transforms, and the weight of all their views, for pixel rows in use: subsets of frames share their geometry."""


def _interpolation_weight(
    problem: Problem, exposure: NDArray[np.float64], communicator: Communicator
) -> NDArray[np.float64]:
    """Compress ones times response and exposure, over all ranks."""
    rows = problem.rows
    weight = np.zeros((rows.n_voxels,) * 3)
    compress(
        None, rows.response, exposure, rows.q_inv_angstrom, problem.transforms, rows.origin, threads_in_use(), weight
    )
    communicator.sum(weight)
    return weight


def _uniform_weight(problem: Problem, seen: NDArray[np.bool_], communicator: Communicator) -> NDArray[np.float64]:
    """Return the weight of views that count by quadrature; with every view seen it is geometry alone, and kept."""
    unseen = np.array([float(np.count_nonzero(~seen))])
    communicator.sum(unseen)
    if unseen[0] > 0:
        return _interpolation_weight(problem, np.where(seen, problem.view_weight, 0.0), communicator)
    transforms, weight = _FULL_WEIGHTS.get(problem.rows, (None, None))
    if transforms is not problem.transforms or weight is None:
        weight = _interpolation_weight(problem, problem.view_weight, communicator)
        _FULL_WEIGHTS[problem.rows] = problem.transforms, weight
    return weight


def merge(problem: Problem, views: Views, view_weights: str, communicator: Communicator) -> IntensityVolume:
    """Compress views into a volume.

    Parameters
    ----------
    problem : Problem
        Geometry.
    views : Views
        Sums over frames.
    view_weights : str
        ``uniform``: every view that received a frame counts by its quadrature weight, so that the mean over views is
        one over orientations (in an axis scan all count the same, as in the paper); ``exposure``: views count by the
        frames they received, which is the maximum-likelihood mean.
    communicator : Communicator
        World; volumes are summed over it.

    Returns
    -------
    IntensityVolume
        Photons per pixel of response 1 and frame; weights are interpolation weights times exposure.
    """
    rows = problem.rows
    seen = views.exposure > MIN_EXPOSURE
    if view_weights == "uniform":
        factor = np.divide(problem.view_weight, views.exposure, out=np.zeros(problem.n_local), where=seen)
        weight = _uniform_weight(problem, seen, communicator)
    else:
        factor = seen.astype(np.float64)
        weight = _interpolation_weight(problem, np.where(seen, views.exposure, 0.0), communicator)
    total = np.zeros((rows.n_voxels,) * 3)
    compress(
        views.photons,
        np.ones(rows.n_rows),
        factor,
        rows.q_inv_angstrom,
        problem.transforms,
        rows.origin,
        threads_in_use(),
        total,
    )
    communicator.sum(total)
    divide_by_weight(total, weight)
    return IntensityVolume(total, weight, rows.voxels_per_cell)


def iterate(
    problem: Problem,
    volume: NDArray[np.float64],
    number: int,
    beta: float,
    intensity_floor: float,
    view_weights: str,
    communicator: Communicator,
    table_type: TableType = "float32",
    frames: FrameFit | None = None,
    sweep: Sweep | None = None,
) -> tuple[IntensityVolume, IterationRecord]:
    """Carry out iteration ``number`` and return the new volume with its record.

    See :func:`posteriors` for ``table_type`` and ``frames``, and :func:`merge` for ``view_weights``. A ``sweep`` gives
    the windows to judge frames in, tells which probabilities are worth merging, and chooses the next windows.
    """
    begin, exchanged, seconds_update = time.perf_counter(), communicator.seconds_exchange, 0.0
    views = Views.empty(problem)
    evidence = information = entropy = 0.0
    windows = None if sweep is None else sweep.windows
    for batch, posterior in posteriors(
        problem, volume, beta, intensity_floor, communicator, table_type, frames, windows
    ):
        kept = None if sweep is None else sweep.chosen(batch, posterior.probability, posterior.blocks)
        before = time.perf_counter()
        views.add(batch, posterior.probability, frames, kept)
        seconds_update += time.perf_counter() - before
        informative = batch.likelihood_photons > 0
        evidence += float(posterior.log_evidence[informative].sum())
        information += float(posterior.information_nat[informative].sum())
        entropy += float(posterior.entropy_nat[informative].sum())
    if frames is not None:
        views.exposure /= frames.keep_mean_fluence()
    middle = time.perf_counter()
    updated = merge(problem, views, view_weights, communicator)
    change = relative_change(updated, volume)
    end = time.perf_counter()
    exchanged = communicator.seconds_exchange - exchanged
    own_seconds = np.concatenate(communicator.gather(np.array([end - begin - exchanged])))
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
        seconds_update,
        exchanged,
        float(own_seconds.max() / own_seconds.mean()),
        *(() if frames is None else (frames.fluence_spread(), frames.background_fraction())),
    )
    return updated, record
