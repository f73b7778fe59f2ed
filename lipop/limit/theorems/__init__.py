"""The theorems as functions: arguments are hypotheses, the answer carries evidence and rates."""

from lipop.limit.theorems.theorem_1 import theorem_1
from lipop.limit.theorems.theorem_2 import theorem_2
from lipop.limit.theorems.theorem_3 import theorem_3
from lipop.limit.theorems.theorem_4_5 import theorem_4, theorem_5
from lipop.limit.theorems.theorem_6 import theorem_6
from lipop.limit.theorems.theorem_7 import theorem_7
from lipop.limit.theorems.theorem_8 import theorem_8
from lipop.limit.theorems.theorem_9 import theorem_9
from lipop.limit.theorems.theorem_9_flow import theorem_9_flow
from lipop.limit.theorems.theorem_10 import theorem_10

__all__ = [
    "theorem_1",
    "theorem_2",
    "theorem_3",
    "theorem_4",
    "theorem_5",
    "theorem_6",
    "theorem_7",
    "theorem_8",
    "theorem_9",
    "theorem_9_flow",
    "theorem_10",
]
