"""What training minimises, each loss in a file of its own; a process names its own.

To add one, write a class below `Loss` in a new file here. Its options are its fields, which stand
in a config among those of a training.
"""

from pydantic.fields import FieldInfo

from benchmark.core.parts import Parts
from benchmark.diffusion.losses.base import Loss

__all__ = ["LOSSES", "Loss", "loss_options"]

LOSSES: Parts[Loss] = Parts("loss", Loss, __name__)


def loss_options() -> dict[str, FieldInfo]:
    """Return the options of all losses, by name, sorted."""
    fields: dict[str, FieldInfo] = {}
    for loss in LOSSES.classes.values():
        fields |= loss.model_fields
    return {name: fields[name] for name in sorted(fields) if name != "kind"}
