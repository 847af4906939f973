"""Forward processes, which turn images into noise, each in a file of its own."""
