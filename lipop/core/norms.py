"""Norms of derivatives as bounds with proofs: kernels return floats, this file makes them claims."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lipop.core import leaves as rules
from lipop.core.bound import LOWER, UPPER, Bound, Claim, Witness
from lipop.core.digest import array_digest, digest
from lipop.core.linearization import LinearOperator
from lipop.core.memo import remember
from lipop.core.region import Ball
from lipop.core.rounding import UNIT, dot_up, gamma
from lipop.core.rule import leaf, unknown
from lipop.core.space import norm as size_of
from lipop.errors import DomainError, NonFiniteError, ProofError, RegionError

if TYPE_CHECKING:
    from lipop.core.operator import Operator

DELTA = 1e-9  # failure probability of one Lanczos trial
KEPT = 2**23  # entries of Lanczos vectors kept; long vectors get fewer steps, and at least 24
DENSE = 600  # up to this many columns a derivative is assembled and certified without chance


def seed_of(operator_digest: str, what: str, seed: int = 0) -> int:
    """The seed of a random trial, from the operator, the question and the user's seed."""
    return int(digest("lipop", "seed", operator_digest, what, seed)[:12], 16)


# ---- |J| of an operator at a point ---------------------------------------------------------------------------------


def _point_claim(op: Operator, x: np.ndarray, quantity: str, side: str) -> Claim:
    return Claim(quantity, side, op.digest, Ball(x, 0.0), op.domain.norm, op.codomain.norm)


def derivative_norm(
    op: Operator, x: np.ndarray, *, J: LinearOperator | None = None, rtol: float = 1e-3, seed: int = 0
) -> Bound:
    """An upper bound of |J|, J the stored derivative at x: proved by assembling J where it is small, else by one
    Lanczos trial."""
    J = op.derivative(x) if J is None else J
    return _shared("norm", op, x, J, rtol, seed, lambda: _derivative_norm(op, x, J, rtol, seed))


def _shared(
    kind: str, op: Operator, x: np.ndarray, J: LinearOperator, rtol: float, seed: int, make: Callable[[], Bound]
) -> Bound:
    """The memo's bound at x whose slack is at most ``rtol``, or that took all steps that memory allows, or a new
    one."""
    known = remember(("derivative bounds", kind, op.digest, array_digest(x), seed), dict[float, Bound])
    close = [bound for slack, bound in known.items() if slack <= rtol]
    if not close:
        bound = make()
        known[0.0 if bound.params.get("steps") == most_steps(min(J.shape)) else rtol] = bound
        return bound
    return close[0]


def _derivative_norm(op: Operator, x: np.ndarray, J: LinearOperator, rtol: float, seed: int) -> Bound:
    claim = _point_claim(op, x, "op_norm", UPPER)
    if not (claim.norm_in == claim.norm_out == "l2"):
        return unknown(claim, "derivative norms here are l2")
    if min(J.shape) <= DENSE:
        if math.isfinite(J.product_error):
            return leaf(rules.NORM_DENSE, claim, _dense_norm(J), op)
        _assembled(J)  # refuses what overflows
    trial = seed_of(op.digest, f"norm:{array_digest(x)}", seed)
    result = run_lanczos(J, trial, None, rtol)
    remember(("top direction", op.digest, array_digest(x)), lambda: np.asarray(result.vector))
    name = rules.NORM_PROBABLE if math.isfinite(J.product_error) else rules.NORM_ESTIMATED
    return leaf(name, claim, _root_up(result.upper), op, seed=trial, delta=DELTA, steps=int(result.steps))


def derivative_dahlquist(
    op: Operator, x: np.ndarray, *, J: LinearOperator | None = None, rtol: float = 1e-3, seed: int = 0
) -> Bound:
    """An upper bound of the largest eigenvalue of sym J, J the stored derivative at x."""
    J = op.derivative(x) if J is None else J
    return _shared("dahlquist", op, x, J, rtol, seed, lambda: _derivative_dahlquist(op, x, J, rtol, seed))


def _derivative_dahlquist(op: Operator, x: np.ndarray, J: LinearOperator, rtol: float, seed: int) -> Bound:
    claim = _point_claim(op, x, "dahlquist", UPPER)
    if not (claim.norm_in == claim.norm_out == "l2"):
        return unknown(claim, "Dahlquist constants are in l2 here")
    trial = seed_of(op.digest, f"dahlquist:{array_digest(x)}", seed)
    result = _lanczos_sym(J, trial, None, rtol)
    remember(("top symmetric direction", op.digest, array_digest(x)), lambda: np.asarray(result.vector))
    name = rules.DAHLQUIST_PROBABLE if math.isfinite(J.product_error) else rules.DAHLQUIST_ESTIMATED
    return leaf(name, claim, float(result.upper), op, seed=trial, delta=DELTA, steps=int(result.steps))


