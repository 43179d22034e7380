"""The whole search, on molecules of four and five atoms."""

from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from fewphoton.ankylography import recover_by_tempering as search
from fewphoton.ankylography.fisher_information import CramerRaoBound, fisher_information
from fewphoton.ankylography.polish import Polisher
from fewphoton.ankylography.recover_by_tempering import recover_by_tempering
from fewphoton.ankylography.search_state import SearchState
from fewphoton.ankylography.solutions import NoiseFloor
from fewphoton.errors import ConfigError, DataError
from tests.ankylography.random_shots import GRID, grid_shot, random_shot, small_search

COMPOSITION = {"C": 3, "N": 1, "O": 1}


def never():
    return False


class Notebook:
    """Keeps all states of a search and hands one out."""

    def __init__(self, first=None):
        self.first, self.states = first, []

    def recall(self):
        return self.first

    def keep(self, state):
        self.states.append(state)


def recovered(shot, seed=1, stop=never, lines=None, threads=1, **options):
    keywords = {key: options.pop(key) for key in ("largest", "rank", "memory") if key in options}
    say = (lambda line: None) if lines is None else lines.append
    return recover_by_tempering(shot, small_search(**options), seed, stop, say, threads, **keywords)


def exactly(solutions):
    return [(one.molecule.element, one.molecule.position_angstrom.tobytes(), one.reduced_chi2) for one in solutions]


def candidate(floor, molecule):
    return floor.candidate(molecule.position_angstrom, floor.model.kinds(molecule.element), molecule.occupancy)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"white_level": 0.0, "photons_per_shot": 1e6},
        {"atom_model": "free_atom"},
    ],
    ids=["white", "counted", "free_atom"],
)
@pytest.mark.parametrize("seed", [0, 3])
def test_atoms_are_found_off_a_grid(options, seed):
    shot, truth = random_shot(COMPOSITION, seed, **options)
    lines = []
    solutions = recovered(shot, lines=lines)
    floor = NoiseFloor(shot)
    best = candidate(floor, solutions[0].molecule)
    assert lines[-1] == "noise alone explains what is left"
    assert floor.explains(best)
    assert floor.same(best, Polisher(shot, small_search(), floor).finish(candidate(floor, truth)))
    np.testing.assert_allclose(solutions[0].molecule.position_angstrom.mean(axis=0), 0, atol=1e-12)
    assert solutions[0].reduced_chi2 == pytest.approx(1, abs=5 * np.sqrt(2 / len(shot)))


@pytest.mark.parametrize("options", [{}, {"white_level": 0.0, "photons_per_shot": 1e5}], ids=["white", "counted"])
@pytest.mark.parametrize("seed", [0, 1])
def test_atoms_are_found_on_a_grid_exactly(options, seed):
    shot, truth = grid_shot(COMPOSITION, seed, **options)
    best = recovered(shot, grid=GRID)[0].molecule
    expected = truth.position_angstrom - truth.position_angstrom.mean(axis=0)
    names = np.array(best.element)
    matched = []
    for place in (best.position_angstrom, -best.position_angstrom):
        gap = np.linalg.norm(place[:, None] - expected[None], axis=-1)
        gap[names[:, None] != np.array(truth.element)[None]] = np.inf
        matched.append(gap.min(axis=1).max() < 1e-9 and len(set(gap.argmin(axis=1))) == len(names))
    assert any(matched)


def test_the_seed_and_the_rank_determine_everything():
    shot, _ = random_shot(COMPOSITION, 1)
    options = {"max_sweeps": 4, "polish_every": 2}
    first = exactly(recovered(shot, **options))
    assert first == exactly(recovered(shot, **options))
    assert first != exactly(recovered(shot, seed=2, **options))
    assert first != exactly(recovered(shot, rank=1, **options))


def test_threads_change_no_bit():
    shot, _ = random_shot(COMPOSITION, 1)
    options = {"max_sweeps": 4, "polish_every": 2, "replicas": 7}
    assert exactly(recovered(shot, **options)) == exactly(recovered(shot, threads=2, **options))


def test_distinct_solutions_come_best_first():
    shot, _ = random_shot(COMPOSITION, 3)
    solutions = recovered(shot, max_sweeps=6, polish_every=1, polish_replicas=4, solutions=4)
    floor = NoiseFloor(shot)
    found = [candidate(floor, one.molecule) for one in solutions]
    assert 2 <= len(found) <= 4
    misfits = [one.misfit for one in found]
    assert misfits == sorted(misfits)
    assert not any(floor.same(a, b) for number, a in enumerate(found) for b in found[number + 1 :])
    for one, item in zip(solutions, found, strict=True):
        assert one.reduced_chi2 == pytest.approx(floor.reduced_chi2(item), rel=1e-9)


