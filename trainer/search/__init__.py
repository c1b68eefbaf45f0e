"""Propose trials, train them in batches, prune the worst, log them."""
