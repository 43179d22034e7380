"""Detector geometry: rectangular panels placed in the laboratory, and the beam that hits them.

Laboratory frame (NeXus/McStas and CrystFEL): the beam travels along +z, +y points up, +x completes the
right-handed set; the sample is the origin; lengths are metres.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.errors import DataError, GeometryError

LARGEST_FRAME_PIXELS = 2**31 - 1
"""Numbers of pixels are kept in 32 bits."""


@dataclass(frozen=True, eq=False)
class Panel:
    """A flat rectangle of equal pixels, and the rectangle of the frame array that it fills.

    Parameters
    ----------
    name : str
        Label, unique in its detector.
    slow_start, fast_start : int
        Index of the panel's first pixel in the frame array.
    n_slow, n_fast : int
        Pixels along the slow and fast array axes.
    corner_m : ndarray of float64, `(3,)`
        Outer corner of the first pixel, in metres (pixel centres lie half a step inside).
    slow_step_m, fast_step_m : ndarray of float64, `(3,)`
        From one pixel to the next along each array axis, in metres.
    """

    name: str
    slow_start: int
    fast_start: int
    n_slow: int
    n_fast: int
    corner_m: NDArray[np.float64]
    slow_step_m: NDArray[np.float64]
    fast_step_m: NDArray[np.float64]

    def __post_init__(self) -> None:
        for key in ("corner_m", "slow_step_m", "fast_step_m"):
            vector = frozen_array(f"panel {self.name}: {key}", getattr(self, key), np.float64, (3,))
            if not np.isfinite(vector).all():
                raise GeometryError(f"panel {self.name}: {key} holds {vector}, expected finite metres")
            object.__setattr__(self, key, vector)
        if min(self.n_slow, self.n_fast) < 1 or min(self.slow_start, self.fast_start) < 0:
            raise GeometryError(
                f"panel {self.name}: expected a rectangle of at least one pixel inside the frame, found "
                f"start ({self.slow_start}, {self.fast_start}), size ({self.n_slow}, {self.n_fast})"
            )
        if self.pixel_area_m2 <= 0.0:
            raise GeometryError(f"panel {self.name}: slow and fast steps are parallel or zero, so pixels have no area")

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit normal of the panel, `(3,)`: fast × slow."""
        cross = np.cross(self.fast_step_m, self.slow_step_m)
        return np.asarray(cross / np.linalg.norm(cross))

    @property
    def pixel_area_m2(self) -> float:
        """Area of one pixel in square metres."""
        return float(np.linalg.norm(np.cross(self.fast_step_m, self.slow_step_m)))

    def pixel_centres_m(self) -> NDArray[np.float64]:
        """Centres of the pixels, `(n_slow, n_fast, 3)`, in metres."""
        slow = (np.arange(self.n_slow) + 0.5)[:, None, None] * self.slow_step_m
        fast = (np.arange(self.n_fast) + 0.5)[None, :, None] * self.fast_step_m
        return np.asarray(self.corner_m + slow + fast)


