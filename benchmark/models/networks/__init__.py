"""Networks, each in a file of its own: what a config says of one, and how it is built.

To add one, write a class below `Network` in a new file here. Its options are its fields, and its
method `build` makes the torch module.
"""

from benchmark.core.parts import Parts
from benchmark.models.networks.base import Network

__all__ = ["NETWORKS", "Network"]

NETWORKS: Parts[Network] = Parts("network", Network, __name__)
