"""What the rules of rates ask of their premises, and the class of families that a bound speaks about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lipop.core.bound import UPPER, Bound, Claim
from lipop.core.rule import Accepts, covers, parts_digest


def family(premises: tuple[Bound, ...]) -> str:
    """The digest of the class of families that the premises describe."""
    parts = dict.fromkeys(p.claim.operator for p in premises)
    return parts_digest("family", list(parts))


def wants(quantity: str, *wanted: str, side: str = UPPER) -> Accepts:
    """Premises by quantity and, behind a colon, by rule (without version): ``lip``, ``distance:law.tail``."""

    def accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
        if (claim.quantity, claim.side) != (quantity, side):
            return f"it gives {side} bounds of {quantity}"
        if len(premises) != len(wanted):
            return f"{len(wanted)} premises are needed, found {len(premises)}"
        if claim.operator != family(premises):
            return "the premises do not describe the claim's family"
        for p, want in zip(premises, wanted, strict=True):
            kind, _, name = want.partition(":")
            found = p.rule.replace(".declared@", "@").partition("@")[0]
            if p.claim.side != side:
                return f"the premise {want} bounds from the other side"
            if p.claim.quantity != kind or (name and found != name):
                return f"a premise on {want} is needed, found {p.claim.quantity} by {p.rule}"
            if name.startswith("law.") and p.params["n"] != params["n"]:
                return f"the premise {want} is about depth {p.params['n']}, not {params['n']}"
            if not covers(p.claim, claim.region):
                return f"the premise {want} holds on a region that does not contain the claim's"
            if (p.claim.norm_in, p.claim.norm_out) != (claim.norm_in, claim.norm_out):
                return f"the premise {want} holds in other norms"
        return None

    return accepts


__all__ = ["family", "wants"]
