"""The detector inside HDF5 files: geometry and beam as JSON (the content of our geometry YAML), mask, digest."""

from __future__ import annotations

import json

import h5py

from fewphoton.data.detector import Beam, Detector, describe, from_description
from fewphoton.errors import GeometryError, InputFileError
from fewphoton.io.hdf5 import dataset, text, text_attribute
from fewphoton.io.parsed_text import parsed_json


def write_detector(entry: h5py.Group, detector: Detector, beam: Beam) -> h5py.Group:
    """Write everything but the mask, which belongs into the returned group as ``masked`` `(n_slow, n_fast)`."""
    place = entry.create_group("detector")
    place.attrs.update(NX_class="NXdetector", digest=detector.digest())
    place.create_dataset("description", data=json.dumps(describe(detector, beam), sort_keys=True))
    return place


def read_detector(entry: h5py.Group) -> tuple[Detector, Beam]:
    """Return the detector with its mask, and the beam.

    Raises
    ------
    InputFileError
        If a part is missing, impossible, or does not fit the digest.
    """
    path = entry.file.filename
    content = parsed_json(text(entry, "detector/description"), path, "/entry/detector/description")
    try:
        detector, beam = from_description(content)
    except GeometryError as error:
        raise InputFileError(path, str(error), where="/entry/detector/description") from error
    detector = detector.with_mask(dataset(entry, "detector/masked", kind="b", shape=detector.frame_shape)[()])
    if text_attribute(entry["detector"], "digest") != detector.digest():
        raise InputFileError(path, "detector digest does not fit its description", where="/entry/detector")
    return detector, beam
