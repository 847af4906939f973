"""Controls that are made: images of known quality, judged as samples are.

They show what the figures notice. Each is a part in a file of its own: a class below `MadeControl`,
named in a config's `evaluation.controls`.
"""

from benchmark.core.parts import Parts
from benchmark.data.controls.base import MadeControl

CONTROLS = Parts("control", MadeControl, __name__)

__all__ = ["CONTROLS", "MadeControl"]
