"""What a config says: its words, the grid of cells that it names, what is refused of it."""
