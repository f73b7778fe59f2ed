"""The kernels on the CPU: Numba where it helps, NumPy and LAPACK elsewhere; files and functions as in ``ref``."""

from lipop_kernels.cpu.attention import attention_linearisation, attention_products
from lipop_kernels.cpu.batched import batched_spectral_norms, psd_max_batched
from lipop_kernels.cpu.chain import chain_gram_matvec
from lipop_kernels.cpu.gram import gram_matvec
from lipop_kernels.cpu.lanczos import spectral_norm
from lipop_kernels.cpu.matvec import matvec, rmatvec
from lipop_kernels.cpu.pairs import farthest_points, max_pairwise_ratio
from lipop_kernels.cpu.probable import lanczos_upper, spectral_norm_probable
from lipop_kernels.cpu.rotary import rotate
from lipop_kernels.cpu.rows import (
    layer_norm_jvp,
    layer_norm_vjp,
    rms_norm_jvp,
    rms_norm_vjp,
    softmax_jvp,
    softmax_vjp,
)
from lipop_kernels.cpu.spectrum import spectrum_density, stable_rank, top_singular_values
from lipop_kernels.cpu.survey import survey_norm
from lipop_kernels.cpu.verified import spectral_norm_upper, symmetric_max

__all__ = [
    "gram_matvec",
    "matvec",
    "rmatvec",
    "chain_gram_matvec",
    "softmax_jvp",
    "softmax_vjp",
    "rms_norm_jvp",
    "rms_norm_vjp",
    "layer_norm_jvp",
    "layer_norm_vjp",
    "rotate",
    "spectral_norm",
    "spectral_norm_upper",
    "spectral_norm_probable",
    "lanczos_upper",
    "survey_norm",
    "symmetric_max",
    "psd_max_batched",
    "batched_spectral_norms",
    "top_singular_values",
    "stable_rank",
    "spectrum_density",
    "max_pairwise_ratio",
    "farthest_points",
    "attention_linearisation",
    "attention_products",
]
