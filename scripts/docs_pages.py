"""Hook of MkDocs: pages that are made from the program itself, and files beside docs/ as pages."""

from __future__ import annotations

import importlib
import re
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fewphoton.stages import STAGES

ROOT = Path(__file__).resolve().parents[1]
BESIDE = {"benchmarks.md": "benchmarks/RESULTS.md", "changelog.md": "CHANGELOG.md"}
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and the files outside docs/ that pages link to."""
    linked: set[str] = set()
    for page, source in BESIDE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_relinked(text, Path(source).parent, linked)))
    for source in (ROOT / "docs").glob("*.md"):
        _relinked(source.read_text(encoding="utf-8"), Path("docs"), linked)
    for inside in sorted(linked):
        files.append(File.generated(config, inside, abs_src_path=str(ROOT / inside)))
    files.append(File.generated(config, "stages.md", content=stages_page()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Point links that leave docs/ at the pages and copies made of those files."""
    return _relinked(markdown, Path("docs"), set())


def _relinked(text: str, folder: Path, linked: set[str]) -> str:
    """Return Markdown of a file in ``folder`` with its links as seen from docs/; files to copy go into ``linked``."""
    pages = {source: page for page, source in BESIDE.items()}

    def link(match: re.Match[str]) -> str:
        target, anchor = match[1], match[2] or ""
        path = (ROOT / folder / target).resolve()
        if not path.is_file() or not path.is_relative_to(ROOT):
            return match[0]  # a generated page, or a broken link that MkDocs reports
        inside = path.relative_to(ROOT).as_posix()
        if inside.startswith("docs/"):
            return f"]({inside.removeprefix('docs/')}{anchor})"
        if inside not in pages:
            linked.add(inside)
        return f"]({pages.get(inside, inside)}{anchor})"

    return _LINK.sub(link, text)


def stages_page() -> str:
    """Return the page of all stages: files and parameters, as `fewphoton STAGE --help` tells them."""
    lines = [
        "# Stages",
        "",
        "Each stage is a command and a rule of the workflow. Parameters go into `stages:` of a run's configuration "
        "under the stage's name with underscores, or to `--config`, `--config-json` and `--set` of the command.",
        "",
    ]
    for stage in STAGES:
        module = importlib.import_module(stage.module)
        lines += [f"## {stage.name}", "", f"{stage.summary[0].upper()}{stage.summary[1:]}.", ""]
        for title, holder in (("reads", module.Inputs), ("writes", module.Outputs)):
            if fields(holder):
                lines += [f"| {title} | |", "|---|---|", *map(_path_row, fields(holder)), ""]
        if module.Config.model_fields:
            lines += ["| parameter | default | |", "|---|---|---|"]
            for name, info in module.Config.model_fields.items():
                lines.append(f"| `{name}` | {_cell(_default(info))} | {_cell(info.description or '')} |")
            lines.append("")
    return "\n".join(lines)


def _path_row(item: Field[Any]) -> str:
    optional = ", optional" if item.metadata.get("optional") else ""
    return f"| `--{item.name.replace('_', '-')}`{optional} | {_cell(item.metadata['help'])} |"


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True)
    return "a section" if isinstance(value, BaseModel) else f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
