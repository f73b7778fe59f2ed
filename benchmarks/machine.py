"""What the numbers of a benchmark were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numba
import numpy as np
import threadpoolctl

ROOT = Path(__file__).resolve().parent.parent
LOAD = os.getloadavg()  # before this process has added to it


def machine() -> dict[str, object]:
    """What the numbers were measured on, without names of hosts, users or folders."""
    blas = [lib for lib in threadpoolctl.threadpool_info() if lib["user_api"] == "blas"]
    return {
        "cpu": _cpu(),
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "threads": {
            "numba": numba.get_num_threads(),
            "blas": max((lib["num_threads"] for lib in blas), default=1),
            **_torch(),
        },
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": sorted(
            {" ".join(str(lib.get(k)) for k in ("internal_api", "version", "architecture")) for lib in blas}
        ),
        "blas_thread_timeout": os.environ.get("OPENBLAS_THREAD_TIMEOUT"),
        **{name: _version(name) for name in ("scipy", "numba", "torch", "scikit-learn", "eclipse-nn", "lipop")},
        **_commit(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "load": [round(x, 2) for x in LOAD],
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _torch() -> dict[str, int]:
    """PyTorch's number of threads, if this process uses it."""
    torch = sys.modules.get("torch")
    return {} if torch is None else {"torch": torch.get_num_threads()}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> dict[str, object]:
    """The commit, and whether tracked files differ from it, results apart, since each benchmark writes its own."""

    def git(*args: str) -> str:
        return subprocess.run(["git", *args], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/results")
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed)}
    except (OSError, subprocess.CalledProcessError):  # an archive, or no git
        return {"commit": None, "dirty": None}
