"""Strategies that bracket any operator on a region, and the portfolio that runs them."""

from lipop.certify import exhaustive, portfolio, witness
from lipop.certify.portfolio import lip

__all__ = ["exhaustive", "lip", "portfolio", "witness"]
