"""Torch modules of the built-in networks, which are imported when one is built."""
