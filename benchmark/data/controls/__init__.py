"""Controls that are made: images of known quality, which are evaluated as samples are.

They show which defects the metrics notice. Each is a part in a file of its own: a subclass of
`MadeControl`, which a config names in `evaluation.controls`.
"""

from benchmark.core.parts import Parts
from benchmark.data.controls.base import MadeControl

CONTROLS = Parts("control", MadeControl, __name__)

__all__ = ["CONTROLS", "MadeControl"]
