"""What every room may use: flags, errors, console output, atomic files, default locations."""
