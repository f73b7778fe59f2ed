"""Certificates without chance for large derivatives: a block's Jacobian by deflation (theorem D,
``certify.deflation``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lipop.certify.deflation import BlockFactors, deflation_upper
from lipop.core.bound import UPPER, Bound, Claim
from lipop.core.digest import array_digest
from lipop.core.enclosure import Stack, frobenius_up
from lipop.core.memo import remember
from lipop.core.norms import seed_of
from lipop.core.operator import Operator
from lipop.core.region import Ball
from lipop.core.rounding import gamma, inflate
from lipop.core.rule import leaf, leaf_rule
from lipop.errors import DomainError, ProofError
from lipop.operators.chain import Chain, chain_of


def _redo(subject: Any, claim: Claim, params: Mapping[str, Any]) -> float:
    if not isinstance(claim.region, Ball) or claim.region.radius != 0:
        raise ProofError("the derivative is taken at a point")
    chain = chain_of(subject, claim.region.center)
    if chain is None:
        raise ProofError(f"{subject!r} is not a chain behind attention")
    factors = remember(
        ("block factors", subject.digest, array_digest(claim.region.center)), lambda: block_factors(chain)
    )
    return deflation_upper(
        factors, rank=int(params["rank"]), sweeps=int(params["sweeps"]), seed=int(params["seed"])
    ).upper


NORM_DEFLATION = leaf_rule(
    "norm.deflation@1",
    reference=(
        "theorem D (deflation): a few top singular vectors, a loose certificate for the rest, an r x r "
        "pencil; rounding and the factors' errors included"
    ),
    grid=24,
    quantity="op_norm",
    side=UPPER,
    procedure=_redo,
    params={"rank": int, "sweeps": int, "seed": int},
)


def proved_norm(op: Operator, x: np.ndarray, *, seed: int = 0) -> Bound | None:
    """A bound of |J| at x without chance, for a chain behind attention; None for other operators.

    Both the stored derivative and the true one at x lie within the factors' error radii, so the bound holds for either.
    """
    chain = chain_of(op, x)
    if chain is None or chain.attention.a is None:
        return None
    factors = remember(("block factors", op.digest, array_digest(x)), lambda: block_factors(chain))
    trial = seed_of(op.digest, f"deflation:{array_digest(x)}", seed) % 2**31
    result = deflation_upper(factors, seed=trial)
    claim = Claim("op_norm", UPPER, op.digest, Ball(x, 0.0))
    return leaf(NORM_DEFLATION, claim, result.upper, op, rank=int(result.rank), sweeps=int(result.sweeps), seed=trial)


def block_factors(chain: Chain) -> BlockFactors:
    """``J_ik = [i = k] F_i + sum_h AO_i^h (p_ik Wv_h + y_ik a_i^T)`` with the error radius of every factor.

    Raises
    ------
    DomainError
        With rotary positions: ``a_ij`` then depends on both tokens and this form does not hold.
    """
    f = chain.attention
    if f.a is None:
        raise DomainError("the deflation certificate does not cover rotary positions")
    heads, tokens, dk = f.q.shape
    d = f.O.shape[1]
    tail: Stack | None = None
    for factor in chain.factors:
        tail = factor.M if tail is None else factor.M @ tail
    B = Stack.exact(np.eye(d)) if tail is None else tail
    B = Stack(np.broadcast_to(B.mid, (tokens, *B.shape[1:])), np.broadcast_to(B.err, tokens))
    w = f.v.reshape(heads, 1, tokens, dk) - f.o.reshape(heads, tokens, 1, dk)
    y = f.p.reshape(heads, tokens, tokens, 1) * w
    cov = y.transpose(0, 1, 3, 2) @ f.k.reshape(heads, 1, tokens, dk)
    cov = Stack.of((cov * f.c).transpose(1, 0, 2, 3).reshape(tokens * heads, dk, dk))
    wq = Stack(np.tile(f.Wq, (tokens, 1, 1)), np.zeros(tokens * heads))
    x = cov @ wq
    stacked = Stack(
        x.mid.reshape(tokens, heads * dk, d),
        inflate(np.sqrt((x.err.reshape(tokens, heads) ** 2).sum(axis=1)), heads + 4),
    )
    flat = np.ascontiguousarray(f.O.transpose(1, 0, 2)).reshape(d, heads * dk)
    query = Stack.exact(flat) @ stacked
    F = B @ (query + Stack.exact(np.eye(d))) if chain.residual else B @ query
    ao = (B.mid @ flat).reshape(tokens, d, heads, dk).transpose(0, 2, 1, 3)
    product = gamma(d + 2) * frobenius_up(B.mid)
    d_ao = product[:, None] * frobenius_up(f.O)[None, :] + B.err[:, None] * f.nO[None, :]
    return BlockFactors(
        F=F.mid,
        dF=F.err,
        AO=np.ascontiguousarray(ao),
        dAO=inflate(d_ao, 8),
        p=f.p.mid,
        dp=np.array(f.p.radius),
        y=y.mid,
        dy=frobenius_up(np.ascontiguousarray(y.radius)[..., None, :]),
        a=f.a.mid,
        da=frobenius_up(np.ascontiguousarray(f.a.radius)[..., None, :]),
        Wv=f.Wv,
    )
