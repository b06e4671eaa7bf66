"""Benchmarks: storectl beside a venv, uv, pip and others, both sides in one run. ``python -m benchmarks`` runs them."""

import sys
from pathlib import Path

# The machine that the tests isolate commands on serves here too.
sys.path.append(str(Path(__file__).parent.parent / "tests"))
