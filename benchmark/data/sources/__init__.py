"""Where the images of a data set come from: a file for each source, found by its name."""

from benchmark.core.parts import Parts
from benchmark.data.sources.base import Source

SOURCES = Parts("data source", Source, __name__, key="source")
