"""Mean and standard deviation over the radius, as the figures of signal separation show them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.separation import BackgroundConfig
from fewphoton.data import AzimuthalBins
from fewphoton.figures import signal_separation
from fewphoton.separation.background import BackgroundFinder
from fewphoton.stages.separation_setup import SeparationSetup

_MODELS = ("poisson", "azimuthal")


def ring_radii(bins: AzimuthalBins) -> signal_separation.RingRadii:
    """Return radii as they are drawn."""
    if bins.unit == "r_m":
        return signal_separation.RingRadii(bins.centres * 1e3, "distance from the beam axis (mm)", "mm")
    return signal_separation.RingRadii(bins.centres, "q (Å$^{-1}$)", "Å$^{-1}$")


def ring_curves(
    bins: AzimuthalBins,
    config: BackgroundConfig,
    frame: NDArray[Any],
    dark: NDArray[np.float32] | None = None,
    *,
    clipped: bool,
) -> signal_separation.RingCurves:
    """Return the rings of a frame by the two error models; the mean is that of the configured one."""
    cycles = config.clip_cycles if clipped else 0
    empty = np.diff(bins.ring_ptr) == 0

    def found(model: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        formula = config.variance_formula if model == "variance" else None
        changed = {"error_model": model, "clip_cycles": cycles, "variance_formula": formula}
        background = BackgroundFinder(bins, config.model_copy(update=changed), frame.dtype, dark).find(frame)
        # Rings without pixels carry their neighbours' values, which were not measured.
        return np.where(empty, np.nan, background.mean), np.where(empty, np.nan, background.std)

    return signal_separation.RingCurves(found(config.error_model)[0], {model: found(model)[1] for model in _MODELS})


def ring_rows(radii: signal_separation.RingRadii, columns: dict[str, NDArray[Any]]) -> list[dict[str, Any]]:
    """Return curves as rows of a table, a ring a row."""
    unit = "mm" if radii.unit == "mm" else "inv_angstrom"
    named = {f"radius_{unit}": radii.centres, **columns}
    return [dict(zip(named, row, strict=True)) for row in zip(*(v.tolist() for v in named.values()), strict=True)]


def corrected_values(frame: NDArray[Any], setup: SeparationSetup, config: BackgroundConfig) -> NDArray[np.float64]:
    """Return a frame by equation 1, NaN for bad reads and outside the rings."""
    values = BackgroundFinder(setup.bins, config, frame.dtype, setup.dark).correct(frame).astype(np.float64)
    values[~setup.bins.usable] = np.nan
    return values