@pytest.mark.parametrize("grid", [None, GRID], ids=["free", "grid"])
def test_solutions_stay_what_they_were_while_the_search_goes_on(grid):
    """What is returned has the misfit that was measured when it was found."""
    shot, _ = (random_shot if grid is None else grid_shot)(COMPOSITION, 3)
    lines = []
    solutions = recovered(shot, lines=lines, grid=grid, max_sweeps=12, polish_every=1, hottest=5.0)
    floor = NoiseFloor(shot)
    best = candidate(floor, solutions[0].molecule)
    told = [float(line.split("misfit ")[1].split()[0]) for line in lines if "misfit" in line]
    assert told == sorted(told, reverse=True)
    assert f"{best.misfit:.3f}" == f"{told[-1]:.3f}"
    for one in solutions:
        assert one.reduced_chi2 == pytest.approx(floor.reduced_chi2(candidate(floor, one.molecule)), rel=1e-9)


def test_standard_errors_are_those_of_the_information():
    shot, _ = random_shot(COMPOSITION, 0)
    best = recovered(shot)[0]
    floor = NoiseFloor(shot)
    kind = floor.model.kinds(best.molecule.element)
    information = fisher_information(
        floor.model, np.full(len(shot), shot.white_sigma_electron2**2), best.molecule.position_angstrom, kind
    )
    expected = CramerRaoBound.of(information, 5).standard_error_angstrom
    np.testing.assert_allclose(best.standard_error_angstrom, expected, rtol=1e-6)


def test_amplitudes_of_final_solutions_can_be_fitted():
    shot, _ = random_shot(COMPOSITION, 0)
    whole, free = (recovered(shot, free_amplitudes=choice)[0] for choice in (False, True))
    floor = NoiseFloor(shot)
    assert (whole.molecule.occupancy == 1).all()
    assert (free.molecule.occupancy != 1).any()
    np.testing.assert_allclose(free.molecule.occupancy, 1, atol=0.1)
    assert candidate(floor, free.molecule).misfit < candidate(floor, whole.molecule).misfit
    assert (free.standard_error_angstrom > whole.standard_error_angstrom).all()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"box_angstrom": (1.6, 1.6, 1.6)}, "box_angstrom"),
        ({"grid": {"spacing_angstrom": 0.9, "shape": (3, 3, 3)}}, "grid"),
    ],
)
def test_a_box_that_is_too_small_is_told_of(options, word):
    shot, _ = random_shot(COMPOSITION, 1)
    lines = []
    recovered(shot, lines=lines, max_sweeps=4, polish_every=2, **options)
    assert lines[-1].endswith(f"a larger {word} may hold a better one")
    lines.clear()
    recovered(random_shot(COMPOSITION, 0)[0], lines=lines, box_angstrom=(9.0, 9.0, 9.0), max_sweeps=2, polish_every=2)
    assert not any("larger" in line for line in lines)


def test_what_the_shot_does_not_fix_has_no_standard_errors():
    """In the plane q_z = 0 nothing tells of z."""
    shot, molecule = random_shot({"C": 3}, 0)
    flat = shot.q_inv_angstrom * [1, 1, 0]
    floor = NoiseFloor(replace(shot, q_inv_angstrom=flat))
    assert search.as_recovered(candidate(floor, molecule), floor).standard_error_angstrom is None


def test_stop_ends_the_search_after_a_round():
    shot, _ = random_shot(COMPOSITION, 1)
    asked, lines = [], []

    def stop():
        asked.append(True)
        return len(asked) == 3

    solutions = recovered(shot, stop=stop, lines=lines, polish_every=1, polish_replicas=1)
    assert len(asked) == 3
    assert len([line for line in lines if line.startswith("sweep")]) == 3
    assert solutions


def test_the_last_round_makes_the_sweeps_that_are_left():
    shot, _ = random_shot(COMPOSITION, 1)
    lines = []
    recovered(shot, lines=lines, max_sweeps=7, polish_every=3)
    assert [line.split(":")[0] for line in lines] == ["sweep 3", "sweep 6", "sweep 7"]


