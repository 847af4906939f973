"""What training minimises, each loss in a file of its own; a process names its own.

To add one, write a class below `Loss` in a new file here. Its options are its fields.
"""

from benchmark.core.parts import Parts
from benchmark.diffusion.losses.base import Loss

__all__ = ["LOSSES", "Loss"]

LOSSES: Parts[Loss] = Parts("loss", Loss, __name__)
