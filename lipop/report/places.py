"""Where a number stands in a report, and what its proof node must therefore claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lipop.core.bound import LOWER, UPPER, Bound
from lipop.core.region import Region
from lipop.errors import ReportError
from lipop.report import numbers

LIP = ("lip",)
POINT = ("lip", "op_norm")
DAHLQUIST = ("dahlquist",)
NORM = ("op_norm",)


@dataclass(frozen=True)
class Place:
    """A bracket or an upper bound in a report, and what it is about.

    Parameters
    ----------
    path : str
        Such as ``blocks[0].ball[1]``.
    entry : mapping
        The JSON that is displayed there.
    quantities : tuple of str
        What may be claimed. At a point, Lip and the derivative's norm are the same number.
    operator : str
        The digest of the map or matrix.
    region : Region
    """

    path: str
    entry: Mapping[str, Any]
    quantities: tuple[str, ...]
    operator: str
    region: Region

    def bounds(self, proofs: Mapping[str, Bound]) -> list[Bound]:
        """The nodes displayed here, after all checks.

        Raises
        ------
        ReportError
            If a node is missing, displays another number or status, or claims something else.
        """
        ends = [(UPPER, "upper", "status", "proof")]
        if "lower" in self.entry:
            ends.insert(0, (LOWER, "lower", "lower_status", "lower_proof"))
        return [self._bound(proofs, *end) for end in ends]

    def _bound(self, proofs: Mapping[str, Bound], side: str, value: str, status: str, proof: str) -> Bound:
        where, name = f"{self.path}.{value}", self.entry[proof]
        bound = proofs.get(name)
        if bound is None:
            raise ReportError(f"{where}: its proof node {name[:12]} is not in the report")
        node = f"node {name[:12]} ({bound.rule})"
        stated = self.entry[value]
        if isinstance(stated, int) or numbers.read(stated).hex() != float(bound.value).hex():
            raise ReportError(f"{where}: the report shows {stated!r}, its {node} holds {numbers.shown(bound.value)!r}")
        if self.entry[status] != bound.status:
            raise ReportError(
                f"{self.path}.{status}: the report says {self.entry[status]!r}, its {node} gives {bound.status!r}"
            )
        claim = bound.claim
        if claim.side != side:
            raise ReportError(f"{where}: its {node} bounds from the other side")
        if claim.quantity not in self.quantities:
            raise ReportError(f"{where}: its {node} is about {claim.quantity}, not {' or '.join(self.quantities)}")
        if claim.operator != self.operator:
            raise ReportError(
                f"{where}: its {node} speaks about operator {claim.operator[:12]}, "
                f"the model has {self.operator[:12]} here"
            )
        if (claim.norm_in, claim.norm_out) != ("l2", "l2"):
            raise ReportError(f"{where}: its {node} holds in {claim.norm_in} -> {claim.norm_out}, reports are in l2")
        # An upper bound must hold on exactly the region displayed; a lower bound on a part of it holds on the whole.
        if not self.region.encloses(claim.region) or (side == UPPER and not claim.region.encloses(self.region)):
            raise ReportError(
                f"{where}: its {node} holds on {claim.region!r}, displayed is {self.region!r} around the input"
            )
        return bound


__all__ = ["DAHLQUIST", "LIP", "NORM", "POINT", "Place"]
