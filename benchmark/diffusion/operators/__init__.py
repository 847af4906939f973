"""Operators, each in a file of its own: what is given of an image in an inverse problem.

To add one, write a class below `Operator` in a new file here. Its options are its fields, and its
methods `forward` and `adjoint` are the linear map and its transpose.
"""

from benchmark.core.parts import Parts
from benchmark.diffusion.operators.base import Operator

__all__ = ["OPERATORS", "Operator"]

OPERATORS: Parts[Operator] = Parts("operator", Operator, __name__)
