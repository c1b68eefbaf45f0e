"""Compute intervals, tests and error rates from numbers alone."""