@dataclass(frozen=True, eq=False)
class Detector:
    """Panels inside one two-dimensional frame array.

    A pixel's number is its flat C-order index in the frame array: ``slow * frame_shape[1] + fast``. Stacks
    of modules (modules, slow, fast) are frames of shape (modules * slow, fast). Pixels that no panel covers
    are gaps: they have no position and are always masked.

    Parameters
    ----------
    frame_shape : tuple of int
        `(n_slow, n_fast)` of the frame array.
    panels : tuple of Panel
        Non-overlapping rectangles of the frame.
    masked : ndarray of bool, `(n_pixels,)` or `frame_shape`, optional
        True where a pixel must not be used. Gaps are added to it.
    """

    frame_shape: tuple[int, int]
    panels: tuple[Panel, ...]
    masked: NDArray[np.bool_] = field(default=None)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        shape = (int(self.frame_shape[0]), int(self.frame_shape[1]))
        object.__setattr__(self, "frame_shape", shape)
        object.__setattr__(self, "panels", tuple(self.panels))
        if not self.panels:
            raise GeometryError("a detector needs at least one panel")
        if min(shape) < 1 or shape[0] * shape[1] > LARGEST_FRAME_PIXELS:
            raise GeometryError(f"a frame of shape {shape}: expected 1 to {LARGEST_FRAME_PIXELS} pixels")
        try:
            self._own_pixels(shape)
        except MemoryError as error:
            raise GeometryError(f"a frame of shape {shape} does not fit into memory") from error

    def _own_pixels(self, shape: tuple[int, int]) -> None:
        """Check that panels own pixels of the frame, each its own, and mask the gaps."""
        owned = np.zeros(shape, dtype=np.uint8)
        for panel in self.panels:
            if panel.slow_start + panel.n_slow > shape[0] or panel.fast_start + panel.n_fast > shape[1]:
                raise GeometryError(f"panel {panel.name} reaches outside the frame of shape {shape}")
            owned[self._window(panel)] += 1
        if owned.max() > 1:
            raise GeometryError("two panels claim the same pixels of the frame")
        gaps = (owned == 0).ravel()
        given = gaps
        if self.masked is not None:
            masked = np.asarray(self.masked, dtype=bool)
            if masked.shape not in (shape, (len(gaps),)):
                raise GeometryError(f"detector mask: expected shape {(len(gaps),)} or {shape}, found {masked.shape}")
            given = masked.ravel() | gaps
        object.__setattr__(self, "masked", frozen_array("detector mask", given, np.bool_, (shape[0] * shape[1],)))

    @staticmethod
    def _window(panel: Panel) -> tuple[slice, slice]:
        return (
            slice(panel.slow_start, panel.slow_start + panel.n_slow),
            slice(panel.fast_start, panel.fast_start + panel.n_fast),
        )

    @property
    def n_pixels(self) -> int:
        """Pixels in the frame array, gaps included."""
        return self.frame_shape[0] * self.frame_shape[1]

    def with_mask(self, masked: NDArray[np.bool_]) -> Detector:
        """Return this detector with another mask (gaps stay masked)."""
        return replace(self, masked=masked)

    def panel_numbers(self) -> NDArray[np.int32]:
        """Index of the panel that owns each pixel, int32 `(n_pixels,)`; -1 in gaps."""
        numbers = np.full(self.frame_shape, -1, dtype=np.int32)
        for number, panel in enumerate(self.panels):
            numbers[self._window(panel)] = number
        return numbers.ravel()

    def pixel_centres_m(self) -> NDArray[np.float64]:
        """Centres of all pixels, float64 `(n_pixels, 3)`, in metres; NaN in gaps."""
        centres = np.full((*self.frame_shape, 3), np.nan)
        for panel in self.panels:
            centres[self._window(panel)] = panel.pixel_centres_m()
        return centres.reshape(-1, 3)

    def solid_angles_sr(self) -> NDArray[np.float64]:
        """Solid angle of each pixel seen from the sample, float64 `(n_pixels,)`, in steradian; NaN in gaps.

        Small-pixel form: area times the cosine of incidence over the squared distance.
        """
        angles = np.full(self.frame_shape, np.nan)
        for panel in self.panels:
            centres = panel.pixel_centres_m()
            distance = np.linalg.norm(centres, axis=-1)
            angles[self._window(panel)] = panel.pixel_area_m2 * np.abs(centres @ panel.normal) / distance**3
        return angles.ravel()

    def digest(self) -> str:
        """SHA-256 (hex) of frame shape and panel geometry; the mask is not part of it.

        Lengths enter to a tenth of a nanometre, so that a round trip through text keeps the digest.
        """
        state = hashlib.sha256(repr(self.frame_shape).encode())
        for panel in self.panels:
            state.update(repr((panel.slow_start, panel.fast_start, panel.n_slow, panel.n_fast)).encode())
            vectors = np.stack([panel.corner_m, panel.slow_step_m, panel.fast_step_m])
            state.update(np.rint(vectors * 1e10).astype("<i8").tobytes())
        return state.hexdigest()


