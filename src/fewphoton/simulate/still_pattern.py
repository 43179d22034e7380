"""Where the spots of a still crystal fall, and the photons expected in them.

A lattice point g at the distance e from the Ewald sphere scatters along g + s0, where s0 is the wave vector of the
beam, with ``scale |F|² P (w0 / w) exp(-e² / (2 w²))`` photons: the slice that the sphere cuts from a Gaussian of width
w, with the polarization factor P; w0 is the width common to all points. Spots are round Gaussians on the detector.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.simulate_stills import SimulateStillsConfig
from fewphoton.data import Beam, Detector
from fewphoton.data.still_truth import StillSpots
from fewphoton.kernels.still_spots import excited_points, place_spots, spread_spots

EXCITATION_REACH = 4.0
"""Excitation widths beyond which a lattice point is dark (partiality below 3.4e-4)."""
_SPOT_REACH = 5.0  # spot widths beyond which a spot ends


def excitation_widths(config: SimulateStillsConfig) -> NDArray[np.float64]:
    """Return common width (1/angstrom), mosaicity (radian) and bandwidth, float64 `(3,)`."""
    return np.array([config.excitation_width_inv_angstrom, np.deg2rad(config.mosaicity_deg), config.bandwidth])


@dataclass(frozen=True, eq=False)
class StillPattern:
    """Spots of one crystal and where their photons are expected.

    Parameters
    ----------
    spots : StillSpots
        Spots of this one frame.
    pixel : ndarray of int64, `(n,)`
        Flat frame indices of usable pixels under spots; one may come several times.
    photons : ndarray of float64, `(n,)`
        Expected photons there.
    """

    spots: StillSpots
    pixel: NDArray[np.int64]
    photons: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StillPatterns:
    """Makes the patterns of crystals in any orientation.

    Parameters
    ----------
    config : SimulateStillsConfig
        Widths.
    detector, beam : Detector, Beam
        Geometry.
    hkl, intensity : ndarray, `(n, 3)` int32 and `(n,)` float64
        Lattice points that can scatter onto the detector and their |F|² (electrons²).
    """

    config: SimulateStillsConfig
    detector: Detector
    beam: Beam
    hkl: NDArray[np.int32]
    intensity: NDArray[np.float64]

    def of(self, ub_inv_angstrom: NDArray[np.float64], photons_per_electron2: float) -> StillPattern:
        """Return the spots of a crystal.

        Parameters
        ----------
        ub_inv_angstrom : ndarray of float64, `(3, 3)`
            Columns a*, b*, c* in the laboratory, 1/angstrom.
        photons_per_electron2 : float
            Expected photons of a full spot for |F|² of 1.
        """
        point, outgoing, error, width = self._excited(ub_inv_angstrom)
        ray, panel, slow, fast = self._placed(outgoing)
        sigma = self.config.spot_sigma_px
        radius = self._radius_px
        indptr = np.empty(len(ray) + 1, dtype=np.int64)
        pixel = np.empty(len(ray) * (2 * radius + 1) ** 2, dtype=np.int64)
        share = np.empty(len(pixel))
        n_parts = spread_spots(
            slow,
            fast,
            panel,
            self._windows,
            sigma,
            radius,
            self.detector.masked,
            self.detector.frame_shape[1],
            indptr,
            pixel,
            share,
        )
        pixel, share = pixel[:n_parts], share[:n_parts]
        running = np.concatenate([[0.0], np.cumsum(share)])
        visible = running[indptr[1:]] - running[indptr[:-1]]
        partiality = np.exp(-0.5 * (error / width) ** 2)
        lorentz = self.config.excitation_width_inv_angstrom / width * _polarization(outgoing, self.beam)
        full = photons_per_electron2 * self.intensity[point] * partiality * lorentz
        photons = np.repeat(full[ray], np.diff(indptr)) * share
        # A spot whose visible part is a rounding error has no row, so that every row is a spot in the frame.
        seen = visible > 1e-9
        kept = ray[seen]
        spots = StillSpots(
            np.array([0, len(kept)]),
            self.hkl[point[kept]],
            panel[seen],
            slow[seen].astype(np.float32),
            fast[seen].astype(np.float32),
            (full[kept] * visible[seen]).astype(np.float32),
            np.minimum(visible[seen], 1.0).astype(np.float32),
            partiality[kept].astype(np.float32),
            lorentz[kept].astype(np.float32),
            error[kept].astype(np.float32),
        )
        return StillPattern(spots, pixel, photons)

    def _excited(
        self, ub: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        n = len(self.hkl)
        point = np.empty(n, dtype=np.int64)
        outgoing, error, width = np.empty((n, 3)), np.empty(n), np.empty(n)
        found = excited_points(
            self.hkl,
            np.ascontiguousarray(ub),
            self.beam.direction,
            self.beam.wavelength_angstrom,
            excitation_widths(self.config),
            EXCITATION_REACH,
            point,
            outgoing,
            error,
            width,
        )
        return point[:found], outgoing[:found], error[:found], width[:found]

    def _placed(
        self, outgoing: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]:
        panels = self.detector.panels
        basis = np.stack([np.column_stack([panel.slow_step_m, panel.fast_step_m, panel.corner_m]) for panel in panels])
        n = len(outgoing) * len(panels)
        ray, panel = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int32)
        slow, fast = np.empty(n), np.empty(n)
        found = place_spots(
            outgoing, np.linalg.inv(basis), self._windows, float(self._radius_px), ray, panel, slow, fast
        )
        return ray[:found], panel[:found], slow[:found], fast[:found]

    @property
    def _radius_px(self) -> int:
        return int(np.ceil(_SPOT_REACH * self.config.spot_sigma_px + 0.5))

    @property
    def _windows(self) -> NDArray[np.int64]:
        return np.array([[p.slow_start, p.fast_start, p.n_slow, p.n_fast] for p in self.detector.panels])


def _polarization(outgoing: NDArray[np.float64], beam: Beam) -> NDArray[np.float64]:
    """Polarization factor of rays `(n, 3)`, as :func:`fewphoton.data.detector.polarization_factors` for pixels."""
    along = beam.polarization_axis - (beam.polarization_axis @ beam.direction) * beam.direction
    along = along / np.linalg.norm(along)
    across = np.cross(beam.direction, along)
    fraction = beam.polarization_fraction
    return np.asarray(fraction * (1 - (outgoing @ along) ** 2) + (1 - fraction) * (1 - (outgoing @ across) ** 2))
