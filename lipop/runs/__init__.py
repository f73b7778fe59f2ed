"""Runs: what outlives a process. Finished results in a folder, found again by what determines them."""

from lipop.runs.lock import locked
from lipop.runs.sources import fingerprint
from lipop.runs.store import Store, Stored

__all__ = ["Store", "Stored", "fingerprint", "locked"]
