"""The simplex, and matrices of low rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lipop.core import formula
from lipop.core.bound import LOWER, UPPER, Bound
from lipop.core.rule import derive, rule
from lipop.covering.balls import beyond, log_unit_volume
from lipop.covering.claims import TotallyBounded, count, exact, of_set, scale, set_digest, size
from lipop.errors import DomainError

# ---- the simplex ---------------------------------------------------------------------------------------------------


def log_multisets(atoms: Any, k: Any) -> Any:
    """``log C(atoms + k - 1, k)``: how many multisets of k atoms there are, in the arithmetic of k.

    >>> round(log_multisets(3, 2.0), 6)  # 6
    1.791759
    """
    return formula.log_gamma(atoms + k) - formula.log_gamma(k + 1) - formula.log_gamma(atoms + 0 * k)


def _parts_fit(params: Mapping[str, Any]) -> str | None:
    d, k, e = params["dimension"], params["parts"], exact(params["eps"])
    if not isinstance(k, int) or k < 1 or d < 1:
        return "the number of parts and the dimension must be positive integers"
    R = exact(params["radius"])
    if params["metric"] == "l1":
        error, radius = R * d / (2 * k), e
    elif params["metric"] == "l2":
        error, radius = min(R * R * d / (4 * k * k), R * R * (d - 1) / (d * k)), e * e
    elif params["metric"] == "linf":
        error, radius = R / k, e
    else:
        return "the simplex is covered in l1, l2 and linf"
    return None if error <= radius or d == 1 else "vectors of so few parts do not cover"


@rule(
    "entropy.simplex.upper@1",
    reference=(
        "vectors with entries that are multiples of R/k: rounding by largest remainders errs by at most R d/(2k) in "
        "l1, R sqrt(d)/(2k) in l2 and R/k in linf; Maurey: R sqrt((1 - 1/d)/k) in l2"
    ),
    accepts=of_set("simplex", UPPER, "dimension", "radius", check=_parts_fit),
)
def simplex_upper(dimension: int, radius: Any, parts: int, eps: Any, metric: str) -> Any:
    """``log C(k + d - 1, k)``."""
    return log_multisets(dimension, parts + 0 * eps)


@rule(
    "entropy.simplex.lower@1",
    reference=(
        "leaving out one coordinate contracts; the volume of what remains, R^(d-1)/(d-1)!, over that of balls; and d "
        "vertices that are 2 R (l1), R sqrt 2 (l2) or R (linf) apart"
    ),
    accepts=of_set(
        "simplex",
        LOWER,
        "dimension",
        "radius",
        check=lambda p: None if p["metric"] in ("l1", "l2", "linf") else "the simplex is covered in l1, l2 and linf",
    ),
)
def simplex_lower(dimension: int, radius: Any, eps: Any, metric: str) -> Any:
    """``(d-1) log(R/e) - log (d-1)! - log vol(B)``; ``log d`` where vertices are more than 2 e apart."""
    n = dimension - 1
    apart = {"l1": 2 * radius, "l2": formula.sqrt(2 + 0 * radius) * radius, "linf": radius}[metric]
    vertices = formula.log(1 + n * beyond(apart / (2 * eps)))
    if n == 0:
        return 0 * eps
    volumes = -formula.log_gamma(n + 1 + 0 * radius) - log_unit_volume(metric, n, radius)
    return formula.maximum(n * formula.log(formula.maximum(radius / eps * formula.exp(volumes / n), 1)), vertices)


@dataclass(frozen=True)
class SimplexSet(TotallyBounded):
    """``{x >= 0, sum x = R}`` with d coordinates.

    Parameters
    ----------
    dimension : int
        The number d of coordinates.
    radius : float
        R.
    metric : str
        ``l1``, ``l2`` or ``linf``.

    Raises
    ------
    DomainError

    Examples
    --------
    >>> print(SimplexSet(3, 1.0, "l1").entropy(0.5))
    1.09861 <= entropy <= 2.30259 (proved | proved)
    """

    dimension: int
    radius: float = 1.0
    metric: str = "l1"

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimension", count(self.dimension, "the number of coordinates of a simplex"))
        object.__setattr__(self, "radius", size(self.radius, "the radius of a simplex"))
        if self.metric not in ("l1", "l2", "linf"):
            raise DomainError(f"a simplex is covered in l1, l2 or linf, not in {self.metric!r}")

    @property
    def digest(self) -> str:
        return set_digest("simplex", dimension=self.dimension, radius=self.radius)

    def _facts(self, eps: float) -> dict[str, Any]:
        return {"dimension": self.dimension, "radius": self.radius, "eps": scale(eps), "metric": self.metric}

    def upper(self, eps: float) -> Bound:
        """``log N(eps)`` from above.

        Raises
        ------
        DomainError
            If more than 2^62 parts would be needed.
        """
        facts = self._facts(eps)
        low, high = 0, 1
        while _parts_fit({**facts, "parts": high}) is not None:
            low, high = high, 2 * high
            if high > 2**62:
                raise DomainError(f"the radius {eps!r} is too small for a simplex of radius {self.radius!r}")
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if _parts_fit({**facts, "parts": middle}) is None else (middle, high)
        return derive("entropy.simplex.upper@1", self.claim(eps), **facts, parts=high)

    def lower(self, eps: float) -> Bound:
        return derive("entropy.simplex.lower@1", self.claim(eps, LOWER), **self._facts(eps))


# ---- matrices of low rank ------------------------------------------------------------------------------------------


def _ranks(params: Mapping[str, Any]) -> str | None:
    fits = 1 <= params["rank"] <= min(params["rows"], params["columns"])
    return None if fits else "the rank must lie between 1 and the smaller side"


@rule(
    "entropy.low_rank.upper@1",
    reference=(
        "Candes and Plan 2011, lemma 3.1: U S V^T with nets of radius e/3 for U, S, V; and the ball of all matrices"
    ),
    accepts=of_set("low_rank", UPPER, "rows", "columns", "rank", "radius", check=_ranks),
)
def low_rank_upper(rows: int, columns: int, rank: int, radius: Any, eps: Any, metric: str) -> Any:
    """``min((m + n + 1) r log(1 + 6 R/e), m n log(1 + 2 R/e))``; 0 for ``R <= e``."""
    ratio = radius / eps
    nets = (rows + columns + 1) * rank * formula.log(1 + 6 * ratio)
    return formula.minimum(nets, rows * columns * formula.log(1 + 2 * ratio)) * beyond(ratio)


@rule(
    "entropy.low_rank.lower@1",
    reference="matrices whose first r rows (or columns) alone are not zero form a ball of dimension r max(m, n)",
    accepts=of_set("low_rank", LOWER, "rows", "columns", "rank", "radius", check=_ranks),
)
def low_rank_lower(rows: int, columns: int, rank: int, radius: Any, eps: Any, metric: str) -> Any:
    """``r max(m, n) log(R/e)``."""
    d, ratio = rank * max(rows, columns), radius / eps
    return formula.maximum(d * formula.log(formula.maximum(ratio, 1)), formula.log(1 + d * beyond(ratio)))


@dataclass(frozen=True)
class LowRankBall(TotallyBounded):
    """Matrices (m, n) of rank at most r and Frobenius norm at most R, in the Frobenius norm.

    Parameters
    ----------
    rows, columns, rank : int
    radius : float

    Raises
    ------
    DomainError

    Examples
    --------
    >>> LowRankBall(50, 50, 1, 1.0).upper(0.1).value < LowRankBall(50, 50, 50, 1.0).upper(0.1).value
    True
    """

    rows: int
    columns: int
    rank: int
    radius: float
    metric: str = "l2"

    def __post_init__(self) -> None:
        for name in ("rows", "columns", "rank"):
            object.__setattr__(self, name, count(getattr(self, name), f"the number of {name}"))
        object.__setattr__(self, "radius", size(self.radius, "the radius of a ball"))
        reason = _ranks({"rows": self.rows, "columns": self.columns, "rank": self.rank})
        if reason is not None or self.metric != "l2":
            raise DomainError(f"{reason or 'the metric is the Frobenius norm, l2'}; found {self!r}")

    def _set(self) -> dict[str, Any]:
        return {"rows": self.rows, "columns": self.columns, "rank": self.rank, "radius": self.radius}

    @property
    def digest(self) -> str:
        return set_digest("low_rank", **self._set())

    def upper(self, eps: float) -> Bound:
        facts = {**self._set(), "eps": scale(eps), "metric": self.metric}
        return derive("entropy.low_rank.upper@1", self.claim(eps), **facts)

    def lower(self, eps: float) -> Bound:
        facts = {**self._set(), "eps": scale(eps), "metric": self.metric}
        return derive("entropy.low_rank.lower@1", self.claim(eps, LOWER), **facts)


__all__ = ["LowRankBall", "SimplexSet", "log_multisets"]
