"""The networks of the extractors, in torch: imported when one is loaded."""