def direction_at(
    op: Operator, x: np.ndarray, J: LinearOperator, *, symmetric: bool = False, seed: int = 0
) -> np.ndarray:
    """A top singular direction of J (or eigenvector of its symmetric part) at x: that of the norm's own Lanczos run,
    where the memo has one."""
    kind = "top symmetric direction" if symmetric else "top direction"
    make = (
        (lambda: np.asarray(_lanczos_sym(J, seed, None, 1e-3).vector))
        if symmetric
        else (lambda: top_direction(J, seed=seed))
    )
    return remember((kind, op.digest, array_digest(x)), make)


def top_direction(J: LinearOperator, *, seed: int = 0, rtol: float = 1e-4) -> np.ndarray:
    """A unit vector close to the top right singular vector of J."""
    if min(J.shape) <= 64:
        return np.linalg.svd(J.to_dense())[2][0].reshape(J.shape_in)
    return np.asarray(run_lanczos(J, seed, None, rtol).vector)


def direction_bound(op: Operator, x: np.ndarray, v: np.ndarray, quantity: str = "lip", on: Any = None) -> Bound:
    """The lower bound of Lip (or of the Dahlquist constant) that the direction v at x witnesses.

    Raises
    ------
    RegionError
        If the region does not reach along v (a finite set of points, a box without extent): a derivative says nothing
        there.
    """
    region = Ball(x, 0.0) if on is None else on
    if not region.reaches(v):
        raise RegionError(f"{region!r} does not reach along the direction: a derivative is no witness there")
    claim = Claim(quantity, LOWER, op.digest, region, op.domain.norm, op.codomain.norm)
    witness = Witness("direction", {"x": np.asarray(x, dtype=np.float64), "v": np.asarray(v, dtype=np.float64)})
    raw, rounded = _direction(op, witness, quantity)
    names = {
        "lip": (rules.LIP_DIRECTION, rules.LIP_DIRECTION_FLOAT),
        "dahlquist": (rules.DAHLQUIST_DIRECTION, rules.DAHLQUIST_DIRECTION_FLOAT),
    }[quantity]
    return leaf(names[0] if rounded else names[1], claim, raw, op, witness=witness)


def pair_bound(op: Operator, x: np.ndarray, y: np.ndarray, on: Any) -> Bound:
    """The lower bound of Lip that the pair (x, y) witnesses."""
    claim = Claim("lip", LOWER, op.digest, on, op.domain.norm, op.codomain.norm)
    witness = Witness("pair", {"x": np.asarray(x, dtype=np.float64), "y": np.asarray(y, dtype=np.float64)})
    raw, rounded = _pair(op, witness)
    return leaf(rules.LIP_PAIR if rounded else rules.LIP_PAIR_FLOAT, claim, raw, op, witness=witness)


# ---- raw values ----------------------------------------------------------------------------------------------------


def run_lanczos(J: LinearOperator, seed: int, steps: int | None, rtol: float) -> Any:
    """One Lanczos trial on the Gram operator of J's smaller side; ``upper`` bounds ``|J|^2`` with probability 1 -
    DELTA.

    With products rounded to within e, the Gram operator's are to within ``e (2|J| + e)``; the kernel's bound grows by
    ``sqrt(k)`` of that, so ``|J|^2 <= U + a (2|J| + e)`` with ``a = sqrt(k) e``: solved for |J|.
    """
    from lipop_kernels import lanczos_upper

    flip = J.shape[0] < J.shape[1]
    A = J.H if flip else J
    result = lanczos_upper(
        lambda v: A.rmatvec(A.matvec(v)),
        A.shape_in,
        steps=steps,
        delta=DELTA,
        rtol=2 * rtol,
        rng=seed,
        max_steps=most_steps(A.shape[1]),
    )
    e = A.product_error
    if math.isfinite(e):
        a = math.sqrt(result.steps) * e
        root = (a + math.sqrt(a * a + max(result.upper, 0.0) + a * e)) * (1 + 8 * UNIT)
        result = result._replace(upper=root * root * (1 + 4 * UNIT))
    if flip:
        u = A.matvec(np.asarray(result.vector))
        size = float(np.linalg.norm(u))
        result = result._replace(vector=u / size if size > 0 else u)
    return result


