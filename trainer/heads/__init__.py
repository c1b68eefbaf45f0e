"""Train many small heads at once as one tensor program."""
