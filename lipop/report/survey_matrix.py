"""A weight matrix as it lies in its file: brackets of its norms with certificates, computed from the stored bits."""

from __future__ import annotations

import hashlib
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lipop.core import leaves as rules
from lipop.core.bound import LOWER, UPPER, Bracket, Claim, Witness
from lipop.core.digest import digest
from lipop.core.rounding import dot_up, gamma
from lipop.core.rule import TRIAL, leaf, leaf_rule
from lipop.errors import NonFiniteError, ProofError
from lipop.report.survey_density import density

DELTA = 1e-9
"""Failure probability of one matrix's upper end."""

RTOL = 1e-2
"""Relative gap of a bracket."""

LARGEST = 10_000
"""Up to this smaller side a norm can be proved: the factorisation keeps two square float64 matrices of that side."""

INSIDE = 0.999  # of the gap: room for rounding to the grid
SAMPLE = 4096  # bytes at either end of a matrix that enter its seed
PLAIN = (1e-70, 1e70)  # Frobenius norms whose matrices need no rescaling

NORM_SURVEY = leaf_rule(
    "norm.survey@1",
    reference=(
        "a-posteriori Lanczos bound (Hochstenbach 2013) of a stored matrix; the error of its float32 products is "
        "measured in random directions (lipop_kernels.survey_norm)"
    ),
    grid=20,
    quantity="op_norm",
    side=UPPER,
    strength="probable",
    params=TRIAL,
)
NORM_PROVED = leaf_rule(
    "norm.cholesky.start@1",
    reference=(
        "verified Cholesky factorisation of s^2 I - A^T A of a stored matrix (Rump 2006; Higham 2002, ch. 10); the "
        "first s is (1 + rtol) times a lower bound of the norm, the start"
    ),
    grid=30,
    quantity="op_norm",
    side=UPPER,
    params={"rtol": float, "start": float},
)


