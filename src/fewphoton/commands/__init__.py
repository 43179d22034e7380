"""Commands for people around the stages: what is installed, what a configuration names, what a run does.

A command's module holds ``add_arguments(parser)`` and ``run(options)``, which returns the exit status. Modules are
imported only when they run.
"""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """A command that is no stage."""

    name: str
    summary: str

    @property
    def module(self) -> str:
        """Module that holds the command."""
        return f"fewphoton.commands.{self.name.replace('-', '_')}"


COMMANDS = (
    Command("new", "write the configuration of a run from raw files, geometry and crystal"),
    Command("check", "open every input that a configuration names, tell what it holds, and draw it"),
    Command("status", "tell what is done, running and failed in a run, and what to do about it"),
    Command("doctor", "tell which parts of the suite work on this machine, and how to mend the others"),
    Command("completion", "print the shell's completion of this command line"),
    Command("check-config", "check a run's configuration file without opening its inputs"),
    Command("schema", "print the JSON schema of a run's configuration"),
)
