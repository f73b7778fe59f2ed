"""For the tests of your own paper: hypothesis strategies of operators and regions, and an attack on brackets.

``operators()``, ``regions(op)`` and ``points(op, region)`` need hypothesis (``pip install lipop[testing]``);
``assert_bracket`` does not.
"""

from lipop.testing.attack import ATTACKS, Attack, BracketBroken, assert_bracket
from lipop.testing.strategies import operators, points, regions

__all__ = ["ATTACKS", "Attack", "BracketBroken", "assert_bracket", "operators", "points", "regions"]
