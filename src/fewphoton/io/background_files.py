"""Shape of a background over the detector (HDF5): a map over pixels, or a curve over the length of q.

Layouts::

    /                                  fewphoton_kind = background_shape
    /background/photons_per_pixel      float64 (n_slow, n_fast)    a map; masked pixels may hold anything

    /background/q_inv_angstrom         float64 (n)                 rising
    /background/photons_per_response   float64 (n)                 a curve: photons of a pixel of mean solid angle and
                                                                   polarization, as azimuthal means with corrections

Only the shape counts; any scale will do.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Beam, Detector
from fewphoton.data.detector import polarization_factors, q_vectors
from fewphoton.errors import InputFileError
from fewphoton.io.hdf5 import created, dataset, opened, require_kind, store
from fewphoton.io.provenance import Provenance

KIND = "background_shape"
_MAP = "background/photons_per_pixel"
_Q, _CURVE = "background/q_inv_angstrom", "background/photons_per_response"


def write_background_map(path: Path | str, photons_per_pixel: NDArray[np.float64], provenance: Provenance) -> None:
    """Write a map `(n_slow, n_fast)`."""
    with created(path) as file:
        store(file, _MAP, np.asarray(photons_per_pixel, dtype=np.float64), units="photons")
        provenance.write(file, KIND)


def write_background_curve(
    path: Path | str,
    q_inv_angstrom: NDArray[np.float64],
    photons_per_response: NDArray[np.float64],
    provenance: Provenance,
) -> None:
    """Write a curve, both arrays `(n,)`."""
    with created(path) as file:
        store(file, _Q, np.asarray(q_inv_angstrom, dtype=np.float64), units="1/angstrom")
        store(file, _CURVE, np.asarray(photons_per_response, dtype=np.float64), units="photons")
        provenance.write(file, KIND)


def read_background_shape(path: Path | str, detector: Detector, beam: Beam) -> NDArray[np.float64]:
    """Return the expected background of each pixel on any scale, float64 `(n_pixels,)`.

    A curve is interpolated at each pixel's q, constant beyond its ends, and multiplied by solid angle and polarization;
    masked pixels get 0.

    Raises
    ------
    InputFileError
        If the file is missing, truncated or foreign, holds neither a map nor a curve, does not fit the detector, or
        holds values that are not finite or negative on unmasked pixels.
    """
    with opened(path) as file:
        require_kind(file, KIND)
        if _MAP in file:
            place = _MAP
            values = dataset(file, _MAP, kind="iuf", shape=detector.frame_shape)[()].astype(np.float64).reshape(-1)
        elif _CURVE in file:
            place = _CURVE
            q = dataset(file, _Q, kind="f", shape=(None,))[()]
            curve = dataset(file, _CURVE, kind="f", shape=q.shape)[()]
            if len(q) == 0 or not np.isfinite(q).all() or (np.diff(q) <= 0).any():
                raise InputFileError(path, "must be finite and rise strictly", where=_Q)
            values = _on_pixels(q, curve, detector, beam)
        else:
            raise InputFileError(
                path, "holds no background", where="/background", expected="photons_per_pixel or photons_per_response"
            )
    values[detector.masked] = 0.0
    wrong = ~np.isfinite(values) | (values < 0)
    if wrong.any():
        found = f"{int(wrong.sum())} others, the first at pixel {int(np.argmax(wrong))}"
        raise InputFileError(path, "cannot be a background", where=place, expected="values >= 0", found=found)
    return np.asarray(values)


def _on_pixels(
    q: NDArray[np.float64], curve: NDArray[np.float64], detector: Detector, beam: Beam
) -> NDArray[np.float64]:
    length = np.linalg.norm(q_vectors(detector, beam), axis=1)
    response = detector.solid_angles_sr() * polarization_factors(detector, beam)
    usable = ~detector.masked
    values = np.zeros(detector.n_pixels)
    # The mean makes no difference to the shape, and keeps the scale of the curve.
    values[usable] = np.interp(length[usable], q, curve) * response[usable] / response[usable].mean()
    return values
