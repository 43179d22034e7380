"""fetch: one file of a public data set, from a local copy or its public address, checked by SHA-256."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fewphoton.config import FetchConfig
from fewphoton.io.fetch import fetch, local_folder
from fewphoton.stages.contract import Context, path_field

Config = FetchConfig


@dataclass(frozen=True)
class Inputs:
    """Nothing but what the configuration names is read."""


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    file: Path = path_field("the file")


def run(inputs: Inputs, outputs: Outputs, config: FetchConfig, context: Context) -> None:
    """Fetch and check."""
    source = local_folder(config.data_dir, config.folder)
    origin = fetch(config.name, outputs.file, source, config.url, config.sha256.get(config.name))
    context.say(f"{config.name} from {origin}")
