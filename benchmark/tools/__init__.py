"""What a person calls by hand: score, estimate, speed, reference, export."""
