#!/usr/bin/env bash
# Install into .venv, run the workflow of a configuration, and write its report.
#   scripts/demo.sh [CONFIG] [SNAKEMAKE OPTIONS…]     with EXTRAS=all,xrai for configurations that train networks
set -euo pipefail
cd "$(dirname "$0")/.."
config=${1:-config/config.yaml}
shift || true
scripts/install.sh "${EXTRAS:-all}"
export PATH="$PWD/.venv/bin:$PATH"
run=$(python - "$config" "$@" <<'PY'
import sys, yaml

content = yaml.safe_load(open(sys.argv[1]))
chosen = [word.removeprefix("scale=") for word in sys.argv[2:] if word.startswith("scale=")]
scale = chosen[-1] if chosen else content.get("scale")
print(content.get("scales", {}).get(scale, {}).get("run", content["run"]))
PY
)
snakemake --cores all --configfile "$config" "$@"
snakemake --cores 1 --configfile "$config" "$@" --report "results/$run/report.html"
echo "report: results/$run/report.html"
