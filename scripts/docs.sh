#!/usr/bin/env bash
# Install into .venv with the documentation tools and write the site: site/index.html. Broken links stop it.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install.sh all,docs
.venv/bin/mkdocs build --quiet --strict
echo "documentation: site/index.html"
