"""The checker is a script with its modules beside it, not a package: its folder goes on the path."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "checker"
sys.path.insert(0, str(FOLDER))

import lipop_check as script  # noqa: E402
import lipop_check_model as model  # noqa: E402
import lipop_check_rules as rules  # noqa: E402

__all__ = ["FOLDER", "model", "rules", "script"]
