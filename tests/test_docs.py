"""The documentation: its site builds, its links lead somewhere, its commands are commands."""

import re
import shlex
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from matplotlib.image import imread

from fewphoton.cli import _command_parser, _gather_config, _stage_parser
from fewphoton.commands import COMMANDS
from fewphoton.stages import STAGES

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_STAGES = {stage.name: stage for stage in STAGES}
_OTHERS = {command.name: command for command in COMMANDS}
_WRITTEN_BY_READERS = {"config/mine.yaml", "config/changed.yaml"}
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
_COMMAND = re.compile(r"(\w+=\S+ )*(fewphoton|bash|scripts/\S+|snakemake|python|pytest) ")
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


class Links(HTMLParser):
    """Collects what a page points at, what it loads, and its anchors."""

    def __init__(self, text):
        super().__init__()
        self.targets, self.loaded, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors.add(found.get("id"))
        if tag == "a" and found.get("href"):
            self.targets.append(found["href"])
        elif tag == "link" and found.get("rel") != "canonical":
            self.loaded.append(found.get("href"))
        elif tag in ("script", "img") and found.get("src"):
            self.loaded.append(found["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    target = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(target)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return target


def test_every_link_of_the_site_leads_somewhere_and_nothing_comes_from_elsewhere(site):
    pages = {path: Links(path.read_text(encoding="utf-8")) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 12
    for path, links in pages.items():
        for target in [*links.targets, *links.loaded]:
            parts = urlsplit(target)
            if parts.scheme in ("http", "https", "mailto"):
                assert target in links.targets, f"{path.name} loads {target}"
                continue
            file = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            assert file.is_file(), f"{path.name}: {target} is missing"
            if parts.fragment and file in pages and parts.fragment != "main-content":
                assert unquote(parts.fragment) in pages[file].anchors, f"{path.name}: {target} has no such place"


def test_the_site_tells_of_every_stage_and_parameter(site):
    text = (site / "stages.html").read_text(encoding="utf-8")
    for stage in STAGES:
        assert f'id="{stage.name}"' in text
        for name in import_module(stage.module).Config.model_fields:
            assert f"<code>{name}</code>" in text, f"{stage.name}: {name}"


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs a browser: apt-get install chromium")
def test_the_site_opens_in_a_browser_from_disk(site, tmp_path):
    picture = tmp_path / "page.png"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    subprocess.run(
        [
            "chromium",
            *flags,
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--screenshot={picture}",
            "--window-size=1200,900",
            (site / "index.html").as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    page = imread(picture)[..., :3]
    assert page.shape[:2] == (900, 1200)
    # Text and a dark side bar on a light page; a page without its style sheet has neither bar nor frame.
    assert 0.1 < (page.mean(axis=-1) < 0.3).mean() < 0.5


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_between_files_hold_in_the_repository_too(page):
    generated = {"stages.md", "benchmarks.md", "changelog.md"}
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        if page.parent.name != "docs" or target not in generated:
            assert (page.parent / target).exists(), target


def commands():
    for page in PAGES:
        for language, block in _FENCE.findall(page.read_text(encoding="utf-8")):
            if language in ("", "bash", "console"):
                for line in block.replace("\\\n", " ").splitlines():
                    if _COMMAND.match(line):
                        words = shlex.split(line, comments=True)
                        while re.fullmatch(r"\w+=.*", words[0]):
                            words = words[1:]
                        yield pytest.param(words, id=f"{page.stem}: {' '.join(words)[:60]}")


@pytest.mark.parametrize("words", list(commands()))
def test_commands_are_commands(words):
    if words[0] == "fewphoton" and words[1] in _STAGES:
        stage = _STAGES[words[1]]
        module = import_module(stage.module)
        options = _stage_parser(stage, module).parse_args(words[2:])
        _gather_config(module, stage, options)
    elif words[0] == "fewphoton":
        command = _OTHERS[words[1]]
        stop = words.index(">") if ">" in words else len(words)
        _command_parser(command, import_module(command.module)).parse_args(words[2:stop])
    elif words[0] == "bash" or words[0].startswith("scripts/"):
        script = ROOT / (words[1] if words[0] == "bash" else words[0])
        assert script.is_file()
    for word in words:
        if word.startswith(("config/", "benchmarks/", "scripts/")) and word not in _WRITTEN_BY_READERS:
            assert (ROOT / word).exists(), word
