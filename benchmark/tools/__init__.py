"""Tools that a person calls by hand: score, estimate, speed, reference, export, and the schema."""
