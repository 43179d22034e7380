"""Reading configuration files into checked models, with errors that name the key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from fewphoton.config.run import RunConfig
from fewphoton.config.section import Section
from fewphoton.errors import ConfigError

AnySection = TypeVar("AnySection", bound=Section)


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice; YAML's own way is to forget the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode):
                if key_node.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key {key_node.value!r} is given twice", key_node.start_mark
                    )
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def _explain(origin: str, error: ValidationError) -> ConfigError:
    lines = [f"{origin}: the configuration is not valid"]
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"]) or "(top level)"
        lines.append(f"  {key}: {problem['msg'].removeprefix('Value error, ')}")
    return ConfigError("\n".join(lines))


def check_section(model: type[AnySection], content: Any, origin: str) -> AnySection:
    """Validate ``content`` as ``model``.

    Raises
    ------
    ConfigError
        Listing every offending key with its reason, and near misses for unknown keys.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise _explain(origin, error) from error


def load_section(model: type[AnySection], text: str, origin: str) -> AnySection:
    """Parse YAML (or JSON, which is YAML) text and validate it as ``model``.

    Raises
    ------
    ConfigError
        If the text is no YAML, gives a key twice, or does not fit the model.
    """
    content = _parsed(text, origin)
    return check_section(model, {} if content is None else content, origin)


def load_run(path: Path | str) -> RunConfig:
    """Read a run's configuration file (YAML).

    Raises
    ------
    ConfigError
        If the file cannot be read, is no YAML, or holds unknown keys or wrong values.
    """
    return load_section(RunConfig, _text(path), str(path))


def read_mapping(path: Path | str) -> dict[str, Any]:
    """Read a configuration file as keys and values, without asking whether they are valid.

    Raises
    ------
    ConfigError
        If the file cannot be read, is no YAML, or is no mapping.
    """
    content = _parsed(_text(path), str(path))
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys and values, found {type(content).__name__}")
    return content


def _text(path: Path | str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the configuration: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: the configuration is not UTF-8 text: {error}") from error


def _parsed(text: str, origin: str) -> Any:
    try:
        return yaml.load(text, _UniqueKeyLoader)
    except (yaml.YAMLError, ValueError) as error:
        # PyYAML lets impossible dates and numbers through to Python.
        raise ConfigError(f"{origin}: not valid YAML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{origin}: nested too deeply, or holds itself") from error


def run_schema() -> str:
    """Return the JSON schema of a run's configuration, indented and ending in a newline."""
    return json.dumps(RunConfig.model_json_schema(), indent=2, sort_keys=True) + "\n"
