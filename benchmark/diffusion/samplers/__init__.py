"""Samplers, each in a file of its own: from noise x_T to an image x_0 with a model of the noise.

To add one, write a class below `Sampler` in a new file here. Its options are its fields, and its
method `sample` is the algorithm.
"""

from benchmark.core.parts import Parts
from benchmark.diffusion.samplers.base import Sampler

__all__ = ["SAMPLERS", "Sampler"]

SAMPLERS: Parts[Sampler] = Parts("sampler", Sampler, __name__)
