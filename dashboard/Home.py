"""Entry of the dashboard: ``streamlit run dashboard/Home.py``."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # streamlit puts only this file's folder there
    sys.path.insert(0, str(ROOT))

import streamlit as st  # noqa: E402

from dashboard.ui import sidebar, state  # noqa: E402

st.set_page_config(page_title="Headroom", page_icon=str(ROOT / "dashboard" / "icon.svg"), layout="wide")
# Without a section: its heading would stand in a list between the items, where readers of screens lose count.
page = st.navigation(
    [
        st.Page("views/home.py", title="Home", icon=":material/leaderboard:", default=True),
        st.Page("views/curves.py", title="Loss curves", icon=":material/show_chart:", url_path="curves"),
        st.Page(
            "views/hyperparameters.py",
            title="Hyperparameters",
            icon=":material/tune:",
            url_path="hyperparameters",
        ),
        st.Page(
            "views/confusion.py", title="Confusion matrix", icon=":material/grid_on:", url_path="confusion"
        ),
        st.Page(
            "views/embeddings.py", title="Embeddings", icon=":material/scatter_plot:", url_path="embeddings"
        ),
        st.Page("views/twoclass.py", title="Two classes", icon=":material/balance:", url_path="twoclass"),
        st.Page(
            "views/ablation.py", title="Filter ablations", icon=":material/filter_alt:", url_path="ablation"
        ),
        st.Page("views/tryit.py", title="Try it", icon=":material/add_photo_alternate:", url_path="tryit"),
        st.Page(
            "views/verification.py", title="Verification", icon=":material/face:", url_path="verification"
        ),
        st.Page("views/zeroshot.py", title="Zero-shot", icon=":material/spellcheck:", url_path="zeroshot"),
        st.Page("views/fusion.py", title="Image and text", icon=":material/join:", url_path="fusion"),
        st.Page("views/encoders.py", title="Encoders", icon=":material/speed:", url_path="encoders"),
        st.Page("views/quality.py", title="Data quality", icon=":material/image_search:", url_path="quality"),
    ]
)
NOT_OF_A_SWEEP = ("quality", "ablation", "verification", "zeroshot", "fusion", "encoders")


def show_sidebar() -> None:
    if page.url_path not in NOT_OF_A_SWEEP:
        sidebar.show()


state.opens(page.url_path)
try:
    page.run()
except Exception:
    show_sidebar()  # where another run is chosen, if this one is too much for the page
    raise
show_sidebar()  # after the page, for which people have come
state.opened()
