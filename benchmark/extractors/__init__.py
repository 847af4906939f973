"""Feature extractors: images in, features out.

Each is a part in a file of its own: a subclass of `Extractor`. The class can be imported without
torch; its network, a module in `networks`, needs torch.
"""

from benchmark.core.parts import Parts
from benchmark.extractors.base import Extractor, feature_blocks, features_of, fingerprint

EXTRACTORS = Parts("extractor", Extractor, __name__)

__all__ = ["EXTRACTORS", "Extractor", "feature_blocks", "features_of", "fingerprint"]
