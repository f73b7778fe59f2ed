"""Regions: the sets on which a bound holds.

A region knows whether it contains a point, whether it is convex (a supremum of derivative norms proves a Lipschitz
constant on a *convex* region only), how to sample itself, and when it certainly contains another region.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lipop.core.digest import array_digest, digest, hexed
from lipop.core.rounding import dot_up
from lipop.core.space import norm, norm_name
from lipop.errors import NonFiniteError, RegionError

_SLACK = 1e-12  # `contains` forgives rounding of this relative size


def _point(x: Any, what: str) -> np.ndarray:
    x = np.array(x, dtype=np.float64) if not isinstance(x, np.ndarray) else x.astype(np.float64, copy=False)
    if not bool(np.isfinite(x).all()):
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise NonFiniteError(f"{what} holds {x[index]} at index {index}; every entry must be finite")
    x = x.view()
    x.flags.writeable = False
    return x


def _radius(r: float, what: str) -> float:
    r = float(r)
    if not (r >= 0 and math.isfinite(r)):
        raise RegionError(f"{what} must be finite and not negative, found {r}")
    return r


class Region:
    """A set of points of one space."""

    kind: ClassVar[str] = "region"
    convex: bool = False

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that define the region, by name."""
        return {}

    @property
    def scalars(self) -> dict[str, Any]:
        """The numbers and names that define the region."""
        return {}

    def describe(self) -> dict[str, Any]:
        """A JSON description without loss: floats in hex, arrays by digest."""
        return {"kind": self.kind, **hexed(self.scalars), **hexed(self.arrays)}

    @property
    def digest(self) -> str:
        """sha256 of the description."""
        cached = self.__dict__.get("_digest")
        if cached is None:
            cached = digest(self.describe())
            object.__setattr__(self, "_digest", cached)
        return cached

    def contains(self, x: np.ndarray) -> bool:
        """Whether the point lies in the region (rounding of relative size 1e-12 is forgiven)."""
        raise RegionError(f"membership of {self.kind} is not known here")

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """``n`` points of the region, stacked along a new first axis."""
        raise RegionError(f"{self.kind} cannot be sampled")

    def encloses(self, other: Region) -> bool:
        """True only if the region certainly contains the other one."""
        return self.digest == other.digest

    def reaches(self, v: np.ndarray) -> bool:
        """Whether every point of the region has others near it along ``v``, so that ``|DT(x) v| / |v|`` is a lower
        bound of Lip there."""
        return False

    def __repr__(self) -> str:
        inner = ", ".join(f"{k}={v}" for k, v in self.scalars.items())
        return f"{type(self).__name__}({inner})"


@dataclass(frozen=True, eq=False, repr=False)
class Everywhere(Region):
    """The whole space."""

    kind: ClassVar[str] = "everywhere"
    convex = True

    def contains(self, x: np.ndarray) -> bool:
        return True

    def encloses(self, other: Region) -> bool:
        return True

    def reaches(self, v: np.ndarray) -> bool:
        return True


