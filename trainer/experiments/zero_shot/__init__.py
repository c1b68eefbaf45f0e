"""Classify by class names, and compare with heads trained on few images."""
