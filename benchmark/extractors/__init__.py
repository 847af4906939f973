"""Feature extractors: images in, features out.

Each is a part in a file of its own: a class below `Extractor`. Its facts need no torch; only
loading its network does, which stands in `networks`.
"""

from benchmark.core.parts import Parts
from benchmark.extractors.base import Extractor, embed_images, feature_blocks, fingerprint

EXTRACTORS = Parts("extractor", Extractor, __name__)

__all__ = ["EXTRACTORS", "Extractor", "embed_images", "feature_blocks", "fingerprint"]