@dataclass(frozen=True, eq=False, repr=False)
class Ball(Region):
    """The closed ball ``|x - center| <= radius``.

    Parameters
    ----------
    center : array
    radius : float
        Not negative.
    norm : str
        ``l2`` (all entries, also called F), ``linf``, ``l1`` or ``2inf``.

    Notes
    -----
    On a ball of radius zero Lip stands for the norm of the derivative at the centre.

    Examples
    --------
    >>> Ball(np.zeros(2), 1.0).contains(np.array([0.6, 0.8]))
    True
    """

    center: np.ndarray
    radius: float
    norm: str = "l2"
    kind: ClassVar[str] = "ball"
    convex = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "center", _point(self.center, "the centre of a ball"))
        object.__setattr__(self, "radius", _radius(self.radius, "the radius of a ball"))
        object.__setattr__(self, "norm", norm_name(self.norm))

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        return {"center": self.center}

    @property
    def scalars(self) -> dict[str, Any]:
        return {"radius": self.radius, "norm": self.norm}

    def contains(self, x: np.ndarray) -> bool:
        distance = norm(np.asarray(x, dtype=np.float64) - self.center, self.norm)
        return distance <= self.radius + _SLACK * (self.radius + norm(self.center, self.norm))

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        h = rng.standard_normal((n, *self.center.shape))
        if self.norm == "linf":
            h = rng.uniform(-1, 1, h.shape)
        else:
            scale = np.array([norm(row, self.norm) for row in h])
            size = rng.uniform(0, 1, n) ** (1 / max(1, self.center.size))
            h *= (size / np.where(scale > 0, scale, 1)).reshape(n, *(1,) * self.center.ndim)
        return self.center + self.radius * h

    def encloses(self, other: Region) -> bool:
        if self.norm == "l2" and (isinstance(other, Box | Cloud) or (isinstance(other, Ball) and other.norm != "l2")):
            other = as_ball(other) or other
        if not isinstance(other, Ball | TokenBall) or other.center.shape != self.center.shape:
            return False
        same = array_digest(other.center) == array_digest(self.center)
        if isinstance(other, TokenBall):
            return same and (
                (self.norm == "l2" and self.radius >= other.rho_F)
                or (self.norm == "2inf" and self.radius >= float(other.rho_token.max()))
            )
        return same and self.norm == other.norm and self.radius >= other.radius

    def reaches(self, v: np.ndarray) -> bool:
        return True


@dataclass(frozen=True, eq=False, repr=False)
class TokenBall(Region):
    """Token arrays within ``rho_F`` in the F norm and, token by token, within ``rho_token`` in l2, of a centre.

    Parameters
    ----------
    center : (tokens, n) array
    rho_F : float
    rho_token : float or (tokens,) array
    """

    center: np.ndarray
    rho_F: float
    rho_token: np.ndarray
    kind: ClassVar[str] = "token_ball"
    convex = True

    def __post_init__(self) -> None:
        center = _point(self.center, "the centre of a token ball")
        if center.ndim != 2:
            raise RegionError(f"a token ball needs a (tokens, n) centre, found shape {center.shape}")
        rho = np.broadcast_to(np.asarray(self.rho_token, dtype=np.float64), center.shape[:1])
        if bool(np.isnan(rho).any()) or bool((rho < 0).any()):
            raise RegionError("a token radius must not be negative or NaN")
        object.__setattr__(self, "center", center)
        object.__setattr__(self, "rho_F", _radius(self.rho_F, "rho_F"))
        object.__setattr__(self, "rho_token", np.minimum(rho, self.rho_F))

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        return {"center": self.center, "rho_token": self.rho_token}

    @property
    def scalars(self) -> dict[str, Any]:
        return {"rho_F": self.rho_F}

    def contains(self, x: np.ndarray) -> bool:
        h = np.asarray(x, dtype=np.float64) - self.center
        slack = _SLACK * norm(self.center)
        tokens = np.sqrt((h * h).sum(axis=1))
        return norm(h) <= self.rho_F * (1 + _SLACK) + slack and bool(
            (tokens <= self.rho_token * (1 + _SLACK) + slack).all()
        )

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        h = Ball(np.zeros_like(self.center), self.rho_F).sample(rng, n)
        size = np.sqrt((h * h).sum(axis=2, keepdims=True))
        return self.center + h * np.minimum(1.0, self.rho_token[None, :, None] / np.where(size > 0, size, 1))

    def encloses(self, other: Region) -> bool:
        if isinstance(other, Ball) and other.norm == "l2" and other.center.ndim == 2:
            other = TokenBall(other.center, other.radius, np.asarray(other.radius))
        return (
            isinstance(other, TokenBall)
            and other.center.shape == self.center.shape
            and array_digest(other.center) == array_digest(self.center)
            and self.rho_F >= other.rho_F
            and bool((self.rho_token >= other.rho_token).all())
        )

    def reaches(self, v: np.ndarray) -> bool:
        return self.rho_F == 0 or not bool(np.any(v[self.rho_token == 0]))


