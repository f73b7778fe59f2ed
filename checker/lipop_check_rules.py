"""The format and the rules of a lipop report, written anew for `lipop_check`: names, claims, values as balls."""

import hashlib
import json
import math
from collections import namedtuple
from itertools import pairwise
from typing import Any

import flint
import numpy as np

INF, SAME = math.inf, 1e-9  # SAME: relative agreement of values that are replayed in float64
Region = namedtuple("Region", "kind center inner outer tokens", defaults=("everywhere", None, 0.0, INF, None))
Node = namedtuple("Node", "name rule quantity side operator region value params premises trials status witness")
RULES = {  # rule and quantity: the premises' quantities (None: see `supported`), parameters, value, from above
    ("linearize@1", "lip"): ("op_norm deviation", "", lambda at, deviation: at + deviation),
    ("linearize@1", "dahlquist"): ("dahlquist deviation", "", lambda at, deviation: at + deviation),
    ("residual@1", "lip"): ("dahlquist lip", "", lambda a, lip: (1 + 2 * a + lip**2).sqrt()),
    ("residual.sum@1", "lip"): ("lip", "", lambda lip: 1 + lip),
    ("dahlquist.lip@1", "dahlquist"): ("lip", "", lambda lip: lip),
    ("compose@1", "lip"): (None, "groups", lambda *lips: math.prod(lips)),
    ("image.ball@1", "image"): ("lip distance", "center radius", lambda lip, forward, radius: lip * radius + forward),
    ("deviation.residual@1", "deviation"): ("deviation", "", lambda deviation: deviation),
    ("deviation.chain@1", "deviation"): ("deviation deviation", "", lambda attention, tail: attention + tail),
    ("deviation.compose@1", "deviation"): (
        "op_norm deviation op_norm deviation image", "inner", lambda f, df, g, dg, _: f * dg + df * (g + dg)),
}  # fmt: skip
UNKNOWN = ("", "reason", lambda: flint.arb(INF))  # unknown@1: no statement
TRIAL = "delta seed steps"  # of a bound that holds but for the probability delta
LEAVES = {  # rule: quantity, side, bits of its grid, where (a wide region is a shell or everything), parameters
    "norm.cholesky@1": ("op_norm", "upper", 30, "everywhere", "rtol"),
    "norm.vector@1": ("op_norm", "lower", 36, "everywhere", ""),
    "norm.dense@1": ("op_norm", "upper", 30, "point", ""),
    "norm.deflation@1": ("op_norm", "upper", 24, "point", "rank seed sweeps"),
    "norm.lanczos@1": ("op_norm", "upper", 22, "point", TRIAL),
    "lip.direction@1": ("lip", "lower", 36, "ball", ""),
    "lip.own@1": ("lip", "upper", 30, "wide", ""),
    "dahlquist.direction@1": ("dahlquist", "lower", 36, "ball", ""),
    "dahlquist.lanczos@1": ("dahlquist", "upper", 22, "point", TRIAL),
    "dahlquist.own@1": ("dahlquist", "upper", 30, "wide", ""),
    "deviation.own@1": ("deviation", "upper", 24, "ball", ""),
    "deviation.chain.attention@1": ("deviation", "upper", 24, "ball", ""),
    "deviation.chain.rows@1": ("deviation", "upper", 24, "ball", ""),
    "deviation.chain.tail@1": ("deviation", "upper", 22, "ball", TRIAL),
    "distance.forward@1": ("distance", "upper", 24, "point", "center"),
    "image.own@1": ("image", "upper", 24, "ball", "center"),
    "token_norm.own@1": ("token_norm", "upper", 30, "wide", ""),
}


VOLATILE = ("created", "digest", "seconds", "seconds_by_part")  # what the report's digest leaves out


class Refused(Exception):
    """The report does not hold; the message names the place, node or array."""


def need(holds: Any, where: str, why: str) -> None:
    """Refuse unless something holds."""
    if not holds:
        raise Refused(f"{where}: {why}")


def strict(data: bytes) -> Any:
    """JSON without doubled keys, NaN and infinities."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        need(len(dict(pairs)) == len(pairs), "JSON", f"a key stands twice: {pairs!r:.90}")
        return dict(pairs)

    def constant(text: str) -> None:
        need(False, "JSON", f"{text} is no number")

    return json.loads(data.decode(), object_pairs_hook=unique, parse_constant=constant)


def digest(*parts: Any) -> str:
    """sha256 of canonical JSON, in which 1, 1.0 and true differ, and NaN and infinities are refused."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def array_digest(x: np.ndarray) -> str:
    """sha256 of an array's dtype, shape and bytes."""
    return hashlib.sha256(f"{x.dtype.str}{list(x.shape)}".encode() + x.tobytes()).hexdigest()


def same(where: str, stated: Any, found: Any) -> None:
    """Refuse unless two JSON values are one."""
    need(digest(stated) == digest(found), where, f"stated {stated!r:.90}, found {found!r:.90}")


def stable(value: Any) -> Any:
    """What the report's digest covers."""
    if isinstance(value, dict):
        return {k: stable(v) for k, v in value.items() if k not in VOLATILE}
    return [stable(v) for v in value] if isinstance(value, list) else value


