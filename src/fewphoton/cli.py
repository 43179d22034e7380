"""``fewphoton``: one sub-command a stage, its flags made from declared paths and configuration; commands for people."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import yaml

import fewphoton
from fewphoton.commands import COMMANDS, Command
from fewphoton.config.load import check_section
from fewphoton.errors import ConfigError, FewphotonError
from fewphoton.stages import STAGES, Stage


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a stage or command; return 0, or 1 after printing a fewphoton error, or 2 for a misspelt command line."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    stage = next((stage for stage in STAGES if words[:1] == [stage.name]), None)
    command = next((command for command in COMMANDS if words[:1] == [command.name]), None)
    try:
        if stage is not None:
            return _run_stage(stage, words[1:])
        if command is not None:
            return _run_command(command, words[1:])
    except FewphotonError as error:
        print(f"fewphoton: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Who reads has enough, as `| head`; what Python still holds back would raise anew at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    parser, _ = _top_parser()
    parser.parse_args(words)
    parser.print_help()
    return 2


def _whole_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; it loads every stage, which takes seconds."""
    parser, names = _top_parser()
    for stage in STAGES:
        _add_stage_arguments(names[stage.name], importlib.import_module(stage.module))
    for command in COMMANDS:
        importlib.import_module(command.module).add_arguments(names[command.name])
    return parser


def _top_parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """Return the parser that knows the names of stages and commands, and theirs by name, without options."""
    parser = argparse.ArgumentParser(
        prog="fewphoton",
        description="Structure from X-ray diffraction frames that hold only a few photons each.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:\n"
        + "\n".join(f"  {command.name:<22} {command.summary}" for command in COMMANDS)
        + "\n\nstages, in pipeline order:\n"
        + "\n".join(f"  {stage.name:<22} {stage.summary}" for stage in STAGES)
        + "\n\n'fewphoton NAME --help' tells the options of a command, the files and parameters of a stage.",
    )
    parser.add_argument("--version", action="version", version=f"fewphoton {fewphoton.__version__}")
    choices = parser.add_subparsers(dest="command", metavar="COMMAND | STAGE")
    return parser, {item.name: choices.add_parser(item.name, help=item.summary) for item in (*COMMANDS, *STAGES)}


def _run_command(command: Command, words: list[str]) -> int:
    module = importlib.import_module(command.module)
    return int(module.run(_command_parser(command, module).parse_args(words)))


def _command_parser(command: Command, module: Any) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"fewphoton {command.name}",
        description=_sentence(command.summary),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    parser.set_defaults(whole_parser=_whole_parser)
    return parser


def _sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _add_paths(parser: argparse.ArgumentParser, title: str, declared: Sequence[Field[Any]]) -> None:
    group = parser.add_argument_group(title)
    for item in declared:
        many = item.metadata.get("many", False)
        group.add_argument(
            _flag(item.name),
            required=not item.metadata.get("optional", False),
            type=str if many else Path,
            nargs="+" if many else None,
            default=() if many else None,
            metavar="PATH",
            help=item.metadata["help"].replace("%", "%%"),
        )


def _stage_parser(stage: Stage, module: Any) -> argparse.ArgumentParser:
    parameters = [
        f"  {name} [{'required' if info.is_required() else info.get_default(call_default_factory=True)}]\n"
        f"      {' '.join((info.description or '').split())}"
        for name, info in module.Config.model_fields.items()
    ]
    parser = argparse.ArgumentParser(
        prog=f"fewphoton {stage.name}",
        description=_sentence(stage.summary),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="parameters (for --config, --config-json and --set):\n" + "\n".join(parameters) if parameters else None,
    )
    _add_stage_arguments(parser, module)
    return parser


def _add_stage_arguments(parser: argparse.ArgumentParser, module: Any) -> None:
    _add_paths(parser, "input files", fields(module.Inputs))
    _add_paths(parser, "output files", fields(module.Outputs))
    parser.add_argument("--config", type=Path, help="YAML file with the stage's parameters")
    parser.add_argument("--config-json", metavar="TEXT", help="the same as text; comes after --config")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one parameter; comes last")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads to use (default: all cores)")
    parser.add_argument("--expect-ranks", type=int, help="start MPI and stop unless the world has this many ranks")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def _gather_config(module: Any, stage: Stage, options: argparse.Namespace) -> Any:
    content: dict[str, Any] = {}
    if options.config is not None:
        try:
            text = options.config.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{options.config}: cannot be read: {error.strerror or error}") from error
        content.update(_mapping(text, str(options.config)))
    if options.config_json is not None:
        content.update(_mapping(options.config_json, "--config-json"))
    for assignment in options.set:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise ConfigError(f"--set {assignment}: expected KEY=VALUE")
        content[key] = yaml.safe_load(value)
    return check_section(module.Config, content, f"configuration of {stage.name}")


def _mapping(text: str, origin: str) -> dict[str, Any]:
    content = yaml.safe_load(text)
    if not isinstance(content, dict):
        raise ConfigError(f"{origin}: expected keys and values, found {type(content).__name__}")
    return content


def _run_stage(stage: Stage, words: list[str]) -> int:
    module = importlib.import_module(stage.module)
    options = _stage_parser(stage, module).parse_args(words)
    if options.threads < 1:
        raise ConfigError(f"--threads must be at least 1, found {options.threads}")
    config = _gather_config(module, stage, options)

    from fewphoton.stages.contract import Context

    inputs, outputs = (
        holder(**{item.name: _path(getattr(options, item.name)) for item in fields(holder)})
        for holder in (module.Inputs, module.Outputs)
    )
    module.run(inputs, outputs, config, Context(options.threads, options.expect_ranks, not options.quiet))
    return 0


def _path(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
