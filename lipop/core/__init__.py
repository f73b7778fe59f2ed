"""What every operator is made of: spaces, regions, bounds that carry proofs, enclosures, and the algebra."""
