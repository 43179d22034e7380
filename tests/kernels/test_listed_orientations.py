import numpy as np
import pytest

from fewphoton.kernels import listed_orientations as kernels
from fewphoton.kernels.threads import use_threads

N_FRAMES, N_ORIENTATIONS, N_PIXELS = 9, 7, 20


@pytest.fixture
def case():
    """Lists, photons and views, with the pairs in both orders; frame 4 lists nothing, frame 6 is dark."""
    rng = np.random.default_rng(3)
    listed = rng.random((N_FRAMES, N_ORIENTATIONS)) < 0.5
    listed[4] = False
    listed[:, 2] = False
    counts = rng.poisson(0.6, (N_FRAMES, N_PIXELS))
    counts[6] = 0
    frame, orientation = np.nonzero(listed)
    by_frame = np.concatenate([[0], np.cumsum(listed.sum(axis=1))])
    place = np.argsort(orientation, kind="stable")
    owner, pixel = np.nonzero(counts)
    return {
        "listed": listed,
        "counts": counts,
        "by_frame": by_frame,
        "frame_of_pair": frame,
        "orientation": orientation.astype(np.int32),
        "by_orientation": np.concatenate([[0], np.cumsum(listed.sum(axis=0))]),
        "frame": frame[place].astype(np.int32),
        "place": place,
        "photons": (
            np.searchsorted(owner, np.arange(N_FRAMES + 1)),
            pixel.astype(np.int32),
            counts[owner, pixel].astype(np.float32),
        ),
        "view_log": rng.normal(size=(N_ORIENTATIONS, N_PIXELS)).astype(np.float32),
        "expected": rng.random(N_ORIENTATIONS),
        "rng": rng,
    }


def of(kernel, python):
    return kernel.py_func if python else kernel


PYTHON = pytest.mark.parametrize("python", [False, True], ids=["jitted", "python"])


@PYTHON
def test_log_likelihoods_are_a_dense_product_at_the_listed_places(case, python):
    value = np.full(len(case["place"]), np.nan)
    for first, last in ((0, 3), (3, 7)):
        of(kernels.listed_log_likelihoods, python)(
            first,
            case["view_log"][first:last],
            case["expected"][first:last],
            case["by_orientation"],
            case["frame"],
            case["place"],
            *case["photons"],
            value,
        )
    dense = case["counts"] @ case["view_log"].T.astype(np.float64) - case["expected"]
    np.testing.assert_allclose(value, dense[case["listed"]], rtol=1e-12)


@PYTHON
def test_softmax_over_lists(case, python):
    value = case["rng"].normal(size=len(case["place"])) * 5
    log_prior = np.log(case["rng"].dirichlet(np.ones(N_ORIENTATIONS)))
    beta = 0.7
    dense = np.full(case["listed"].shape, -np.inf)
    dense[case["listed"]] = value
    maximum, sums = np.empty(N_FRAMES), np.empty((N_FRAMES, 3))
    of(kernels.listed_maxima, python)(case["by_frame"], value, maximum)
    np.testing.assert_array_equal(maximum, dense.max(axis=1))
    maximum[4] = 0.0
    of(kernels.listed_exponentials, python)(
        case["by_frame"], case["orientation"], log_prior, beta, maximum, value, sums
    )
    gain = beta * (dense - maximum[:, None])
    e = np.exp(gain + log_prior)
    np.testing.assert_allclose(value, e[case["listed"]])
    finite = np.where(np.isfinite(gain), gain, 0.0)
    np.testing.assert_allclose(sums[:, 0], e.sum(axis=1))
    np.testing.assert_allclose(sums[:, 1], (e * (finite + log_prior)).sum(axis=1), atol=1e-15)
    np.testing.assert_allclose(sums[:, 2], (e * finite).sum(axis=1), atol=1e-15)
    of(kernels.divide_listed, python)(case["by_frame"], sums[:, 0], value)
    total = np.bincount(case["frame_of_pair"], value, minlength=N_FRAMES)
    np.testing.assert_allclose(total, np.where(np.arange(N_FRAMES) == 4, 0.0, 1.0))


@PYTHON
def test_views_and_exposures_are_sums_over_frames(case, python):
    probability = case["rng"].random(len(case["place"]))
    probability[::5] = 0.0
    frame_weight = (np.arange(N_FRAMES) % 2).astype(np.float64)
    dense = np.zeros(case["listed"].shape)
    dense[case["listed"]] = probability
    dense *= frame_weight[:, None]
    pairs = case["by_orientation"], case["frame"], case["place"], probability, frame_weight
    exposure = np.empty(N_ORIENTATIONS)
    of(kernels.listed_exposures, python)(*pairs, exposure)
    np.testing.assert_allclose(exposure, dense.sum(axis=0))
    chosen = np.array([5, 0, 2])
    views = np.full((3, N_PIXELS), np.nan, dtype=np.float32)
    of(kernels.listed_views, python)(chosen, *pairs, *case["photons"], views)
    np.testing.assert_allclose(views, (dense.T @ case["counts"])[chosen], rtol=1e-5)


def test_results_do_not_depend_on_the_number_of_threads(case):
    probability = case["rng"].random(len(case["place"]))
    pairs = case["by_orientation"], case["frame"], case["place"], probability, np.ones(N_FRAMES)
    found = []
    for threads in (1, 2):
        use_threads(threads)
        exposure = np.empty(N_ORIENTATIONS)
        kernels.listed_exposures(*pairs, exposure)
        views = np.empty((N_ORIENTATIONS, N_PIXELS), dtype=np.float32)
        kernels.listed_views(np.arange(N_ORIENTATIONS), *pairs, *case["photons"], views)
        found.append(exposure.tobytes() + views.tobytes())
    assert found[0] == found[1]
