"""What can go wrong: one exception type per cause, all under :class:`LipopError`.

A message names the culprit (tensor, file, argument), says what was expected, what was found, and what to do.
"""

from __future__ import annotations


class LipopError(Exception):
    """The root of every error that lipop raises on purpose."""


class ShapeError(LipopError, ValueError):
    """An array or a pair of spaces has the wrong shape."""


class NonFiniteError(LipopError, ValueError):
    """A weight, an input or a point holds NaN or infinity."""


class NormMismatch(LipopError, ValueError):
    """Two bounds meet in different norms."""


class RegionError(LipopError, ValueError):
    """A region is empty, malformed, or does not fit the space or the rule."""


class DomainError(LipopError, ValueError):
    """An argument lies outside the set on which the statement holds."""


class ProofError(LipopError):
    """A proof node is not what its rule gives; the message names the node."""


class MissingData(LipopError, LookupError):
    """A leaf refers to data that no source resolves."""


class CheckpointError(LipopError):
    """A checkpoint file is truncated, inconsistent, unsafe or incomplete."""


class UnsupportedConfig(LipopError):
    """A config key or an architecture that lipop does not know to be harmless."""


class TokenError(LipopError, ValueError):
    """Empty text, or token ids outside the vocabulary."""


class ReportError(LipopError):
    """A report is malformed or fails verification."""


class NotAReport(ReportError):
    """A file is no report at all."""


class OutputError(LipopError, OSError):
    """A folder or file cannot be written."""


class StoreError(LipopError):
    """A run's store is damaged or is not one, or another run holds its folder."""
