"""For the tests of your own paper: hypothesis strategies of operators, regions and architectures, and attacks on
brackets and limits.

``operators()``, ``regions(op)``, ``points(op, region)``, ``architectures(theorem)`` and ``violations(theorem, which)``
need hypothesis (``pip install lipop[testing]``); ``assert_bracket``, ``assert_limit`` and ``assert_theorem`` do not.
"""

from lipop.testing.architecture_strategies import architectures, violations
from lipop.testing.attack import ATTACKS, Attack, BracketBroken, assert_bracket
from lipop.testing.claims import CLAIMS, assert_theorem
from lipop.testing.comparison import Comparison
from lipop.testing.limits import LimitBroken, assert_limit
from lipop.testing.specimen import Specimen
from lipop.testing.strategies import operators, points, regions

__all__ = [
    "ATTACKS",
    "CLAIMS",
    "Attack",
    "BracketBroken",
    "Comparison",
    "LimitBroken",
    "Specimen",
    "architectures",
    "assert_bracket",
    "assert_limit",
    "assert_theorem",
    "operators",
    "points",
    "regions",
    "violations",
]
