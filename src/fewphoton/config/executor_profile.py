"""What snakemake's profile of a cluster says about starting programs: launcher, partition, account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fewphoton.errors import ConfigError


@dataclass(frozen=True)
class ExecutorProfile:
    """Default resources of a profile that bear on MPI programs; None where the profile leaves them out."""

    launcher: str | None = None
    partition: str | None = None
    account: str | None = None

    def srun_options(self) -> list[str]:
        """Return partition and account as options of srun."""
        given = {"partition": self.partition, "account": self.account}
        return [f"--{name}={value}" for name, value in given.items() if value]


def read_profile(folder: Path) -> ExecutorProfile:
    """Read ``config.yaml`` of a profile folder.

    Raises
    ------
    ConfigError
        If there is no such file, or it is no mapping.
    """
    path = folder / "config.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: the profile cannot be read: {error}; name its folder with --profile") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys and values, found {type(content).__name__}")
    resources = _resources(content.get("default-resources") or {}, path)
    values = {name: resources.get(key) for name, key in _KEYS.items()}
    return ExecutorProfile(**{name: None if value is None else str(value) for name, value in values.items()})


_KEYS = {"launcher": "launcher", "partition": "slurm_partition", "account": "slurm_account"}


def _resources(given: Any, path: Path) -> Mapping[str, Any]:
    """Default resources as a mapping; snakemake takes a list of ``key=value`` as well."""
    if isinstance(given, list):
        return dict(str(item).split("=", 1) for item in given if "=" in str(item))
    if not isinstance(given, dict):
        raise ConfigError(f"{path}: default-resources: expected keys and values, found {type(given).__name__}")
    return given
