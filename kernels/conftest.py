"""Doctests of the CUDA kernels are collected where CuPy is installed."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("cupy") else ["lipop_kernels/cuda"]
