"""Turn a table into an Altair chart, for the dashboard and for image files."""
