"""One file about runs, for somebody who has neither the store nor the dashboard."""
