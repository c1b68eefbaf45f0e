"""Frame in, Altair chart out. No files, no Streamlit: fonts, axes and background are the page's theme."""
