"""Feature extractors. Their facts need no torch; only loading a network does."""

from benchmark.extractors.base import Extractor, feature_blocks, features, fingerprint
from benchmark.extractors.catalogue import EXTRACTORS

__all__ = ["EXTRACTORS", "Extractor", "feature_blocks", "features", "fingerprint"]