@dataclass(frozen=True, eq=False, repr=False)
class Box(Region):
    """``low <= x <= high``, entry by entry; with ``low == high`` everywhere it is a ball of radius zero."""

    low: np.ndarray
    high: np.ndarray
    kind: ClassVar[str] = "box"
    convex = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", _point(self.low, "the low end of a box"))
        object.__setattr__(self, "high", _point(self.high, "the high end of a box"))
        if self.low.shape != self.high.shape or bool((self.low > self.high).any()):
            raise RegionError("a box needs low <= high in equal shapes")

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        return {"low": self.low, "high": self.high}

    def contains(self, x: np.ndarray) -> bool:
        slack = _SLACK * (np.abs(self.low) + np.abs(self.high))
        return bool(((x >= self.low - slack) & (x <= self.high + slack)).all())

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        return rng.uniform(self.low, self.high, (n, *self.low.shape))

    def encloses(self, other: Region) -> bool:
        if not isinstance(other, Box) or other.low.shape != self.low.shape:
            return False
        return bool((self.low <= other.low).all() and (self.high >= other.high).all())

    def reaches(self, v: np.ndarray) -> bool:
        thin = self.low == self.high
        return bool(thin.all()) or not bool(np.any(v[thin]))


@dataclass(frozen=True, eq=False, repr=False)
class Shell(Region):
    """Points whose every token has an l2 norm in ``[inner, outer]`` (a vector is one token). Not convex if ``inner >
    0``.

    Parameters
    ----------
    inner, outer : float
    tokens : int, optional
        The number of tokens, for operators whose constant grows with it (attention in the F norm); any by default.
    """

    inner: float
    outer: float = math.inf
    tokens: int | None = None
    kind: ClassVar[str] = "shell"

    def __post_init__(self) -> None:
        inner, outer = _radius(self.inner, "the inner radius"), float(self.outer)
        if not outer >= inner:
            raise RegionError(f"a shell needs inner <= outer, found {inner} > {outer}")
        object.__setattr__(self, "inner", inner)
        object.__setattr__(self, "outer", outer)
        object.__setattr__(self, "convex", inner == 0.0)
        if self.tokens is not None and not (isinstance(self.tokens, int) and self.tokens > 0):
            raise RegionError(f"a shell's number of tokens must be a positive int, found {self.tokens!r}")

    @property
    def scalars(self) -> dict[str, Any]:
        count = {} if self.tokens is None else {"tokens": self.tokens}
        return {"inner": self.inner, "outer": self.outer, **count}

    def contains(self, x: np.ndarray) -> bool:
        size = np.sqrt((np.asarray(x, dtype=np.float64) ** 2).sum(axis=-1))
        if self.tokens is not None and size.size != self.tokens:
            return False
        return bool(((size >= self.inner * (1 - _SLACK)) & (size <= self.outer * (1 + _SLACK))).all())

    def points(self, rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> np.ndarray:
        """``n`` points of the given shape in the shell (outer radius capped at ten times the inner one plus one)."""
        h = rng.standard_normal((n, *shape))
        size = np.sqrt((h * h).sum(axis=-1, keepdims=True))
        return h / size * rng.uniform(self.inner, min(self.outer, 10 * self.inner + 1), size.shape)

    def encloses(self, other: Region) -> bool:
        return (
            isinstance(other, Shell)
            and self.inner <= other.inner
            and self.outer >= other.outer
            and self.tokens in (None, other.tokens)
        )

    def reaches(self, v: np.ndarray) -> bool:
        return self.inner < self.outer


@dataclass(frozen=True, eq=False, repr=False)
class Cloud(Region):
    """A finite set of points, stacked along the first axis."""

    points: np.ndarray
    kind: ClassVar[str] = "cloud"

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _point(self.points, "a cloud"))
        if self.points.ndim < 2 or len(self.points) == 0:
            raise RegionError("a cloud needs points stacked along the first axis, at least one")

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        return {"points": self.points}

    def contains(self, x: np.ndarray) -> bool:
        return bool((self.points == x).reshape(len(self.points), -1).all(axis=1).any())

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        return self.points[rng.integers(0, len(self.points), n)]


