"""Show what MLflow recorded: stored runs → frames → charts → pages."""
