"""What the stages that turn photon frames into photon frames share: writing while tallying."""

from __future__ import annotations

from collections.abc import Iterable
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
    n_frames = zero = photons = 0
    with write_photon_file(path, detector, beam, provenance) as writer:
        for part in context.track(frames, label, "chunks"):
            writer.append(part)
            totals = part.totals()
            n_frames += part.n_frames
            zero += int((totals == 0).sum())
            photons += int(totals.sum())
    return {
        "n_frames": n_frames,
        "n_zero_photon_frames": zero,
        "photons_total": photons,
        "photons_per_frame_mean": photons / n_frames if n_frames else None,
    }
