"""Leaf rules: certificates that any operator or matrix can redo, with the grid on which their values lie."""

from __future__ import annotations

from lipop.core.bound import LOWER, UPPER
from lipop.core.rule import TRIAL, leaf_rule

NORM_UPPER = leaf_rule(
    "norm.cholesky@1",
    reference=(
        "verified Cholesky factorisation of s^2 I - A^T A (Rump 2006; Higham 2002, ch. 10), rounding and "
        "the matrix's own error included"
    ),
    grid=30,
    quantity="op_norm",
    side=UPPER,
    params={"rtol": float},
)
NORM_LOWER = leaf_rule(
    "norm.vector@1",
    reference="|A v| / |v| of the witness v, less the rounding of the product and the matrix's own error",
    grid=36,
    quantity="op_norm",
    side=LOWER,
    witness="vector",
)
NORM_PROBABLE = leaf_rule(
    "norm.lanczos@1",
    reference="a-posteriori Lanczos bound (Hochstenbach 2013) for a start vector uniform on the sphere",
    grid=22,
    quantity="op_norm",
    side=UPPER,
    strength="probable",
    params=TRIAL,
)
NORM_ESTIMATED = leaf_rule(
    "norm.lanczos.float@1",
    reference="the a-posteriori Lanczos value for products whose rounding is not bounded: an estimate",
    grid=22,
    quantity="op_norm",
    side=UPPER,
    strength="estimated",
    params=TRIAL,
)
DAHLQUIST_ESTIMATED = leaf_rule(
    "dahlquist.lanczos.float@1",
    reference="the a-posteriori Lanczos value for products whose rounding is not bounded: an estimate",
    grid=22,
    quantity="dahlquist",
    side=UPPER,
    strength="estimated",
    params=TRIAL,
)
NORM_DENSE = leaf_rule(
    "norm.dense@1",
    reference="the derivative assembled column by column, then verified Cholesky; product rounding included",
    grid=30,
    quantity="op_norm",
    side=UPPER,
)
SYMMAX_UPPER = leaf_rule(
    "symmax.cholesky@1",
    reference=(
        "verified Cholesky factorisation of s I - (A + A^T)/2; for a linear map the largest eigenvalue is"
        " the Dahlquist constant"
    ),
    grid=30,
    quantity="dahlquist",
    side=UPPER,
    params={"rtol": float},
)
LIP_DIRECTION = leaf_rule(
    "lip.direction@1",
    reference=(
        "|J v| / |v| at a point, less product rounding and the distance of J from the true derivative: a "
        "derivative norm is a lower bound of Lip on any region around the point"
    ),
    grid=36,
    quantity="lip",
    side=LOWER,
    witness="direction",
)
LIP_DIRECTION_FLOAT = leaf_rule(
    "lip.direction.float@1",
    reference="|J v| / |v| at a point, evaluated in float64 without a rounding bound",
    grid=36,
    quantity="lip",
    side=LOWER,
    strength="witnessed",
    witness="direction",
)
LIP_PAIR = leaf_rule(
    "lip.pair@1",
    reference="|T x - T y| / |x - y| of a pair of points, less the rounding of both evaluations",
    grid=36,
    quantity="lip",
    side=LOWER,
    witness="pair",
)
LIP_PAIR_FLOAT = leaf_rule(
    "lip.pair.float@1",
    reference="|T x - T y| / |x - y| of a pair of points, evaluated in float64 without a rounding bound",
    grid=36,
    quantity="lip",
    side=LOWER,
    strength="witnessed",
    witness="pair",
)
LIP_OWN = leaf_rule(
    "lip.own@1",
    reference="the operator's own bound on this region; see its docstring",
    grid=30,
    quantity="lip",
    side=UPPER,
)
LIP_CLAIMED = leaf_rule(
    "lip.claimed@1",
    reference="a value that the user states, without proof",
    grid=53,
    quantity="lip",
    side=UPPER,
    strength="estimated",
)
DAHLQUIST_OWN = leaf_rule(
    "dahlquist.own@1",
    reference="the operator's own bound on this region; see its docstring",
    grid=30,
    quantity="dahlquist",
    side=UPPER,
)
DAHLQUIST_PROBABLE = leaf_rule(
    "dahlquist.lanczos@1",
    reference=(
        "a-posteriori Lanczos bound (Hochstenbach 2013) of the largest eigenvalue of the derivative's symmetric part"
    ),
    grid=22,
    quantity="dahlquist",
    side=UPPER,
    strength="probable",
    params=TRIAL,
)
DAHLQUIST_DIRECTION = leaf_rule(
    "dahlquist.direction@1",
    reference="<v, J v> / <v, v> at a point, less product rounding and the distance of J from the true derivative",
    grid=36,
    quantity="dahlquist",
    side=LOWER,
    witness="direction",
)
DAHLQUIST_DIRECTION_FLOAT = leaf_rule(
    "dahlquist.direction.float@1",
    reference="<v, J v> / <v, v> at a point, evaluated in float64 without a rounding bound",
    grid=36,
    quantity="dahlquist",
    side=LOWER,
    strength="witnessed",
    witness="direction",
)
EXPANSION_OWN = leaf_rule(
    "expansion.own@1",
    reference="the operator's own bound on this region; see its docstring",
    grid=30,
    quantity="expansion",
    side=LOWER,
)
SMOOTHNESS_OWN = leaf_rule(
    "smoothness.own@1",
    reference="the operator's own bound on this region; see its docstring",
    grid=30,
    quantity="smoothness",
    side=UPPER,
)
DEVIATION_OWN = leaf_rule(
    "deviation.own@1",
    reference=(
        "the operator's own bound of sup |DT(x) - J| on the ball, rounding of J's factors included; see its docstring"
    ),
    grid=24,
    quantity="deviation",
    side=UPPER,
)
IMAGE_OWN = leaf_rule(
    "image.own@1",
    reference=(
        "radius, around the computed centre, of a ball that contains T(region): from row norms of the "
        "linearisation (C4) or the operator's own rule"
    ),
    grid=24,
    quantity="image",
    side=UPPER,
    params={"center": str},
)
TOKEN_NORM_OWN = leaf_rule(
    "token_norm.own@1",
    reference="every token of T(x), x in the region, has at most this l2 norm; see the operator's docstring",
    grid=30,
    quantity="token_norm",
    side=UPPER,
)
FORWARD = leaf_rule(
    "distance.forward@1",
    reference="|T(c) - c'| for the computed value c', by a rigorous enclosure of the forward pass",
    grid=24,
    quantity="distance",
    side=UPPER,
    params={"center": str},
)
