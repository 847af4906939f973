"""Files: where they lie, written whole or not at all, arrays, caches, downloads, pictures."""
