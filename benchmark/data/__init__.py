"""Images: sources behind one interface, and one prepared format on disk."""

from benchmark.data.prepared import Dataset, Manifest, load_dataset

__all__ = ["Dataset", "Manifest", "load_dataset"]
