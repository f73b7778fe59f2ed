"""How many architectures a property gets in each profile, and the report of how tight the bounds were."""

import os
from collections import defaultdict

PROFILE = os.environ.get("LIPOP_TEST_PROFILE", "dev")
COUNT = {"dev": 25, "ci": 200, "nightly": 2000}[PROFILE]
TIGHTNESS: defaultdict[str, float] = defaultdict(float)
SEEN: defaultdict[str, int] = defaultdict(int)


def pytest_terminal_summary(terminalreporter):
    if TIGHTNESS:
        terminalreporter.section("theorems: largest measured / bound over the generated architectures")
        for claim in sorted(TIGHTNESS):
            terminalreporter.write_line(f"{TIGHTNESS[claim]:.6f}  {claim} ({SEEN[claim]} comparisons)")
