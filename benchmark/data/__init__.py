"""Images: sources, which share one interface, and one format of prepared images on disk."""

from benchmark.data.prepared import Dataset, Manifest, load_dataset

__all__ = ["Dataset", "Manifest", "load_dataset"]
