"""Attention's stored derivative as a linear operator on the tiled products of :mod:`lipop_kernels`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lipop.core.linearization import LinearOperator
from lipop.core.rounding import gamma

if TYPE_CHECKING:
    from lipop.operators.attention import Attention
    from lipop.operators.attention_forward import AttentionForward


def attention_jacobian(attn: Attention, forward: AttentionForward) -> LinearOperator:
    """The derivative made of the midpoints of ``forward``, exact as stored: the map of ``forward.jacobian()``.

    Parameters
    ----------
    attn : Attention
    forward : AttentionForward
        Its pass with all heads.

    Returns
    -------
    LinearOperator
        Masked pairs cost nothing, heads of a group share their keys. Both products are entrywise within ``gamma(k)`` of
        exact ones, relative to the products with absolute values, whose norm is at most the majorant; k is the longer
        of the kernel's two chains of roundings.

    Examples
    --------
    >>> from lipop.core.enclosure import Enclosed
    >>> from lipop.operators.attention import Attention
    >>> from lipop.operators.attention_forward import AttentionForward
    >>> eye = np.eye(2)
    >>> attn = Attention(eye, eye, eye, eye, heads=1)
    >>> J = attention_jacobian(attn, AttentionForward.at(attn, Enclosed.exact(eye)))
    >>> J.matvec(np.ones((2, 2))).round(4).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    from lipop_kernels import attention_products

    every = attn.heads // attn.groups
    rotary = None
    if forward.table is not None:
        cos, sin = (t[:, : forward.turned // 2] for t in forward.table)
        rotary = cos, sin
    stored = (forward.q.mid, forward.k.mid[::every], forward.v.mid[::every], forward.p.mid, forward.o.mid)
    weights = (attn.Wq, attn.Wk, attn.Wv, attn.Wo)
    J = attention_products(*stored, *weights, causal=attn.causal, rotary=rotary, scale=forward.c, dtype=np.float64)
    size = forward._majorant()  # pyright: ignore[reportPrivateUsage]
    return LinearOperator(
        J.shape_in,
        J.shape_in,
        lambda v: J.jvp(np.asarray(v, dtype=np.float64)),
        lambda u: J.vjp(np.asarray(u, dtype=np.float64)),
        majorant=size,
        product_error=gamma(max(J.roundings)) * size * (1 + 1e-12),
    )


__all__ = ["attention_jacobian"]
