"""The torch modules of the built-in networks. A module is imported when its network is built."""
