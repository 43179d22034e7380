"""Whether a shot is as bright as its stoichiometry says."""

from __future__ import annotations

import numpy as np

from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.misfit_weights import wilson_intensity
from fewphoton.data.shot import Shot

_SIGMAS = 6.0
# Brightness of compact molecules varies about Wilson's mean; the smallest ones by half of it.
_BRIGHT, _DIM = 2.5, 0.4
# Below, the whole molecule scatters nearly in phase, far above the mean.
_LEAST_Q_INV_ANGSTROM = 0.25


def doubt_composition(shot: Shot) -> str | None:
    """Return why a shot's composition is doubtful, or None.

    No molecule scatters more than all its atoms in phase, (sum f)². Away from the forward peak intensities are sum f²
    on average (Wilson 1942, Nature 150, 152, doi:10.1038/150152a0).

    Parameters
    ----------
    shot : Shot
        Measurement and composition.
    """
    model = ForwardModel.of(shot)
    counts = np.array(list(shot.composition.values()), dtype=np.float64)
    most = (counts @ np.abs(model.factor)) ** 2
    excess = shot.intensity_electron2 - most
    beyond = excess > _SIGMAS * np.sqrt(shot.variance(most))
    told = " ".join(f"{name}{number}" for name, number in shot.composition.items())
    if beyond.any():
        return (
            f"{int(beyond.sum())} detectors see more than all atoms of {told} scatter in phase: the composition lacks "
            "atoms, or intensities are not in electrons²"
        )
    mean = wilson_intensity(shot, model)
    length = np.linalg.norm(shot.q_inv_angstrom, axis=1)
    chosen = (length >= _LEAST_Q_INV_ANGSTROM) & (mean >= np.sqrt(shot.variance(mean)))
    if not chosen.any():
        return None
    ratio = float(shot.intensity_electron2[chosen].sum() / mean[chosen].sum())
    if _DIM <= ratio <= _BRIGHT:
        return None
    return (
        f"beyond {_LEAST_Q_INV_ANGSTROM:g} 1/angstrom the shot is {ratio:.2g} times as bright as {told} is "
        "on average: check the composition, and that intensities are in electrons²"
    )
