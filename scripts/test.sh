#!/usr/bin/env bash
# Install into .venv with the test tools and run all checks: format, lint, types, tests.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install.sh all,xrai,test
export PATH="$PWD/.venv/bin:$PATH"
# One compiled function of it is what our peakfinder8 is compared with; its package is never imported.
python -m pip install --quiet --no-deps --only-binary :all: ondamonitor==23.8.3 ||
    echo "ondamonitor has no wheel for this Python: the comparison with its peakfinder8 will be skipped"
scripts/install_test_programs.sh
ruff format --check .
ruff check .
mypy
snakefmt --check Snakefile workflow
python -m pytest "$@"
