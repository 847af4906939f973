"""Formats of checkpoints, each in a file of its own: weights that are ready to be sampled.

To add one, write a class below `CheckpointFormat` in a new file here. Its fields say where the
weights are; its methods `describe` and `load` read them.
"""

from benchmark.core.parts import Parts
from benchmark.models.checkpoints.base import CheckpointFormat

__all__ = ["CHECKPOINTS", "CheckpointFormat"]

CHECKPOINTS: Parts[CheckpointFormat] = Parts("checkpoint format", CheckpointFormat, __name__)
