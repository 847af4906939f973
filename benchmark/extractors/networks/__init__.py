"""The networks of the extractors, in torch. A module is imported when its network is loaded."""
