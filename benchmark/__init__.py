"""A reproducible benchmark of diffusion models."""
