"""Measures the speed of this program and of others, in turns, on one machine."""
