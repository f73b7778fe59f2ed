"""Strategies that bracket any operator on a region, and the portfolio that runs them."""
