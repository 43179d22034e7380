"""Layers, homes of libraries, and habits that keep kernels right: checked, not hoped."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src" / "fewphoton").rglob("*.py"))
KERNELS = [path for path in SOURCES if path.parent.name == "kernels"]


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_import_contracts_hold():
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"}, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_every_module_imports_and_is_no_monster(path):
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    name = ".".join(parts).removesuffix(".__init__")
    if not name.endswith("__main__"):
        importlib.import_module(name)
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 350


def jitted(path: Path) -> list[tuple[ast.FunctionDef, ast.expr]]:
    return [
        (node, decorator)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if "njit" in ast.unparse(decorator)
    ]


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.stem)
def test_kernels_are_cached_lazy_and_parallel_where_they_say_so(path):
    for function, decorator in jitted(path):
        assert isinstance(decorator, ast.Call), f"{function.name}: bare njit has no cache"
        assert not decorator.args, f"{function.name}: an eager signature compiles at import"
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in decorator.keywords}
        assert options.get("cache") == "True", function.name
        # Sums may be reordered; flags that assume finite numbers would make NaN tests vanish.
        assert options.get("fastmath") in (None, "_SUMS", "{'reassoc', 'contract', 'nsz'}"), function.name
        uses_prange = "prange" in ast.unparse(function)
        assert uses_prange == (options.get("parallel") == "True"), f"{function.name}: prange and parallel go together"


def test_nothing_is_unpickled_or_evaluated():
    for path in SOURCES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in ("eval", "exec", "pickle.load", "pickle.loads"), f"{path}: {name}"
                allowed = [k for k in node.keywords if k.arg == "allow_pickle" and ast.unparse(k.value) == "True"]
                assert not allowed, f"{path}: allow_pickle"


def test_global_random_state_is_not_used():
    for path in SOURCES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "np.random":
                assert node.attr in ("Generator", "default_rng", "SeedSequence"), f"{path}: {ast.unparse(node)}"
