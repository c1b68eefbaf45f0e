"""Check data and encoder before anything is trained."""