@dataclass(frozen=True, eq=False, repr=False)
class Unresolved(Region):
    """A region read from a file whose arrays are not at hand: it keeps its description and answers nothing."""

    description: Mapping[str, Any]
    kind: ClassVar[str] = "unresolved"

    def describe(self) -> dict[str, Any]:
        return dict(self.description)


def from_description(description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Region:
    """Rebuild a region from its description; arrays are looked up by digest, and checked.

    Raises
    ------
    RegionError
        If the description is malformed or an array does not have the digest it is filed under.
    """
    cls = next((c for c in Region.__subclasses__() if c.kind == description.get("kind")), None)
    if cls is None or cls is Unresolved:
        raise RegionError(f"unknown kind of region {description.get('kind')!r}")
    fields: dict[str, Any] = {}
    for key, value in description.items():
        if key == "kind":
            continue
        if isinstance(value, Mapping):
            if not isinstance(value.get("sha256"), str):
                raise RegionError(f"field {key!r} of a region is not an array reference")
            sha = str(value["sha256"])
            if sha not in arrays:
                return Unresolved(dict(description))
            if array_digest(arrays[sha]) != sha:
                raise RegionError(f"array {key!r} of a region does not have the digest {sha[:12]} it is filed under")
            fields[key] = arrays[sha]
        elif key == "norm":
            fields[key] = str(value)
        elif isinstance(value, int):
            fields[key] = value
        else:
            try:
                fields[key] = float.fromhex(value)
            except (TypeError, ValueError) as e:
                raise RegionError(f"field {key!r} of a region is not a hex float: {value!r}") from e
    try:
        return cls(**fields)
    except TypeError as e:
        raise RegionError(f"a region of kind {cls.kind} does not have the fields {sorted(fields)}") from e


def hull(region: Region) -> Region:
    """A convex region that contains the given one, in the simplest of forms: itself, a ball, or the whole space."""
    if region.convex:
        return region
    if isinstance(region, Cloud):
        center = region.points.mean(axis=0)
        return Ball(center, max(dot_up(p - center) * (1 + 1e-15) for p in region.points))
    return Everywhere()


def as_ball(region: Region) -> Ball | None:
    """An l2 ball that contains the region, where a simple one exists."""
    if isinstance(region, Ball) and region.norm == "l2":
        return region
    if isinstance(region, TokenBall):
        return Ball(region.center, region.rho_F)
    if isinstance(region, Box):
        center = (region.low + region.high) / 2
        return Ball(center, dot_up(np.maximum(region.high - center, center - region.low) * (1 + 1e-15)))
    if isinstance(region, Cloud):
        ball = hull(region)
        return ball if isinstance(ball, Ball) else None
    if isinstance(region, Ball):
        n, t = region.center.size, region.center.shape[0]
        factor = {"linf": math.sqrt(n), "l1": 1.0, "2inf": math.sqrt(t)}[region.norm]
        return Ball(region.center, region.radius * factor * (1 + 1e-15))
    return None


def token_radii(region: Region) -> TokenBall | None:
    """A token ball that contains the region, where a simple one exists."""
    if isinstance(region, TokenBall):
        return region
    if isinstance(region, Ball) and region.norm == "2inf" and region.center.ndim == 2:
        rho = region.radius
        return TokenBall(region.center, rho * math.sqrt(len(region.center)) * (1 + 1e-15), np.asarray(rho))
    if isinstance(region, Box) and region.low.ndim == 2:
        center = (region.low + region.high) / 2
        reach = np.maximum(region.high - center, center - region.low) * (1 + 1e-15)
        return TokenBall(center, dot_up(reach), np.array([dot_up(r) for r in reach]))
    ball = as_ball(region)
    if ball is None or ball.center.ndim != 2:
        return None
    return TokenBall(ball.center, ball.radius, np.asarray(ball.radius))
