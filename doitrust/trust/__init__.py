"""Evidence, then judgement: what was gathered, and the pure function from it to a verdict."""
