"""Pixel sizes and frames of detectors that geometry files tell by their names alone."""

from __future__ import annotations

_SIZES_M: dict[float, dict[str, tuple[int, int]]] = {
    172e-6: {
        "Pilatus100k": (195, 487),
        "Pilatus200k": (407, 487),
        "Pilatus300k": (619, 487),
        "Pilatus300kw": (195, 1475),
        "Pilatus900k": (619, 1475),
        "Pilatus900kw": (195, 4439),
        "Pilatus1M": (1043, 981),
        "Pilatus2M": (1679, 1475),
        "Pilatus6M": (2527, 2463),
    },
    150e-6: {
        "Pilatus4_260k": (530, 513),
        "Pilatus4_260kw": (255, 1033),
        "Pilatus4_1M": (1080, 1033),
        "Pilatus4_2M": (1630, 1553),
        "Pilatus4_4M": (2180, 2073),
    },
    75e-6: {
        "Eiger500k": (514, 1030),
        "Eiger1M": (1065, 1030),
        "Eiger4M": (2167, 2070),
        "Eiger9M": (3269, 3110),
        "Eiger16M": (4371, 4150),
        "Eiger2_250k": (512, 512),
        "Eiger2_500k": (512, 1028),
        "Eiger2_1M": (1062, 1028),
        "Eiger2_1MW": (512, 2068),
        "Eiger2_2MW": (512, 4148),
        "Eiger2_4M": (2162, 2068),
        "Eiger2_9M": (3262, 3108),
        "Eiger2_16M": (4362, 4148),
        "Jungfrau1M": (1064, 1030),
        "Jungfrau4M": (2164, 2068),
        "Jungfrau8M": (3333, 3212),
    },
    55e-6: {
        "Lambda60k": (256, 256),
        "Lambda250k": (516, 516),
        "Lambda750k": (516, 1556),
        "Lambda2M": (1556, 1556),
        "Lambda7M5": (2596, 2596),
        "Lambda9M": (3868, 3227),
        "Lambda10M": (2596, 4676),
    },
}
"""Photon counting and integrating pixel detectors of one flat grid, by their names in pyFAI; CdTe ones are the same."""


def _plain(name: str) -> str:
    """Return a name without material, case, blanks, hyphens and underscores."""
    kept = "".join(letter for letter in name.lower() if letter not in " _-")
    return kept.replace("cdte", "")


_BY_NAME = {
    _plain(name): (size_m, frame_shape) for size_m, frames in _SIZES_M.items() for name, frame_shape in frames.items()
}


def pixel_detector(name: str) -> tuple[float, tuple[int, int]] | None:
    """Return pixel size in metre and frame shape (slow, fast) of a detector; None where the name is not known.

    The name is told as pyFAI writes it (``Eiger2CdTe_4M``), in any case, with blanks or hyphens.
    """
    return _BY_NAME.get(_plain(name))
