"""Shared widgets and the state of a session."""
