"""Records: what jobs write, how they are read, and how they are joined into rows."""
