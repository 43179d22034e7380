import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.ankylography.gespar import recover_by_gespar
from fewphoton.ankylography.gespar_search import GesparSearch, SiteAtoms
from fewphoton.ankylography.sparse_problem import SparseProblem
from fewphoton.config.gespar import GesparConfig
from fewphoton.data.position_grid import PositionGrid
from fewphoton.errors import ConfigError, DataError
from tests.ankylography.site_shots import SPACING, same_molecule, site_shot


def config(box=7, **options):
    return GesparConfig(grid={"spacing_angstrom": SPACING, "shape": (box, box, box)}, **options)


def solved(shot, grid, kind, site, options, seed=1):
    lines = []
    found = recover_by_gespar(shot, options, seed, lambda: False, lines.append)
    return same_molecule(found[0].molecule, grid, kind, site) and found[0].reduced_chi2 < 1, lines, found


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"steps": "marquardt"},
        {"amplitudes": "positive", "n_candidates": 2},
        {"amplitudes": "known"},
        {"random_weights": True, "swap_after": "last_addition"},
        {"start": "random"},
    ],
    ids=str,
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_few_atoms_are_found_exactly(options, seed):
    shot, grid, kind, site = site_shot(seed, {"C": 2, "N": 1, "O": 1})
    good, lines, _ = solved(shot, grid, kind, site, config(weights="wilson", n_restarts=60, **options))
    assert good
    assert len(lines) < 60


@pytest.mark.parametrize("seed", [1, 2])
def test_plain_weights_find_three_atoms(seed):
    shot, grid, kind, site = site_shot(seed, {"C": 2, "O": 1})
    assert solved(shot, grid, kind, site, config(n_restarts=100))[0]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_whole_fourier_cube_gives_the_original_problem(seed):
    """Intensities on all of a Fourier cube of twice the box, where GESPAR is known to work, here with 6 like atoms."""
    n = 10
    axis = (np.arange(n) - n // 2) / (n * SPACING)
    q = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    shot, grid, kind, site = site_shot(seed, {"H": 6}, box=5, q=q)
    # Only differences of positions matter, so the molecule may come out shifted within the same box.
    assert solved(shot, grid, kind, site, config(box=5, n_restarts=100))[0]


def test_noise_ends_the_search_at_its_floor():
    shot, grid, kind, site = site_shot(2, {"C": 2, "O": 1}, white_share=1e-4)
    lines = []
    found = recover_by_gespar(shot, config(weights="noise", n_restarts=80), 1, lambda: False, lines.append)
    assert len(lines) < 80
    assert same_molecule(found[0].molecule, grid, kind, site, atol=0.2)
    assert 0.7 < found[0].reduced_chi2 < 1.3


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 1000),
    counts=st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 3)),
    amplitudes=st.sampled_from(["free", "positive", "known"]),
    share_sites=st.booleans(),
)
def test_the_composition_is_always_kept(seed, counts, amplitudes, share_sites):
    composition = dict(zip(("C", "O", "H"), counts, strict=True))
    shot, *_ = site_shot(seed, composition, box=4, n_detectors=60)
    options = config(box=4, amplitudes=amplitudes, share_sites=share_sites, n_restarts=2, n_candidates=2)
    found = recover_by_gespar(shot, options, seed, lambda: False, lambda line: None)
    assert found
    for one in found:
        names = list(one.molecule.element)
        assert {name: names.count(name) for name in composition} == composition
        places = {tuple(place) for place in one.molecule.position_angstrom.round(3)}
        assert share_sites or len(places) == sum(counts)
        assert amplitudes != "known" or (one.molecule.occupancy == 1).all()


def test_swaps_only_descend_and_objective_is_that_of_the_atoms():
    shot, grid, *_ = site_shot(5, {"C": 3, "N": 1, "O": 2})
    problem = SparseProblem.of(shot, grid, "wilson", 0.2)
    search = GesparSearch(problem, config(box=5, n_candidates=3), np.random.default_rng(1))
    while search.missing.any():
        before = search.atoms.objective
        search.add()
        assert search.atoms.objective < before or len(search.atoms.site) == 2
    for _ in range(4):
        before = search.atoms.objective
        if not search.swap():
            assert search.atoms.objective == before
            break
        assert search.atoms.objective < before
    wave = problem.model.amplitude(grid.positions(search.atoms.site), search.atoms.kind, search.atoms.amplitude)
    expected = problem.weight @ (np.abs(wave) ** 2 - shot.intensity_electron2) ** 2
    assert search.atoms.objective == pytest.approx(expected, rel=1e-9)


