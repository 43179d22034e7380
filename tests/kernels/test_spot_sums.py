import numpy as np
import pytest

from fewphoton.kernels import spot_sums
from fewphoton.kernels.spot_sums import N_SUMS, add_spot_sums, mark_discs

SHAPE = (24, 30)
RADII = (2.5, 3.5, 6.0)


def naive_marks(slow, fast, radius):
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return sum(
        ((rows - y) ** 2 + (columns - x) ** 2 <= radius**2).astype(np.uint16) for y, x in zip(slow, fast, strict=True)
    )


def naive_sums(frame, usable, smallest, largest, slow, fast, depth):
    """The frame in a border of unusable pixels, so that discs over the edge lose some."""
    border = 10
    values = np.pad(frame.astype(float), border)
    good = np.pad(usable & (frame >= smallest) & (frame <= largest), border)
    other = np.pad(depth, border)
    rows, columns = np.mgrid[-border : SHAPE[0] + border, -border : SHAPE[1] + border]
    table = []
    for y, x in zip(slow, fast, strict=True):
        dy, dx = rows - y, columns - x
        square = dy**2 + dx**2
        disc = square <= RADII[0] ** 2
        ring = (square > RADII[1] ** 2) & (square <= RADII[2] ** 2) & good & (other == 0) & ~disc
        lit = np.where(good & (square <= RADII[1] ** 2), values, 0)
        best = np.unravel_index(lit.argmax(), lit.shape)
        inside = disc & good
        table.append(
            [
                inside.sum(),
                values[inside].sum(),
                (disc & ~good).sum(),
                ring.sum(),
                values[ring].sum(),
                (values * dy)[inside].sum(),
                (values * dx)[inside].sum(),
                dy[inside].sum(),
                dx[inside].sum(),
                lit[best],
                dy[best] if lit[best] > 0 else 0,
                dx[best] if lit[best] > 0 else 0,
            ]
        )
    return np.array(table)


@pytest.fixture(params=[np.int32, np.uint16, np.float32])
def case(request):
    rng = np.random.default_rng(1)
    frame = (rng.permutation(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % 701).astype(request.param)
    if request.param is not np.uint16:
        frame[rng.random(SHAPE) < 0.03] = -1
    if request.param is np.float32:
        frame[3, 4] = np.nan
    usable = rng.random(SHAPE) > 0.05
    slow = np.array([5.3, 11.0, 13.2, 0.4, 22.9, -3.0])
    fast = np.array([6.1, 14.5, 18.0, 0.2, 29.7, 12.0])
    return frame, usable, slow, fast


def added(function, marker, frame, usable, slow, fast, n_times=1):
    depth = np.zeros(SHAPE, dtype=np.uint16)
    sums = np.zeros((len(slow), N_SUMS))
    rows = np.arange(len(slow))[::-1].copy()
    marker(slow, fast, RADII[0], 1, depth)
    kind = frame.dtype.type
    for _ in range(n_times):
        function(frame, usable, kind(0), kind(690), slow, fast, rows, *RADII, depth, sums)
    return sums[rows], depth


@pytest.mark.parametrize("pure", [False, True])
def test_against_the_naive_twin(case, pure):
    frame, usable, slow, fast = case
    functions = (add_spot_sums.py_func, mark_discs.py_func) if pure else (add_spot_sums, mark_discs)
    sums, depth = added(*functions, frame, usable, slow, fast)
    np.testing.assert_array_equal(depth, naive_marks(slow, fast, RADII[0]))
    np.testing.assert_allclose(sums, naive_sums(frame, usable, 0, 690, slow, fast, depth), rtol=1e-12, atol=1e-9)


def test_marks_are_taken_away(case):
    _, _, slow, fast = case
    depth = np.zeros(SHAPE, dtype=np.uint16)
    mark_discs(slow, fast, 3.0, 1, depth)
    assert depth.max() == 2  # two discs overlap
    mark_discs(slow, fast, 3.0, -1, depth)
    assert not depth.any()


def test_frames_add_up(case):
    frame, usable, slow, fast = case
    once, _ = added(add_spot_sums, mark_discs, frame, usable, slow, fast)
    thrice, _ = added(add_spot_sums, mark_discs, frame, usable, slow, fast, 3)
    summed = slice(0, spot_sums.BRIGHTEST)
    np.testing.assert_allclose(thrice[:, summed], 3 * once[:, summed], rtol=1e-12, atol=1e-9)
    np.testing.assert_array_equal(thrice[:, spot_sums.BRIGHTEST :], once[:, spot_sums.BRIGHTEST :])


def test_by_hand():
    """One photon on each pixel of a flat frame; radius 1 holds 5 pixels, the ring from 1 to 2 holds 8 more."""
    frame = np.ones((9, 9), dtype=np.int32)
    frame[4, 5] = 11
    sums = np.zeros((1, N_SUMS))
    depth = np.zeros(frame.shape, dtype=np.uint16)
    place = np.array([4.0])
    add_spot_sums(
        frame,
        np.ones(frame.shape, dtype=bool),
        np.int32(0),
        np.int32(100),
        place,
        place,
        np.zeros(1, dtype=np.int64),
        1.0,
        1.0,
        2.0,
        depth,
        sums,
    )
    np.testing.assert_array_equal(sums[0], [5, 15, 0, 8, 8, 0, 10, 0, 0, 11, 0, 1])


def test_no_spots_change_nothing(case):
    frame, usable, _, _ = case
    sums, depth = added(add_spot_sums, mark_discs, frame, usable, np.empty(0), np.empty(0))
    assert sums.shape == (0, N_SUMS)
    assert not depth.any()
