"""What the leaves about a block speak about, rebuilt from the model: operators, their parts and products, matrices."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from lipop.core.algebra import Composition, Residual, residual
from lipop.core.bound import Subject
from lipop.core.matrices import Explicit
from lipop.core.operator import Operator
from lipop.report.protocol import Block


def subjects_of(block: Block, x: np.ndarray) -> dict[str, Subject]:
    """Every subject by digest: the block, its fields at any depth, runs of neighbouring factors, residual branches with
    their sums, weight matrices, and the parts into which attention chains are split.

    Parameters
    ----------
    block : Block
    x : (tokens, d) array
        The block's input (branches are asked for at it).
    """
    found: dict[str, Subject] = {}
    for root in (block, *(f for _, op, _ in block.branches(x) for f in (op, residual(op)))):
        for op in _operators(root):
            found.setdefault(op.digest, op)
            for extra in _extras(op):
                found.setdefault(extra.digest, extra)
    found.update((m.digest, m) for _, _, m in block.weights())
    return found


def _operators(value: Any) -> Iterator[Operator]:
    """The operators in a value: itself, its fields, and every run of neighbouring factors of a composition."""
    if isinstance(value, Operator):
        yield value
        if isinstance(value, Composition):
            yield from _runs(value)
        yield from (op for f in dataclasses.fields(value) for op in _operators(getattr(value, f.name)))  # pyright: ignore[reportArgumentType]  # operators are dataclasses
    elif isinstance(value, list | tuple):
        yield from (op for v in value for op in _operators(v))


def _runs(whole: Composition) -> Iterator[Operator]:
    n = len(whole.factors)
    for start in range(n):
        fused: Operator | None = whole.factors[start]
        for stop in range(start + 2, n + 1):
            fused = None if fused is None else fused.fuse(whole.factors[stop - 1])
            yield Composition(whole.factors[start:stop]) if fused is None else fused


def _extras(op: Operator) -> Iterator[Subject]:
    """The matrix of a linear map, and the parts of an attention chain that ends in ``op``."""
    matrix = getattr(op, "_matrix", None)
    if matrix is not None:
        m = matrix()
        if isinstance(m, Explicit):
            yield m
    outer, last = (op.factors[:-1], op.factors[-1]) if isinstance(op, Composition) else ((), op)
    inner = last.branch if isinstance(last, Residual) else last
    if not isinstance(inner, Composition) and type(inner).chain_linearize is not Operator.chain_linearize:
        from lipop.operators import chain

        for name in ("attention", "tail"):
            yield chain.ChainPart(op, inner, outer, isinstance(last, Residual), name)  # pyright: ignore[reportArgumentType]  # only attention heads a chain


__all__ = ["subjects_of"]
