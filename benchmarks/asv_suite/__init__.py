"""Entry points for asv, which keeps the history of timings commit by commit."""