@dataclass(frozen=True, eq=False)
class StoredMatrix:
    """A matrix of a checkpoint, not read yet: the subject of its norm's leaves.

    Parameters
    ----------
    name, dtype : str
        As in the file.
    stored : (m, n) array
        A view of the file; BF16 as uint16.
    file : str
        For messages.
    sha256 : str
        Of the stored bytes, where they were hashed; the subject's digest is made of it.
    """

    name: str
    dtype: str
    stored: np.ndarray = field(repr=False)
    file: str = ""
    sha256: str = ""

    @property
    def digest(self) -> str:
        """What claims about the matrix call it."""
        return digest("lipop", "StoredMatrix", self.dtype, list(self.stored.shape), self.sha256)

    @property
    def kind(self) -> str | None:
        """The kernels' word for what the bits mean, where the array does not say it."""
        return "bf16" if self.dtype == "BF16" else None

    def hashed(self) -> StoredMatrix:
        """The same with the sha256 of its bytes."""
        content = hashlib.sha256(np.ascontiguousarray(self.stored).view(np.uint8).data).hexdigest()
        return StoredMatrix(self.name, self.dtype, self.stored, self.file, content)

    def seed(self, user: int) -> int:
        """The seed of its trial: from name, dtype, shape, a sample of its bytes and the user's seed."""
        rows = self.stored[[0, -1]].view(np.uint8)
        sample = hashlib.sha256(rows[0, :SAMPLE].tobytes() + rows[1, -SAMPLE:].tobytes()).hexdigest()
        return int(digest("lipop", "survey", self.name, self.dtype, list(self.stored.shape), sample, user)[:12], 16)

    def survey(self, *, seed: int = 0, rtol: float = RTOL, proved: bool = False) -> Findings:
        """Norms, stable rank and density; the norm's upper end by one Lanczos trial, or proved by Cholesky.

        Raises
        ------
        NonFiniteError
            Naming the tensor and the entry.
        """
        from lipop_kernels import survey_norm

        started, trial = time.perf_counter(), self.seed(seed)
        rtol *= INSIDE
        try:
            found = survey_norm(self.stored, DELTA, rtol, rng=trial, dtype=self.kind)
        except ValueError as e:
            entry = re.match(r"A\[(\d+), (\d+)\] is (\S+);", str(e))
            if entry is None:
                raise
            i, j, value = entry.groups()
            raise NonFiniteError(
                f"{self.file}: tensor {self.name!r} holds {value} at index ({i}, {j}); every weight must be finite"
            ) from None
        claims = [Claim("op_norm", side, self.digest) for side in (LOWER, UPPER)]
        witness = Witness("vector", {"v": found.vector})
        plain = PLAIN[0] < found.frobenius_upper < PLAIN[1] or found.upper == 0
        raw = found.lower if plain else self._quotient(found.vector)
        lower = leaf(rules.NORM_LOWER, claims[0], raw, self, witness=witness)
        if found.upper == 0 or (proved and min(self.stored.shape) <= LARGEST):
            raw = self._proved(rtol, found.lower)
            upper = leaf(NORM_PROVED, claims[1], raw, self, rtol=rtol, start=found.lower)
        else:
            upper = leaf(NORM_SURVEY, claims[1], found.upper, self, seed=trial, delta=DELTA, steps=found.steps)
        frobenius = found.frobenius_lower, found.frobenius_upper
        spectrum = density(found.alphas, found.betas)
        seconds = time.perf_counter() - started
        return Findings(self, Bracket(lower, upper), frobenius, spectrum, found.steps, found.passes, seconds)

    def _proved(self, rtol: float, start: float) -> float:
        from lipop_kernels import spectral_norm_upper

        m, n = self.stored.shape
        tall = self.stored if m >= n else self.stored.T  # a view: the kernel reads blocks of rows
        return spectral_norm_upper(tall, rtol=rtol, start=start, dtype=self.kind)

    def reprove(self, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None) -> float:
        """Redo a leaf; a trial repeats bit by bit with the same number of threads (sums of float32 depend on it)."""
        from lipop_kernels import survey_norm

        if rule == NORM_SURVEY:
            seed, steps = int(params["seed"]), int(params["steps"])
            again = survey_norm(self.stored, float(params["delta"]), rng=seed, steps=steps, dtype=self.kind)
            return again.upper
        if rule == NORM_PROVED:
            return self._proved(float(params["rtol"]), float(params["start"]))
        if rule == rules.NORM_LOWER and witness is not None and witness.arrays["v"].shape == (self.stored.shape[1],):
            return self._quotient(np.asarray(witness.arrays["v"], dtype=np.float64))
        raise ProofError(f"a stored matrix cannot redo rule {rule} with this witness")

    def _quotient(self, v: np.ndarray) -> float:
        """The root of ``<v, A^T A v> / <v, v>``, rounded down as ``survey_norm`` does it."""
        from lipop_kernels import gram_matvec, survey_norm

        A, (m, n) = self.stored, self.stored.shape
        frobenius = survey_norm(A, steps=1, dtype=self.kind).frobenius_upper
        exponent = 0 if PLAIN[0] < frobenius < PLAIN[1] else math.frexp(frobenius)[1]
        if exponent:
            A, frobenius = np.ldexp(A, -exponent), math.ldexp(frobenius, -exponent)
        w = gram_matvec(A, v, dtype=self.kind)
        error = (gamma(m) + gamma(n) + gamma(m) * gamma(n)) * frobenius * frobenius * (1 + 1e-14) + 1e-290
        size = dot_up(v)
        value = float(v @ w) - (gamma(n + 2) * dot_up(w) * size + error * size * size) * (1 + 1e-14)
        return math.ldexp(math.sqrt(max(0.0, value)) / size * (1 - 1e-15), exponent)


@dataclass(frozen=True, eq=False)
class Findings:
    """What the survey found about one matrix.

    Attributes
    ----------
    matrix : StoredMatrix
    norm : Bracket
    frobenius : (lower, upper)
    density : (singular values, weights)
        See :func:`lipop.report.survey_density.density`.
    steps, passes : int
        Lanczos steps; how often the matrix was read.
    seconds : float
    """

    matrix: StoredMatrix
    norm: Bracket
    frobenius: tuple[float, float]
    density: tuple[np.ndarray, np.ndarray]
    steps: int
    passes: int
    seconds: float
