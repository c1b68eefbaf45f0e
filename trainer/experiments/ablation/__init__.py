"""Measure what data filters and augmentation change."""
