"""Search for the best head and evaluate it."""
