"""Read stored runs and their tables from MLflow."""
