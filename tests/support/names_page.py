"""A Streamlit script that shows names from outside wherever pages render Markdown."""

from __future__ import annotations

from random import Random

import streamlit as st

from dashboard import text

PIECES = [
    *("a", "b", "x1", "Ω", "猫", " ", " ", "_", "__", "*", "**", "~", "~~", "`", "``", "$", "$$", "\\", "|"),
    *("[", "]", "(", ")", "!", "![", "](", "<", ">", ">=", "<=", "->", "<-", "--", "~=", "==", "&", "&amp;"),
    *("#", "# ", "1. ", "- ", "+ ", "> ", ":", "::", ":red[", ":material/bolt:", ":smile:", "{", "}", "^"),
    *("http://", "www.", "e.example", "@", "=", "-", ".", ",", ";", "'", '"', "/", "%", "?", "<b>", "[^1]"),
]
KNOWN = [
    *("quality>=top60%", "class_weight", "**bold**", "`code`", "~~x~~", "$x$", ":red[a]", ":material/bolt:"),
    *("a -> b <- c -- d", "x<=3 ~= 4", "http://evil.example/x", "www.evil.example", "a@b.example", "---"),
    *("<img src=x onerror=alert(1)>", "![x](http://evil.example/x.png)", "[y](javascript:alert(3))", "1. a"),
    *(
        "http://x:material/bolt:y",
        "back\\slash",
        "trail\\",
        "``",
        "_a_",
        "snake_case_",
        "a <= b >= c",
        "x: y",
        "C:\\temp\\*_x",
    ),
]
COUNT = 150


def names() -> list[str]:
    """The same strings every time, whatever is awkward in Markdown among them."""
    random = Random(0)
    made = ["".join(random.choices(PIECES, k=random.randint(1, 9))) for _ in range(COUNT)]
    return list(dict.fromkeys(name for name in map(text.clean, [*KNOWN, *made]) if name))


def main() -> None:
    for number, name in enumerate(names()):
        with st.container(key=f"alone-{number}"):
            st.caption(text.plain(name))
        with st.container(key=f"among-{number}"):
            st.caption(f"Before {text.plain(name)}, after")
        with st.container(key=f"bold-{number}"):
            st.markdown(f"**Verdict: {text.plain(name)}.**")
    with st.container(key="options"):
        st.pills("options", names(), format_func=text.plain)
    st.header("names")


if __name__ == "__main__":
    main()
