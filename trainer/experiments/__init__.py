"""Run the experiments behind the commands: prepare, train, evaluate, record."""
