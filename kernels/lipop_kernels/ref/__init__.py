"""The kernels by their plain definitions: exact rational arithmetic or long double, slow, clear, for small arrays."""

from lipop_kernels.ref.batched import batched_spectral_norms, psd_max_batched
from lipop_kernels.ref.gram import gram_matvec
from lipop_kernels.ref.lanczos import spectral_norm
from lipop_kernels.ref.probable import lanczos_upper, spectral_norm_probable
from lipop_kernels.ref.survey import survey_norm
from lipop_kernels.ref.verified import spectral_norm_upper, symmetric_max

__all__ = [
    "gram_matvec",
    "spectral_norm",
    "spectral_norm_upper",
    "spectral_norm_probable",
    "lanczos_upper",
    "survey_norm",
    "symmetric_max",
    "psd_max_batched",
    "batched_spectral_norms",
]
