"""Networks, each a class in a file of its own: its options in a config, and how it is built.

To add one, write a subclass of `Network` in a new file here. Its fields are its options, and its
method `build` makes the torch module.
"""

from benchmark.core.parts import Parts
from benchmark.models.networks.base import Network

__all__ = ["NETWORKS", "Network"]

NETWORKS: Parts[Network] = Parts("network", Network, __name__)