@pytest.mark.parametrize("passes", [True, False])
def test_the_search_ends_with_patience(monkeypatch, passes):
    """After three times the sweeps that the best molecule took, and eight rounds, more passes for noise."""
    shot, _ = random_shot(COMPOSITION, 0)
    lines = []
    monkeypatch.setattr(NoiseFloor, "explains", lambda self, candidate, patient=False: patient and passes)
    book = Notebook()
    recovered(shot, lines=lines, memory=book, polish_every=2, max_sweeps=400 if passes else 60)
    ended = book.states[-1]
    assert ended.sweep == (3 * ended.found_at + 16 if passes else 60)
    assert all(one.found_at <= one.sweep for one in book.states)
    assert any("noise alone" in line for line in lines) == passes


def test_success_anywhere_ends_all():
    shot, _ = random_shot(COMPOSITION, 1)
    here = []

    def largest(value):
        here.append(value)
        # First all tell how far they were; then, once a round, whether they have ended.
        return float(len(here) == 4)

    lines = []
    assert recovered(shot, lines=lines, largest=largest, polish_every=1)
    assert here == [0, False, False, False]
    assert len(lines) == 2
    ended = iter([0.0, 1.0])
    assert recovered(shot, largest=lambda value: next(ended)) == []


def test_a_rank_that_was_left_behind_does_the_rounds_of_the_others_first():
    shot, _ = random_shot(COMPOSITION, 1)
    here = []

    def largest(value):
        here.append(value)
        return 3.0 if len(here) == 1 else 1.0

    lines = []
    assert recovered(shot, lines=lines, largest=largest, polish_every=1)
    # Three rounds without a question, as the others had none to ask; then the end of one of them.
    assert len(here) == 2
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("noise", "molecule", "seed"),
    [({"white_level": 2e-3}, 2, 1), ({"white_level": 0.0, "photons_per_shot": 3e3}, 2, 1)],
    ids=["white", "counted"],
)
def test_a_search_goes_on_to_the_same_result(noise, molecule, seed):
    """From every state that was kept, the last one included."""
    shot, _ = random_shot({"C": 3, "H": 4, "N": 1, "O": 2}, molecule, **noise)
    options = {"polish_every": 2, "max_sweeps": 12, "seed": seed}
    whole = Notebook()
    expected = exactly(recovered(shot, memory=whole, **options))
    assert len(whole.states) > 2
    assert len(whole.states[-2].mended_kind)
    for number, state in enumerate(whole.states):
        rest = Notebook(state)
        assert exactly(recovered(shot, memory=rest, **options)) == expected
        assert len(rest.states) == len(whole.states) - number - 1
        for one, other in zip(rest.states, whole.states[number + 1 :], strict=True):
            for name in SearchState.__dataclass_fields__:
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_kept_states_do_not_change_afterwards():
    shot, _ = random_shot(COMPOSITION, 1)
    book = Notebook()
    copies = []

    def keep(state):
        copies.append({name: np.array(getattr(state, name)) for name in SearchState.__dataclass_fields__})
        book.states.append(state)

    book.keep = keep
    recovered(shot, memory=book, polish_every=1, max_sweeps=5)
    for state, copy in zip(book.states, copies, strict=True):
        for name, values in copy.items():
            np.testing.assert_array_equal(getattr(state, name), values, err_msg=name)


def test_blas_works_with_one_thread_during_the_search():
    """Its own threads would share out products in other ways, and wait for each other."""
    shot, _ = random_shot(COMPOSITION, 1)
    seen = []

    def say(line):
        seen.extend(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas")

    with search.threadpool_limits(2, user_api="blas"):
        before = [one["num_threads"] for one in threadpool_info()]
        recover_by_tempering(shot, small_search(max_sweeps=2, polish_every=2), 1, never, say)
        after = [one["num_threads"] for one in threadpool_info()]
    assert 2 in before
    assert seen
    assert set(seen) == {1}
    assert before == after


def test_errors_come_before_the_search():
    shot, _ = random_shot(COMPOSITION, 1)
    with pytest.raises(ConfigError, match="cannot hold 5 atoms"):
        recovered(shot, grid={"spacing_angstrom": 1.0, "shape": (2, 2, 1)})
    with pytest.raises(ConfigError, match="cannot hold 5 atoms"):
        recovered(shot, box_angstrom=(0.2, 0.2, 0.2))
    with pytest.raises(DataError, match="fewer than the 12 coordinates"):
        recovered(shot, q_max_inv_angstrom=0.1)
