"""Noise schedules, each in a file of its own: what a config chooses to make a process.

To add one, write a class below `Schedule` in a new file here. Its options are its fields, and its
method `process` makes the process that it describes.
"""

from benchmark.core.parts import Parts
from benchmark.diffusion.schedules.base import Schedule

__all__ = ["SCHEDULES", "Schedule"]

SCHEDULES: Parts[Schedule] = Parts("schedule", Schedule, __name__)
