"""The version of Headroom."""

__version__ = "0.1.0"
