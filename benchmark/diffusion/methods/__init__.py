"""Methods, each in a file of its own: how a sampler answers a question about an image.

To add one, write a class below `Method` in a new file here. Its options are its fields, and its
method `steer` changes what the sampler sees of the network.
"""

from benchmark.core.parts import Parts
from benchmark.diffusion.methods.base import Method

__all__ = ["METHODS", "Method"]

METHODS: Parts[Method] = Parts("method", Method, __name__)
