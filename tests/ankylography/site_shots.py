"""Shots of atoms that sit on a grid."""

import numpy as np

from fewphoton.ankylography.ewald_sphere import ewald_sphere
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.data.position_grid import PositionGrid
from fewphoton.data.shot import Shot

SPACING = 0.78


def site_shot(seed, composition, box=5, n_detectors=200, q=None, white_share=0.0):
    """Return a shot of atoms on random sites of a cubic grid, the grid, and the atoms' kinds and sites.

    ``white_share`` is the power of white noise over that of the intensities.
    """
    rng = np.random.default_rng(seed)
    grid = PositionGrid(SPACING, (box, box, box))
    kind = np.repeat(np.arange(len(composition)), list(composition.values()))
    site = rng.choice(grid.n_sites, len(kind), replace=False)
    q = ewald_sphere(0.35, n_detectors, 30.0) if q is None else q
    model = ForwardModel.build(q, tuple(composition), "sphere")
    intensity = model.intensity(grid.positions(site), kind)
    sigma = float(np.sqrt(white_share * (intensity**2).mean()))
    noisy = intensity + sigma * rng.standard_normal(len(q)) if sigma else intensity
    return Shot(0.35, q, noisy, sigma, None, composition), grid, kind, site


def same_molecule(found, grid, kind, site, atol=1e-6):
    """Whether atoms agree with those on sites, up to a shift and inversion."""
    elements = sorted(set(found.element), key=list(found.element).index)
    kinds = np.array([elements.index(name) for name in found.element])
    truth = grid.positions(site)
    for hand in (1, -1):
        place = hand * found.position_angstrom
        a = np.column_stack([kinds, place - place.min(axis=0)]).round(4) + 0.0
        b = np.column_stack([kind, truth - truth.min(axis=0)]).round(4) + 0.0
        a, b = (table[np.lexsort(table.T[::-1])] for table in (a, b))
        if np.allclose(a, b, atol=1e-3):
            return bool(np.allclose(found.occupancy, 1.0, atol=atol))
    return False
