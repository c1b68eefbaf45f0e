"""Compare runs on record by their answers to the test rows."""