def near(where: str, stated: Any, found: Any) -> None:
    """Refuse unless two numbers or arrays agree."""
    error = np.linalg.norm(np.subtract(stated, found)) if np.shape(stated) == np.shape(found) else math.inf
    need(error <= SAME * np.linalg.norm(found), where, "not what the model gives")


def alike(where: str, stated: Any, found: Any) -> None:
    """Refuse unless two JSON values agree: decimal numbers nearly, everything else, and what has a proof, exactly."""
    if isinstance(found, dict) and isinstance(stated, dict) and "proof" not in found:
        same(where, sorted(stated), sorted(found))
        for key in found:
            alike(f"{where}.{key}", stated[key], found[key])
    elif isinstance(found, list) and isinstance(stated, list) and len(stated) == len(found):
        for i, (a, b) in enumerate(zip(stated, found, strict=True)):
            alike(f"{where}[{i}]", a, b)
    elif type(stated) is float and type(found) is float:
        need(abs(stated - found) <= SAME * (1 + abs(found)), where, f"stated {stated!r}, found {found!r}")
    else:
        same(where, stated, found)


def covers(a: Any, b: Any) -> bool:
    """Whether region a certainly contains b."""
    alike = (a.kind, a.center) == (b.kind, b.center) and a.tokens in (None, b.tokens)
    return a == Region() or (alike and a.inner <= b.inner and a.outer >= b.outer)


def lies(region: Any, where: str) -> bool:
    """Whether a leaf's region is of the kind that its rule speaks about."""
    kinds = {"point": ("ball",), "wide": ("shell", "everywhere")}.get(where, (where,))
    return region.kind in kinds and (where != "point" or region.outer == 0)


def part(kind: str, *operators: str) -> str:
    """The digest of a combination of operators."""
    return operators[0] if kind == "compose" and len(operators) == 1 else digest("lipop", kind, operators)


def supported(c: Any) -> bool:
    """Whether a node's premises speak about what its operator is made of, on regions that hold what is needed."""
    P, operators, regions = c.premises, [p.operator for p in c.premises], [p.region for p in c.premises]
    if c.rule in ("residual@1", "residual.sum@1", "deviation.residual@1", "dahlquist.lip@1"):
        whole = set(operators) if c.rule == "dahlquist.lip@1" else {part("residual", o) for o in operators}
        return whole == {c.operator} and all(covers(r, c.region) for r in regions)
    if c.rule == "unknown@1":
        return True
    if c.rule == "linearize@1":  # |J| at the centre of a ball, and the deviation on it
        at, ball = regions
        fits = at.kind == ball.kind == "ball" and at.center == ball.center and at.outer == 0
        return fits and covers(ball, c.region) and set(operators) == {c.operator}
    if c.rule == "image.ball@1":  # Lip on a ball, and how far the value at its centre is from the computed one
        fits = set(operators) == {c.operator} and c.region.kind == "ball" and covers(regions[0], c.region)
        fits = fits and regions[1] == c.region._replace(outer=0.0) and P[1].params["center"] == c.params["center"]
        return fits and float.fromhex(c.params["radius"]) == c.region.outer
    if c.rule == "deviation.chain@1":  # the attention part and the token-wise part
        fits = [p.rule for p in P] in ([f"deviation.chain.{n}@1" for n in ("attention", r)] for r in ("tail", "rows"))
        fits = fits and operators == [part("part", n, c.operator) for n in ("attention", "tail")]
        return fits and set(regions) == {c.region}
    if c.rule == "deviation.compose@1":  # outer derivative and deviation, inner ones, and where the inner values lie
        f, df, g, dg, image = regions
        fits = {r.kind for r in regions} == {"ball"} and f.outer == g.outer == 0 and df.outer >= P[4].value
        fits = fits and f.center == df.center == P[4].params["center"] and g.center == dg.center == image.center
        fits = fits and operators[0] == operators[1] and set(operators[2:]) == {part("compose", *c.params["inner"])}
        fits = fits and c.operator == part("compose", operators[0], *c.params["inner"])
        return fits and covers(dg, c.region) and covers(image, c.region)
    groups = c.params["groups"]  # compose@1: Lip of the factors, innermost first, then token norms
    n = len(groups)

    def enters(f: Any, g: Any) -> bool:
        """Whether the values of factor f lie where the constant of the next factor g holds."""
        norms = [p.value for p in P[n:] if p.operator == f.operator and covers(p.region, f.region)]
        shell = g.region.kind == "shell" and g.region.inner == 0 and g.region.tokens in (None, f.region.tokens)
        return g.region == Region() or (shell and min(norms, default=INF) <= g.region.outer)

    fits = operators[:n] == [part("compose", *g) for g in reversed(groups)] and covers(regions[0], c.region)
    fits = fits and c.operator == digest("lipop", "compose", [f for g in groups for f in g])
    fits = fits and [p.quantity for p in P] == ["lip"] * n + ["token_norm"] * (len(P) - n)
    return fits and all(enters(f, g) for f, g in pairwise(P[:n]))


def upward(formula: Any, values: list[float]) -> float:
    """The formula in ball arithmetic at 128 bits, rounded up."""
    before, flint.ctx.prec = flint.ctx.prec, 128
    try:
        top = formula(*map(flint.arb, values)).upper() if INF not in values else flint.arb(INF)
        value = float(top) if top.is_finite() else INF
        return value if value == INF or flint.arb(value) >= top else math.nextafter(value, INF)
    finally:
        flint.ctx.prec = before
