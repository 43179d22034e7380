"""completion: a script by which bash or zsh complete commands, options and files of ``fewphoton``."""

from __future__ import annotations

import argparse
import sys

import shtab

_SHELLS = ("bash", "zsh")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the shell."""
    parser.add_argument("shell", choices=_SHELLS, help="shell that reads the script")
    parser.epilog = (
        "bash:  fewphoton completion bash > ~/.local/share/bash-completion/completions/fewphoton\n"
        "zsh:   fewphoton completion zsh > ~/.zfunc/_fewphoton    with fpath+=~/.zfunc before compinit in ~/.zshrc"
    )


def run(options: argparse.Namespace) -> int:
    """Write the script; it holds all options, so completing starts no Python."""
    parser = options.whole_parser()
    _mark_files(parser)
    sys.stdout.write(shtab.complete(parser, options.shell) + "\n")
    return 0


def _mark_files(parser: argparse.ArgumentParser) -> None:
    """Tell the generator which values are files: those shown as PATH, and positional ones of type Path."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _mark_files(command)
        elif action.metavar in ("PATH", "CONFIG", "RUN") or getattr(action.type, "__name__", "") == "Path":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
