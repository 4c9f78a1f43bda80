"""Judges: what must hold in any run, and who says so when it does not."""
