"""Feature extractors. Their facts need no torch; only loading a network does."""

from benchmark.extractors.base import Extractor, features, fingerprint
from benchmark.extractors.catalogue import EXTRACTORS

__all__ = ["EXTRACTORS", "Extractor", "features", "fingerprint"]
