"""schema: the JSON schema of a run's configuration, for editors."""

from __future__ import annotations

import argparse
import sys

from fewphoton.config.load import run_schema


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare nothing."""


def run(options: argparse.Namespace) -> int:
    """Print it."""
    sys.stdout.write(run_schema())
    return 0
