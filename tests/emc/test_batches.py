"""How frames are grouped and arranged, whatever pieces they come in."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.data import FrameTable, PhotonFrames
from fewphoton.emc.batches import FrameBatch, arranged_bytes, grouped
from fewphoton.emc.communicator import Serial
from fewphoton.emc.problem import Problem

N_PIXELS = 40


def frames_of(lengths):
    rng = np.random.default_rng(3)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    pixel = [np.sort(rng.permutation(N_PIXELS)[:length]) for length in lengths]
    table = FrameTable.unknown(len(lengths))
    return PhotonFrames(
        indptr,
        np.concatenate([np.zeros(0, int), *pixel]).astype(np.uint32),
        rng.integers(1, 4, indptr[-1]),
        N_PIXELS,
        table,
    )


def greedy(lengths, batch_frames, batch_hits):
    groups = []
    for length in lengths:
        fits = groups and len(groups[-1]) < batch_frames and sum(groups[-1]) + length <= batch_hits
        if fits:
            groups[-1].append(length)
        else:
            groups.append([length])
    return [len(group) for group in groups]


LENGTHS = st.lists(st.integers(0, 12), min_size=0, max_size=30)


@given(LENGTHS, st.integers(1, 7), st.integers(1, 30), st.lists(st.integers(0, 9), max_size=8))
def test_groups_are_as_full_as_they_can_be_whatever_the_pieces(lengths, batch_frames, batch_hits, pieces):
    frames = frames_of(lengths)
    cuts = [0, *np.minimum(np.cumsum(pieces, dtype=int), len(lengths)), len(lengths)]
    chunks = [frames.take(slice(int(a), int(b))) for a, b in itertools.pairwise(cuts)]
    groups = list(grouped(chunks, batch_frames, batch_hits))
    assert [group.n_frames for group in groups] == greedy(lengths, batch_frames, batch_hits)
    if groups:
        joined = PhotonFrames.concatenate(groups)
        for name in ("indptr", "pixel", "count"):
            np.testing.assert_array_equal(getattr(joined, name), getattr(frames, name))
        np.testing.assert_array_equal(joined.table.source_index, np.arange(len(lengths)))


@given(LENGTHS, st.integers(1, 7), st.integers(1, 30))
@settings(deadline=None)  # the kernels compile once
def test_arranged_photons_never_take_more_than_was_said(lengths, batch_frames, batch_hits):
    frames = frames_of(lengths)
    n_rows = 29
    row_of_pixel = np.full(N_PIXELS, -1, dtype=np.int32)
    row_of_pixel[:n_rows] = np.arange(n_rows)
    rows = type("Rows", (), {"row_of_pixel": row_of_pixel, "likelihood": np.ones(n_rows, bool), "n_rows": n_rows})
    most = arranged_bytes(len(lengths), frames.n_hits, n_rows, batch_frames, batch_hits)
    batches = [FrameBatch.build(group, rows, 0) for group in grouped([frames], batch_frames, batch_hits)]
    padded = sum(-(-part.nbytes // 64) * 64 for batch in batches for part in batch.arrays)
    assert padded <= most
    assert most <= 17 * frames.n_hits + 16 * len(lengths) + (2 * len(lengths) + 1) * (8 * n_rows + 2048)


def test_bright_frames_make_no_larger_batches(experiment, photons, rows, orientations):
    bright = PhotonFrames.concatenate([photons, photons.take(slice(0, 50))])
    problem = Problem.build([bright], rows, experiment.crystal, orientations, 10_000, Serial(), batch_hits=2000)
    assert len(problem.batches) > 5
    for batch in problem.batches:
        assert batch.by_pixel.indptr[-1] <= 2000
    assert sum(batch.n_frames for batch in problem.batches) == problem.n_frames == 450


@pytest.mark.parametrize("piece", [1, 37, 400])
def test_pieces_of_the_input_change_no_bit(problem, experiment, photons, rows, orientations, piece):
    chunks = (photons.take(slice(first, first + piece)) for first in range(0, photons.n_frames, piece))
    other = Problem.build(chunks, rows, experiment.crystal, orientations, 128, Serial())
    assert other.log_likelihood_constant == problem.log_likelihood_constant
    assert other.row_offset.tobytes() == problem.row_offset.tobytes()
    for mine, theirs in zip(other.batches, problem.batches, strict=True):
        assert [part.tobytes() for part in mine.arrays] == [part.tobytes() for part in theirs.arrays]
        assert (mine.first_frame, mine.n_frames) == (theirs.first_frame, theirs.n_frames)
