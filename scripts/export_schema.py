"""Write config/schema.json from the configuration models; a test fails when the two differ.

Usage: python scripts/export_schema.py
"""

from pathlib import Path

from fewphoton.config.load import run_schema
from fewphoton.io.atomic import write_text

write_text(Path(__file__).resolve().parents[1] / "config" / "schema.json", run_schema())
