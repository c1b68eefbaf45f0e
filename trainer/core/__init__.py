"""Shared by all packages: flags, errors, console output, atomic files, default locations."""
