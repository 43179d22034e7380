"""What the stages that turn photon frames into photon frames share: writing while tallying."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewphoton.data import Beam, Detector, PhotonFrames
from fewphoton.errors import DataError
from fewphoton.io.photon_files import PhotonFileReader, write_photon_file
from fewphoton.io.provenance import Provenance
from fewphoton.stages.contract import Context


def require_frames(reader: PhotonFileReader) -> int:
    """Return the number of frames of a photon file, or raise DataError where it holds none."""
    if reader.n_frames == 0:
        raise DataError(f"{reader.path}: the photon file holds no frames")
    return reader.n_frames


def total_photons(reader: PhotonFileReader) -> int:
    """Return the photons of a photon file (one pass)."""
    return int(sum(int(chunk.count.sum(dtype="int64")) for chunk in reader.chunks()))


@dataclass
class Tally:
    """Counts frames and photons as they pass by, so that nothing is read twice.

    Parameters
    ----------
    n_frames, n_zero_photon_frames, photons_total : int
        What has passed so far.
    """

    n_frames: int = 0
    n_zero_photon_frames: int = 0
    photons_total: int = 0

    def watch(self, parts: Iterable[PhotonFrames]) -> Iterator[PhotonFrames]:
        """Yield the parts unchanged."""
        for part in parts:
            totals = part.totals()
            self.n_frames += part.n_frames
            self.n_zero_photon_frames += int((totals == 0).sum())
            self.photons_total += int(totals.sum())
            yield part


def write_and_tally(
    path: Path,
    frames: Iterable[PhotonFrames],
    detector: Detector,
    beam: Beam,
    provenance: Provenance,
    context: Context,
    label: str,
) -> dict[str, Any]:
    """Write frames as they come; return n_frames, n_zero_photon_frames, photons_total, photons_per_frame_mean."""
    written = Tally()
    with write_photon_file(path, detector, beam, provenance) as writer:
        for part in context.track(written.watch(frames), label, "chunks"):
            writer.append(part)
        if written.n_frames == 0:
            raise DataError(f"{label}: no frame is left to write to {path}")
    return {
        "n_frames": written.n_frames,
        "n_zero_photon_frames": written.n_zero_photon_frames,
        "photons_total": written.photons_total,
        "photons_per_frame_mean": written.photons_total / written.n_frames,
    }