@dataclass(frozen=True, eq=False)
class Beam:
    """A monochromatic beam.

    Parameters
    ----------
    wavelength_angstrom : float
        Wavelength.
    direction : ndarray of float64, `(3,)`
        Direction of travel; normalised on construction. Default +z.
    polarization_fraction : float
        Fraction of the intensity polarized along ``polarization_axis``: 1 for a synchrotron's plane, 0.5 for none.
    polarization_axis : ndarray of float64, `(3,)`
        Electric-field direction of that fraction. Default +x.
    """

    wavelength_angstrom: float
    direction: NDArray[np.float64] = field(default_factory=lambda: np.array([0.0, 0.0, 1.0]))
    polarization_fraction: float = 0.5
    polarization_axis: NDArray[np.float64] = field(default_factory=lambda: np.array([1.0, 0.0, 0.0]))

    def __post_init__(self) -> None:
        if not (np.isfinite(self.wavelength_angstrom) and self.wavelength_angstrom > 0):
            raise GeometryError(f"wavelength must be positive (angstrom), found {self.wavelength_angstrom}")
        if not 0.0 <= self.polarization_fraction <= 1.0:
            raise GeometryError(f"polarization_fraction must lie in 0 to 1, found {self.polarization_fraction}")
        for key in ("direction", "polarization_axis"):
            vector = frozen_array(f"beam {key}", getattr(self, key), np.float64, (3,))
            length = float(np.linalg.norm(vector))
            if not 0 < length < np.inf:
                raise GeometryError(f"beam {key} must be finite and not the zero vector, found {vector.tolist()}")
            object.__setattr__(self, key, frozen_array(key, vector / length, np.float64, (3,)))
        if np.linalg.norm(np.cross(self.direction, self.polarization_axis)) < 1e-6:
            raise GeometryError(
                f"beam polarization_axis must lie across the beam, found {self.polarization_axis.tolist()} along it"
            )


def q_vectors(detector: Detector, beam: Beam) -> NDArray[np.float64]:
    """Scattering vectors q = (s1 - s0) / wavelength of all pixels, |q| = 2 sin(theta) / wavelength.

    Parameters
    ----------
    detector : Detector
        Geometry.
    beam : Beam
        Wavelength and direction.

    Returns
    -------
    ndarray of float64, `(n_pixels, 3)`
        In 1/angstrom, laboratory frame; NaN in gaps.
    """
    centres = detector.pixel_centres_m()
    outgoing = centres / np.linalg.norm(centres, axis=1, keepdims=True)
    return np.asarray((outgoing - beam.direction) / beam.wavelength_angstrom)


def polarization_factors(detector: Detector, beam: Beam) -> NDArray[np.float64]:
    """Fraction of the unpolarized-sphere intensity that polarization leaves at each pixel, `(n_pixels,)`; NaN in gaps.

    A field along unit vector e scatters into direction s1 with 1 - (e·s1)²; the two transverse fields are
    weighted by ``polarization_fraction`` and its complement.
    """
    centres = detector.pixel_centres_m()
    outgoing = centres / np.linalg.norm(centres, axis=1, keepdims=True)
    along = beam.polarization_axis - (beam.polarization_axis @ beam.direction) * beam.direction
    along = along / np.linalg.norm(along)
    across = np.cross(beam.direction, along)
    fraction = beam.polarization_fraction
    return np.asarray(fraction * (1 - (outgoing @ along) ** 2) + (1 - fraction) * (1 - (outgoing @ across) ** 2))


def describe(detector: Detector, beam: Beam) -> dict[str, Any]:
    """Return geometry and beam as plain lists and numbers, the content of our geometry YAML (mask not included)."""
    return {
        "frame_shape": list(detector.frame_shape),
        "beam": {
            "wavelength_angstrom": float(beam.wavelength_angstrom),
            "direction": beam.direction.tolist(),
            "polarization_fraction": float(beam.polarization_fraction),
            "polarization_axis": beam.polarization_axis.tolist(),
        },
        "panels": [
            {
                "name": panel.name,
                "slow_start": panel.slow_start,
                "fast_start": panel.fast_start,
                "n_slow": panel.n_slow,
                "n_fast": panel.n_fast,
                "corner_m": panel.corner_m.tolist(),
                "slow_step_m": panel.slow_step_m.tolist(),
                "fast_step_m": panel.fast_step_m.tolist(),
            }
            for panel in detector.panels
        ],
    }


def from_description(content: dict[str, Any]) -> tuple[Detector, Beam]:
    """Rebuild what :func:`describe` returned.

    Raises
    ------
    GeometryError
        If a key is missing or unknown.
    """
    try:
        panels = tuple(Panel(**panel) for panel in content["panels"])
        beam = Beam(**content["beam"])
        shape = content["frame_shape"]
        detector = Detector((int(shape[0]), int(shape[1])), panels)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, DataError) as error:
        raise GeometryError(f"geometry description: {error}; expected frame_shape, beam and panels") from error
    return detector, beam
