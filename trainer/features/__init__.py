"""Turn images and texts into cached vectors with frozen encoders."""
