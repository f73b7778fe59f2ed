"""Reports: brackets of a whole model as JSON with proofs, and their verification by another process."""
