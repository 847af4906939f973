"""Formats of checkpoints, which contain ready weights; each format is a class in its own file.

To add one, write a subclass of `CheckpointFormat` in a new file here. Its fields say where the
weights are; its methods `describe` and `load` read them.
"""

from benchmark.core.parts import Parts
from benchmark.models.checkpoints.base import CheckpointFormat

__all__ = ["CHECKPOINTS", "CheckpointFormat"]

CHECKPOINTS: Parts[CheckpointFormat] = Parts("checkpoint format", CheckpointFormat, __name__)
