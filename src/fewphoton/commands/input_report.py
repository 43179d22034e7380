"""What ``check`` tells about one dataset: understood facts, problems, and what its picture shows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.commands.frame_glimpse import FrameGlimpse
from fewphoton.data import Beam, Crystal, Detector
from fewphoton.data.beam_on_detector import BeamOnDetector, beam_on_detector, direction_in_words
from fewphoton.data.physical_constants import KEV_ANGSTROM
from fewphoton.errors import FewphotonError
from fewphoton.evaluate.predict_spots import predict_rotation
from fewphoton.evaluate.spot_geometry import PredictedSpots, SurfaceGeometry

ORIENTED = "known"
NOT_ORIENTED = "not given: the crystal's axes are taken as the laboratory's"
RANDOM = "random in each frame"
"""What is known of a crystal's orientation."""
_ENERGY_TOLERANCE = 5e-3
_CLOSE_SPOTS_PX = 3.0
_MOST_REFLECTIONS = 3_000_000


@dataclass
class InputReport:
    """Facts and problems of one dataset, gathered as its inputs are opened.

    Parameters
    ----------
    name : str
        Dataset.
    kind : str
        Where its frames come from.
    """

    name: str
    kind: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    detector: Detector | None = None
    beam: Beam | None = None
    centre: BeamOnDetector | None = None
    frames: FrameGlimpse | None = None
    spots: PredictedSpots | None = None

    @contextlib.contextmanager
    def trying(self) -> Iterator[None]:
        """Note an error of the block as a problem, and go on."""
        try:
            yield
        except FewphotonError as error:
            self.problems.append(with_way_out(str(error)))

    def tell(self, label: str, text: str, **values: Any) -> None:
        """Add a fact, with its numbers for JSON."""
        self.facts.append((label, text))
        self.values |= values

    def add_frames(self, frames: FrameGlimpse) -> None:
        """Tell what frames were found."""
        self.frames = frames
        slow, fast = frames.frame_shape
        sources = f"{len(frames.sources)} sources" if len(frames.sources) > 1 else frames.sources[0]
        self.tell(
            "frames",
            f"{frames.n_frames} of {slow} x {fast} pixels (slow x fast), {frames.dtype}, {sources}",
            n_frames=frames.n_frames,
            frame_shape=[slow, fast],
            dtype=frames.dtype,
            n_sources=len(frames.sources),
        )
        shown = f"{frames.n_shown} frame(s) from {frames.first_shown} on"
        self.tell(
            "values",
            f"in {shown}: largest {frames.largest:g}, {frames.zero_fraction:.1%} zero, {frames.flagged_fraction:.1%} "
            f"flagged as bad, sum {frames.mean_total:.6g} a frame",
            largest=frames.largest,
            zero_fraction=frames.zero_fraction,
            flagged_fraction=frames.flagged_fraction,
            mean_total=frames.mean_total,
        )
        start = np.asarray(frames.table.omega_start_deg)
        end = np.asarray(frames.table.omega_end_deg)
        n_batches = len(np.unique(frames.table.batch))
        known = np.isfinite(start) & np.isfinite(end)
        if not known.any():
            self.tell("angles", f"not in the files; {n_batches} uninterrupted series", n_series=n_batches)
            return
        step = float(np.median(end[known] - start[known]))
        low, high = min(start[known].min(), end[known].min()), max(start[known].max(), end[known].max())
        self.tell(
            "angles",
            f"{low:g} to {high:g} deg in steps of {step:g} deg, {n_batches} uninterrupted series",
            omega_first_deg=float(low),
            omega_last_deg=float(high),
            omega_step_deg=step,
            n_series=n_batches,
        )

    def add_detector(self, detector: Detector, beam: Beam) -> None:
        """Tell geometry, beam, beam stop and axes."""
        self.detector, self.beam = detector, beam
        centre = self.centre = beam_on_detector(detector, beam)
        panel = detector.panels[0]
        sizes = [1e6 * float(np.linalg.norm(step)) for step in (panel.slow_step_m, panel.fast_step_m)]
        distance = float(centre.place_m @ beam.direction)
        usable = 1 - float(detector.masked.mean())
        self.tell(
            "detector",
            f"{len(detector.panels)} panel(s), pixels of {sizes[0]:.4g} x {sizes[1]:.4g} um, {1e3 * distance:.2f} mm "
            f"from the sample along the beam; {usable:.1%} of the pixels are usable",
            n_panels=len(detector.panels),
            pixel_size_um=sizes,
            distance_m=distance,
            usable_fraction=usable,
        )
        energy = KEV_ANGSTROM / beam.wavelength_angstrom
        self.tell(
            "wavelength",
            f"{beam.wavelength_angstrom:.5g} angstrom, {energy:.4g} keV; {beam.polarization_fraction:.0%} polarized "
            f"{direction_in_words(beam.polarization_axis)}",
            wavelength_angstrom=beam.wavelength_angstrom,
            photon_energy_kev=energy,
        )
        beside = "" if centre.on_panel else ", beside the panels"
        self.tell(
            "beam centre",
            f"slow {centre.slow_px:.2f}, fast {centre.fast_px:.2f} (the first pixel's centre is 0){beside}",
            beam_slow_px=centre.slow_px,
            beam_fast_px=centre.fast_px,
            beam_on_panel=centre.on_panel,
        )
        self._tell_beam_stop(centre, max(sizes) * 1e-6)
        self.tell(
            "q",
            f"{centre.q_min_inv_angstrom:.4g} to {centre.q_max_inv_angstrom:.4g} 1/angstrom, d from "
            f"{1 / centre.q_min_inv_angstrom if centre.q_min_inv_angstrom else np.inf:.4g} to "
            f"{1 / centre.q_max_inv_angstrom:.4g} angstrom",
            q_min_inv_angstrom=centre.q_min_inv_angstrom,
            q_max_inv_angstrom=centre.q_max_inv_angstrom,
        )
        self.tell(
            "axes",
            f"seen from the sample, fast runs {direction_in_words(panel.fast_step_m)}, slow "
            f"{direction_in_words(panel.slow_step_m)}",
            fast_axis=direction_in_words(panel.fast_step_m),
            slow_axis=direction_in_words(panel.slow_step_m),
        )

    def _tell_beam_stop(self, centre: BeamOnDetector, pixel_m: float) -> None:
        radius = centre.masked_radius_m
        text = f"no usable pixel within {1e3 * radius:.3g} mm ({radius / pixel_m:.1f} pixels) of the beam"
        if radius < 1.5 * pixel_m:
            text = "nothing is masked about the beam; where a beam stop casts a shadow, mask it"
        self.tell("beam stop", text, masked_radius_mm=1e3 * radius)

    def compare_energies(self, photon_energy_kev: float | None) -> None:
        """Note where frames or configuration name another wavelength than the geometry."""
        if self.beam is None:
            return
        wavelength = self.beam.wavelength_angstrom
        others = {
            "the header of the frames": None if self.frames is None else self.frames.wavelength_angstrom,
            "stages.count_photons.photon_energy_kev": photon_energy_kev and KEV_ANGSTROM / photon_energy_kev,
        }
        for place, other in others.items():
            if other is not None and abs(other / wavelength - 1) > _ENERGY_TOLERANCE:
                self.problems.append(
                    f"the geometry has a wavelength of {wavelength:.5g} angstrom ({KEV_ANGSTROM / wavelength:.4g} "
                    f"keV), but {place} says {other:.5g} angstrom ({KEV_ANGSTROM / other:.4g} keV). Correct "
                    "the one that is wrong"
                )

    def add_crystal(self, crystal: Crystal, orientation: str, axis: NDArray[np.float64] | None) -> None:
        """Tell cell, symmetry and orientation (in words), and how far apart spots lie."""
        cell = " ".join(f"{value:g}" for value in crystal.cell)
        self.tell(
            "cell",
            f"{cell} (angstrom, deg), {crystal.space_group}, centring {crystal.centring}",
            cell=list(crystal.cell),
            space_group=crystal.space_group,
        )
        turned = "" if axis is None else f"; goniometer axis {direction_in_words(axis)}"
        self.tell("orientation", f"{orientation}{turned}", oriented=orientation == ORIENTED)
        if self.detector is None or self.beam is None or self.centre is None:
            return
        shortest = crystal.q_inv_angstrom(crystal.lattice_points(4 / max(crystal.cell[:3]))).min()
        pixel_m = max(float(np.linalg.norm(self.detector.panels[0].fast_step_m)), 1e-12)
        distance_m = float(self.centre.place_m @ self.beam.direction)
        apart = float(shortest) * self.beam.wavelength_angstrom * distance_m / pixel_m
        close = "" if apart >= _CLOSE_SPOTS_PX else "; so close, spots run into one another"
        self.tell("spots", f"neighbours lie {apart:.1f} pixels apart at the least{close}", spot_distance_px=apart)

    def predict(self, crystal: Crystal, axis: NDArray[np.float64], omega: tuple[float, float] | None = None) -> None:
        """Predict the reflections that cross the Ewald sphere while the shown frames are taken."""
        if self.detector is None or self.beam is None or self.centre is None:
            return
        if omega is None and self.frames is not None:
            table, first = self.frames.table, self.frames.first_shown
            last = first + self.frames.n_shown - 1
            omega = (float(table.omega_start_deg[first]), float(table.omega_end_deg[last]))
        if omega is None or not np.isfinite(omega).all() or omega[0] == omega[1]:
            return
        d_min = 1 / self.centre.q_max_inv_angstrom
        volume = abs(np.linalg.det(np.linalg.inv(crystal.b_matrix)))
        if 4.2 * volume / d_min**3 > _MOST_REFLECTIONS:
            return
        scan = TurnedCrystal(self.detector, self.beam, crystal, axis, omega[0], omega[1] - omega[0])
        during = "in the shown frames" if self.frames else f"between {omega[0]:g} and {omega[1]:g} deg"
        self.add_spots(predict_rotation(scan, d_min), during)

    def add_spots(self, spots: PredictedSpots, during: str = "in the shown frames") -> None:
        """Tell how many reflections there should be."""
        assert self.detector is not None
        place = np.rint([spots.slow_px, spots.fast_px]).astype(np.int64)
        usable = ~self.detector.masked.reshape(self.detector.frame_shape)[place[0], place[1]]
        self.spots = spots.take(usable)
        self.tell(
            "prediction",
            f"{len(self.spots)} reflections on usable pixels in the shown frames",
            n_predicted=len(self.spots),
        )

    def record(self) -> dict[str, Any]:
        """Return facts and problems, JSON-ready."""
        return {"dataset": self.name, "source": self.kind, **self.values, "problems": list(self.problems)}


def with_way_out(problem: str) -> str:
    """Add what to do where a message does not say it."""
    for ending, remedy in _WAYS_OUT.items():
        if problem.endswith(ending):
            return f"{problem}. {remedy}"
    return problem


_WAYS_OUT = {
    "no such file": "Correct the path, or bring the file there",
    "no file matches this pattern": "Correct the pattern; quotes keep the shell from expanding it",
    "crystal: Field required": "Give cell and space_group; `fewphoton new --crystal FILE` reads them from files",
    "Field required": "Give the key; `fewphoton schema` and the stage's --help tell what it means",
}


@dataclass(frozen=True, eq=False)
class TurnedCrystal(SurfaceGeometry):
    """A crystal turned once by ``omega_step_deg`` before a detector."""

    crystal: Crystal
    rotation_axis: NDArray[np.float64]
    omega_start_deg: float
    omega_step_deg: float
    n_images: int = 1

    @property
    def ub_inv_angstrom(self) -> NDArray[np.float64]:
        """UB at angle 0, `(1, 3, 3)`."""
        return self.crystal.ub_matrix[None]
