"""Say what is broken on this machine, and what to do about it."""
