"""The CUDA twins of ``lipop_kernels.cpu`` are not part of this release yet: the package holds no functions.

CuPy arrays are refused with a message that says so; nothing falls back to the CPU in silence.
"""
