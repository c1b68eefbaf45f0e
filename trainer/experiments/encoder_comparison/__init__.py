"""Compare encoders by the same linear probe, with cost."""
