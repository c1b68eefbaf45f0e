"""Propose trials, train them in batches, prune the losing ones, log them."""
