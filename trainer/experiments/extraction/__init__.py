"""Encode a data set and report on its quality."""
