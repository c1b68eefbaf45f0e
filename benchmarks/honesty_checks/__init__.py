"""What `benchmarks/honesty.py` checks, a file for each kind of statement."""
