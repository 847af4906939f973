"""Sources of the images of a data set, each in a file of its own."""

from benchmark.core.parts import Parts
from benchmark.data.sources.base import Source

SOURCES = Parts("data source", Source, __name__, key="source")
