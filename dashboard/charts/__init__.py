"""Frame in, Altair chart out. No files, no Streamlit: fonts, axes and background are the page's theme."""

from dashboard.charts.confusion import MOST_SQUARE, confusion
from dashboard.charts.curves import curves, trials_left
from dashboard.charts.data_quality import histogram
from dashboard.charts.palette import colours
from dashboard.charts.progress import best_so_far, intervals
from dashboard.charts.scatter import scatter

__all__ = [
    "MOST_SQUARE",
    "best_so_far",
    "colours",
    "confusion",
    "curves",
    "histogram",
    "intervals",
    "scatter",
    "trials_left",
]