def most_steps(n: int) -> int:
    """How many steps of a trial may be taken on vectors of length n: all of them are kept in memory."""
    return min(200, max(24, KEPT // n))


def _lanczos_sym(J: LinearOperator, seed: int, steps: int | None, rtol: float) -> Any:
    from lipop_kernels import lanczos_upper

    return lanczos_upper(
        lambda v: 0.5 * (J.matvec(v) + J.rmatvec(v)),
        J.shape_in,
        steps=steps,
        delta=DELTA,
        rtol=rtol,
        rng=seed,
        max_steps=most_steps(J.shape[1]),
        product_error=J.product_error if math.isfinite(J.product_error) else 0.0,
    )


def _root_up(square: float) -> float:
    return math.nextafter(math.sqrt(max(square, 0.0)), math.inf)


def _dense_norm(J: LinearOperator) -> float:
    from lipop_kernels import spectral_norm_upper

    A = J if J.shape[1] <= J.shape[0] else J.H
    if not math.isfinite(A.product_error):
        raise ProofError("the rounding of the derivative's products is not bounded: nothing can be proved from them")
    dense = _assembled(A)
    return spectral_norm_upper(dense, rtol=1e-9, error=A.product_error * math.sqrt(dense.shape[1]) * (1 + 1e-12))


def _assembled(J: LinearOperator) -> np.ndarray:
    dense = J.to_dense()
    if not bool(np.isfinite(dense).all()):
        raise NonFiniteError("the derivative has entries that are not finite")
    return dense


def _direction(op: Operator, witness: Witness, quantity: str) -> tuple[float, bool]:
    """|J v|/|v| (or the quotient of the symmetric part), rounded down; whether all rounding is covered."""
    x, v = witness.arrays["x"], witness.arrays["v"]
    J = op.derivative(x)
    image = J.matvec(v)
    if op.domain.norm != "l2" or op.codomain.norm != "l2":
        return size_of(image, op.codomain.norm) / size_of(v, op.domain.norm) * (1 - 1e-12), False
    size = dot_up(v)
    if quantity == "lip":
        value = size_of(image) / size * (1 - 2 * gamma(image.size + 8))
    else:
        value = float((v * image).sum()) / size**2
        value -= 4 * gamma(v.size + 8) * size_of(image) / size
    gap = op.linearize(Ball(x, 0.0)).deviation.norm().value if math.isfinite(J.product_error) else math.inf
    if math.isfinite(gap):
        value -= (J.product_error + gap) * (1 + 1e-12)
    if not math.isfinite(value):  # beyond the largest float nothing is claimed
        value = 0.0 if quantity == "lip" else -math.inf
    return max(value, 0.0) if quantity == "lip" else value, math.isfinite(gap)


def _pair(op: Operator, witness: Witness) -> tuple[float, bool]:
    x, y = witness.arrays["x"], witness.arrays["y"]
    top = size_of(op(x) - op(y), op.codomain.norm) * (1 - 1e-12)
    bottom = size_of(x - y, op.domain.norm) * (1 + 1e-12)
    try:
        errors = op._forward_error(x) + op._forward_error(y)  # pyright: ignore[reportPrivateUsage]
    except DomainError:
        return (top / bottom if bottom > 0 else 0.0), False
    errors += 1e-15 * (size_of(op(x), op.codomain.norm) + size_of(op(y), op.codomain.norm))
    bottom += 1e-15 * (size_of(x, op.domain.norm) + size_of(y, op.domain.norm))
    value = max(0.0, top - errors) / bottom if bottom > 0 else 0.0
    return (value if math.isfinite(value) else 0.0), True


def reprove_operator(
    op: Operator, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None
) -> float:
    """Redo a leaf that any operator can redo: derivative norms, directions, pairs."""
    region = claim.region
    if rule in (
        rules.LIP_DIRECTION,
        rules.LIP_DIRECTION_FLOAT,
        rules.DAHLQUIST_DIRECTION,
        rules.DAHLQUIST_DIRECTION_FLOAT,
    ):
        if witness is None or not region.contains(witness.arrays["x"]):
            raise ProofError("the witness point lies outside the region")
        if not region.reaches(witness.arrays["v"]):
            raise ProofError("the region does not reach along the witness direction")
        return _as_claimed(rule, *_direction(op, witness, claim.quantity))
    if rule in (rules.LIP_PAIR, rules.LIP_PAIR_FLOAT):
        if witness is None or not (region.contains(witness.arrays["x"]) and region.contains(witness.arrays["y"])):
            raise ProofError("a witness point lies outside the region")
        return _as_claimed(rule, *_pair(op, witness))
    if (op.domain.norm, op.codomain.norm) != ("l2", "l2"):
        raise ProofError(f"rule {rule} speaks about l2 norms")
    if not isinstance(region, Ball) or region.radius != 0:
        raise ProofError(f"rule {rule} speaks about a point")
    J = op.derivative(region.center)
    if rule == rules.NORM_DENSE:
        return _dense_norm(J)
    if float(params["delta"]) != DELTA:
        raise ProofError(f"the trial fails with probability {DELTA}, the node says {params['delta']}")
    if rule in (rules.NORM_PROBABLE, rules.NORM_ESTIMATED):
        return _root_up(run_lanczos(J, int(params["seed"]), int(params["steps"]), 0.0).upper)
    if rule in (rules.DAHLQUIST_PROBABLE, rules.DAHLQUIST_ESTIMATED):
        return float(_lanczos_sym(J, int(params["seed"]), int(params["steps"]), 0.0).upper)
    raise ProofError(f"{op!r} cannot redo rule {rule}")


def _as_claimed(rule: str, value: float, rounded: bool) -> float:
    """The value of a witness, if its evaluation covers rounding wherever the rule says so."""
    if not rounded and rule in (rules.LIP_DIRECTION, rules.DAHLQUIST_DIRECTION, rules.LIP_PAIR):
        raise ProofError(f"rule {rule} needs an evaluation whose rounding is covered")
    return value
