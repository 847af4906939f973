"""Configs: their keys, the grid of cells, the checks, and the jobs of a run."""
