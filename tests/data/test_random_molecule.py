from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.stats import kstest

from fewphoton.data.random_molecule import ORGANIC_COMPOSITION, organic_composition, random_molecule
from fewphoton.errors import DataError


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    composition=st.dictionaries(st.sampled_from(["C", "H", "N", "O", "S"]), st.integers(1, 8), min_size=1),
    distance=st.floats(0.0, 1.2),
    seed=st.integers(0, 2**32 - 1),
)
def test_molecules_keep_their_promises(composition, distance, seed):
    molecule = random_molecule(composition, np.random.default_rng(seed), distance)
    assert Counter(molecule.element) == composition
    assert pdist(molecule.position_angstrom).min(initial=np.inf) >= distance
    radius = (3 * 8.4 * len(molecule) / (4 * np.pi)) ** (1 / 3)
    assert np.linalg.norm(molecule.position_angstrom, axis=1).max() <= radius


def test_places_are_uniform_in_the_ball():
    """Without a shortest distance, the cube of the radius and the cosine of the angle are uniform."""
    position = random_molecule({"C": 1500}, np.random.default_rng(5), 0.0).position_angstrom
    length = np.linalg.norm(position, axis=1)
    radius3 = 3 * 8.4 * 1500 / (4 * np.pi)
    assert kstest(length**3 / radius3, "uniform").pvalue > 0.01
    assert kstest((position[:, 2] / length + 1) / 2, "uniform").pvalue > 0.01


def test_elements_are_shared_out_at_random():
    """Where the first atom stands says nothing of its element."""
    rng = np.random.default_rng(2)
    first = Counter(random_molecule({"C": 1, "O": 1}, rng).element[0] for _ in range(400))
    assert 150 < first["C"] < 250


def test_the_seed_fixes_the_molecule():
    one, same, other = (random_molecule({"C": 5}, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.position_angstrom, same.position_angstrom)
    assert np.abs(one.position_angstrom - other.position_angstrom).max() > 0.1


def test_organic_composition_by_hand():
    """Shares of five atoms in C4 H9 N O3: 1.18, 2.65, 0.29, 0.88; the missing two go to O and H."""
    assert organic_composition(5) == {"C": 1, "H": 3, "O": 1}
    assert organic_composition(17) == ORGANIC_COMPOSITION
    assert organic_composition(34) == {name: 2 * count for name, count in ORGANIC_COMPOSITION.items()}
    assert all(sum(organic_composition(n).values()) == n for n in range(1, 60))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rng: random_molecule({"C": 20}, rng, 4.0), "20 atoms at least 4 angstrom apart found no room"),
        (lambda rng: random_molecule({}, rng), "needs atoms"),
        (lambda rng: random_molecule({"Qq": 2}, rng), "unknown elements: Qq"),
        (lambda rng: random_molecule({"C": 2}, rng, -1.0), "no negative distance"),
        (lambda rng: random_molecule({"C": 2}, rng, np.nan), "no negative distance"),
        (lambda rng: random_molecule({"C": 2}, rng, 1.0, 0.0), "volume per atom above 0"),
        (lambda rng: organic_composition(0), "needs atoms, found 0"),
    ],
)
def test_impossible_wishes_are_refused(call, message):
    with pytest.raises(DataError, match=message):
        call(np.random.default_rng(0))
