"""Hypothesis profiles: ``dev`` (seconds), ``ci`` (the same examples on every run), ``nightly`` (large counts).

``LIPOP_TEST_PROFILE`` chooses; the default is ``dev``. Thread counts of BLAS are set by the Makefile, because they are
read when NumPy is imported.
"""

import os

from hypothesis import HealthCheck, settings

slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("dev", max_examples=25, deadline=None, suppress_health_check=slow)
settings.register_profile(
    "ci", max_examples=100, deadline=None, suppress_health_check=slow, derandomize=True, database=None, print_blob=True
)
settings.register_profile("nightly", max_examples=3000, deadline=None, suppress_health_check=slow, print_blob=True)
settings.load_profile(os.environ.get("LIPOP_TEST_PROFILE", "dev"))
