"""describe-crystal: check cell, space group and UB matrix of a configuration and write them for other stages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fewphoton.config import CrystalConfig
from fewphoton.io.crystal_description import crystal_from_config, write_crystal
from fewphoton.stages.contract import Context, path_field

Config = CrystalConfig


@dataclass(frozen=True)
class Inputs:
    """Nothing is read."""


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    crystal: Path = path_field("crystal description (YAML)")


def run(inputs: Inputs, outputs: Outputs, config: CrystalConfig, context: Context) -> None:
    """Check and write."""
    crystal, axis = crystal_from_config(config)
    write_crystal(outputs.crystal, crystal, axis)
    context.say(f"{crystal.space_group}, centring {crystal.centring}, {len(crystal.laue_rotations())} Laue rotations")
