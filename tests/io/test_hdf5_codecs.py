"""Trials of HDF5 filters: good ones pass, and those that are unknown, idle or lossy do not."""

from __future__ import annotations

from fewphoton.io.hdf5_codecs import CODECS, codec_problems, library_versions


def test_every_codec_of_the_environment_decodes():
    assert codec_problems() == dict.fromkeys(CODECS)
    assert set(library_versions()) == {"h5py", "HDF5", "hdf5plugin"}


def test_filters_that_fail_are_named():
    lossy = {"compression": "gzip", "scaleoffset": 2}
    problems = codec_problems({"unknown": {"compression": 32999}, "idle": {}, "lossy": lossy, "gzip": CODECS["gzip"]})
    assert problems["gzip"] is None
    assert "32999" in str(problems["unknown"])
    assert "took no part" in str(problems["idle"])
    assert "other values" in str(problems["lossy"])
