"""The plain definitions of the kernels."""
