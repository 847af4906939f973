"""A reproducible benchmark of diffusion models."""

import os

# Nothing is told to anyone: before the hub's libraries are imported, which ask when they are.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = os.environ["DO_NOT_TRACK"] = "1"
