"""Turn stored tables into the tables that charts draw."""
