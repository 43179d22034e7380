#!/usr/bin/env bash
# Install into .venv with the test tools and run all checks: format, lint, types, tests.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install.sh all,test
export PATH="$PWD/.venv/bin:$PATH"
ruff format --check .
ruff check .
mypy
snakefmt --check Snakefile workflow
python -m pytest "$@"
