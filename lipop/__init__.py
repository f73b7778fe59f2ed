"""lipop."""
