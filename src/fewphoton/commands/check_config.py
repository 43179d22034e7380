"""check-config: whether a configuration holds known keys and possible values."""

from __future__ import annotations

import argparse
from pathlib import Path

from fewphoton.config.load import load_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the file."""
    parser.add_argument("file", type=Path, help="configuration (YAML)")


def run(options: argparse.Namespace) -> int:
    """Load it."""
    found = load_run(options.file)
    print(f"{options.file}: run {found.run!r} with {len(found.datasets)} dataset(s) is valid")
    return 0