def test_a_swap_is_the_best_of_all_single_exchanges_that_are_tried():
    """With known amplitudes and every site a candidate, the swap is the best single move there is."""
    shot, grid, *_ = site_shot(6, {"C": 2, "O": 1}, box=3, n_detectors=50)
    problem = SparseProblem.of(shot, grid, "none", 0.2)
    search = GesparSearch(problem, config(box=3, n_candidates=27, amplitudes="known"), np.random.default_rng(2))
    while search.missing.any():
        search.add()
    kind, site = search.atoms.kind.copy(), search.atoms.site.copy()
    moves = []
    for atom in range(3):
        for place in set(range(27)) - set(site.tolist()):
            moved = site.copy()
            moved[atom] = place
            intensity = problem.model.intensity(grid.positions(moved), kind)
            moves.append(((intensity - shot.intensity_electron2) ** 2).sum())
    before = search.atoms.objective
    swapped = search.swap()
    assert swapped == (min(moves) < before * (1 - 1e-9))
    assert search.atoms.objective == pytest.approx(min(before, min(moves)), rel=1e-9)


def test_amplitudes_end_above_0_and_in_the_majority_s_sign():
    """-x explains what x does; one atom against the others is none."""
    shot, _, kind, site = site_shot(4, {"C": 3, "O": 1})
    problem = SparseProblem.of(shot, PositionGrid(SPACING, (5, 5, 5)), "none", 0.2)
    search = GesparSearch(problem, config(box=5), np.random.default_rng(1))
    columns = problem.columns(kind, site)
    search.atoms = SiteAtoms(kind, site, np.array([-1.1, -0.9, -1.0, -1.0]), columns, np.inf)
    finished = search.finished()
    np.testing.assert_allclose(finished.amplitude, 1.0, atol=1e-6)
    assert finished.objective < 1e-9 * (shot.intensity_electron2**2).sum()
    search.atoms = SiteAtoms(kind, site, np.array([-1.1, 0.4, -1.0, -1.0]), columns, np.inf)
    assert search.finished().amplitude.min() >= 0


def test_the_seed_determines_the_molecules():
    shot, *_ = site_shot(7, {"C": 3, "N": 1, "O": 2, "H": 2})
    options = config(n_restarts=3, random_weights=True)
    runs = []
    for seed in (4, 4, 5):
        lines = []
        found = recover_by_gespar(shot, options, seed, lambda: False, lines.append)
        runs.append((lines, [(one.reduced_chi2, one.molecule.position_angstrom.tolist()) for one in found]))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert [chi2 for chi2, _ in runs[0][1]] == sorted(chi2 for chi2, _ in runs[0][1])


def test_stop_ends_the_search_with_a_whole_molecule():
    shot, *_ = site_shot(7, {"C": 3, "N": 1, "O": 2})
    lines = []
    found = recover_by_gespar(shot, config(n_restarts=50), 1, lambda: True, lines.append)
    assert len(lines) == len(found) == 1
    assert len(found[0].molecule) == 6
    asked = iter([False] * 40)
    found = recover_by_gespar(shot, config(n_restarts=50), 1, lambda: next(asked, True), lines.append)
    assert 1 < len(lines) < 40
    assert all(len(one.molecule) == 6 for one in found)


def test_solutions_are_distinct_up_to_shift_and_inversion():
    shot, *_ = site_shot(8, {"C": 2, "H": 2}, box=3)
    options = config(box=4, n_restarts=30, n_solutions=4, weights="none", n_removals=1)
    found = recover_by_gespar(shot, options, 1, lambda: False, lambda line: None)
    assert 1 <= len(found) <= 4
    for number, one in enumerate(found):
        for other in found[:number]:
            kind = np.array([("C", "H").index(name) for name in other.molecule.element])
            place = PositionGrid(SPACING, (4, 4, 4)).nearest_site(other.molecule.position_angstrom)
            assert not same_molecule(one.molecule, PositionGrid(SPACING, (4, 4, 4)), kind, place, atol=np.inf)


def test_bad_input_is_refused():
    shot, *_ = site_shot(1, {"C": 2, "O": 1})
    with pytest.raises(ConfigError, match="noise"):
        recover_by_gespar(shot, config(weights="noise"), 1, lambda: False, lambda line: None)
    with pytest.raises(DataError, match="do not fit"):
        recover_by_gespar(shot, config(box=1), 1, lambda: False, lambda line: None)
    with pytest.raises(ValueError, match="n_candidates"):
        config(n_candidate=3)
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        config(n_restarts=0)
