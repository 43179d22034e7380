"""Parameters of a training that takes a second, with all that a long one has."""

from __future__ import annotations

from typing import Any

SMALL: dict[str, Any] = {
    "encoder": {"widths": [24, 12], "heads": 3},
    "schedule": {
        "steps": 12,
        "batch_frames": 8,
        "pixels": 50,
        "evaluate_every": 4,
        "held_out_frames": 6,
        "checkpoint_every": 5,
        "starts": 2,
        "start_steps": 4,
    },
}
