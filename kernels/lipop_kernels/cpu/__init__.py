"""The kernels on the CPU: Numba where it helps, NumPy and LAPACK elsewhere; files and functions as in ``ref``."""

from lipop_kernels.cpu.batched import batched_spectral_norms, psd_max_batched
from lipop_kernels.cpu.gram import gram_matvec
from lipop_kernels.cpu.lanczos import spectral_norm
from lipop_kernels.cpu.probable import lanczos_upper, spectral_norm_probable
from lipop_kernels.cpu.survey import survey_norm
from lipop_kernels.cpu.verified import spectral_norm_upper, symmetric_max

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
