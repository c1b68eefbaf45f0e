"""Commands killed at random moments: what is killed, how, and what is looked at afterwards."""
