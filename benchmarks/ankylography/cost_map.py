"""The exact cost map of one atom beside its peers, and relocations a minute: one run, one table.

Run ``python benchmarks/ankylography/cost_map.py`` (``--measurements``, ``--sites`` an axis). Peers compute the same two
Fourier sums for all sites: complex tables times weights (NumPy, single precision), and non-uniform FFTs (finufft, type
1, single precision). The floor is the same number of multiply-adds as one large real matrix product of the BLAS in use.
Times are medians of single calls after warming up, per map; ours serves several replicas with one product.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import finufft
import numpy as np

from fewphoton.ankylography.ewald_sphere import ewald_sphere
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.search_problem import SearchProblem
from fewphoton.ankylography.tempering import TemperedMolecules
from fewphoton.config.tempering import TemperingConfig
from fewphoton.data import Shot
from fewphoton.kernels.insertion_cost import insertion_map, insertion_rows

COMPOSITION = {"C": 4, "N": 1, "O": 3, "H": 9}
REPLICAS = 5
SPACING = 0.78


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call."""
    call()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def times_of(shot: Shot, sites: int, repeats: int) -> tuple[list[float], float]:
    """Return seconds a map (ours, complex table, finufft, product alone), and relocations a minute, on a grid."""
    random = np.random.default_rng(0)
    n = len(shot)
    config = TemperingConfig.model_validate(
        {"grid": {"spacing_angstrom": SPACING, "shape": (sites,) * 3}, "replicas": REPLICAS}
    )
    problem = SearchProblem.build(shot, ForwardModel.of(shot), config, 10.0, n, 0.2)
    lattice = problem.lattice
    single = [np.ascontiguousarray(problem.model.factor[0], dtype=np.float32)]
    single += [problem.measured.astype(np.float32), problem.weight.astype(np.float32)]
    amplitude = random.normal(size=(2, n)).astype(np.float32)
    origin = np.stack([np.ones(n), np.zeros(n)]).astype(np.float32)
    even = np.empty((REPLICAS * sites, 2 * n), dtype=np.float32)
    odd, terms = np.empty_like(even), np.empty((4, n), dtype=np.float32)

    def ours() -> None:
        for replica in range(REPLICAS):
            part = slice(replica * sites, (replica + 1) * sites)
            insertion_rows(amplitude, origin, *single, lattice.along_z, terms, even[part], odd[part])
        insertion_map(even, odd, lattice.cosines, lattice.sines, sites**2)

    place = SPACING * (np.arange(sites) - (sites - 1) / 2)
    every = np.stack(np.meshgrid(place, place, place, indexing="ij"), axis=-1).reshape(-1, 3)
    table = np.exp(2j * np.pi * (every @ shot.q_inv_angstrom.T)).astype(np.complex64)
    weights = (random.normal(size=(2, n)) + 1j * random.normal(size=(2, n))).astype(np.complex64)

    def tables() -> tuple[object, object]:
        return (table @ weights[0]).real, ((table * table) @ weights[1]).real

    angles = [np.ascontiguousarray(2 * np.pi * SPACING * column, dtype=np.float32) for column in shot.q_inv_angstrom.T]
    doubled = [2 * angle for angle in angles]

    def nufft() -> None:
        for angle, weight in ((angles, weights[0]), (doubled, weights[1])):
            finufft.nufft3d1(*angle, weight, (sites,) * 3, eps=1e-4, nthreads=1)

    left = random.normal(size=(2048, 2048)).astype(np.float32)

    def product() -> object:
        return left @ left

    floor = median_seconds(product, 5) * (2 * 2 * n * sites**3) / (2 * 2048**3)
    replicas = TemperedMolecules(problem, np.full(REPLICAS, 30.0), 0, random)
    sweep = median_seconds(replicas.sweep, 50)
    times = [median_seconds(ours, repeats) / REPLICAS, median_seconds(tables, 20), median_seconds(nufft, 50), floor]
    return times, 60 * REPLICAS * shot.n_atoms / sweep


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measurements", type=int, default=300)
    parser.add_argument("--sites", type=int, nargs="+", default=[11, 13])
    parser.add_argument("--repeats", type=int, default=200)
    options = parser.parse_args()
    q = ewald_sphere(0.35, options.measurements, 16.0)
    model = ForwardModel.build(q, tuple(COMPOSITION), "sphere")
    kind = np.repeat(np.arange(4), list(COMPOSITION.values()))
    intensity = model.intensity(np.random.default_rng(0).uniform(-3, 3, (17, 3)), kind)
    shot = Shot(0.35, q, intensity, float(intensity.std()) * 0.01, None, COMPOSITION)
    print(
        f"{'sites':>6} {'ours':>9} {'complex table':>14} {'finufft':>9} {'product alone':>14} {'relocations/min':>16}"
    )
    for sites in options.sites:
        times, rate = times_of(shot, sites, options.repeats)
        shown = [f"{1e3 * seconds:>{width}.3f}" for seconds, width in zip(times, (9, 14, 9, 14), strict=True)]
        print(f"{sites:>4}^3 {' '.join(shown)} {rate:>16,.0f}   (times in ms, one thread)")


if __name__ == "__main__":
    main()
