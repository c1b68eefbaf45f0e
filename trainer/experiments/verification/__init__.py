"""Train and evaluate face verification by pairs."""
