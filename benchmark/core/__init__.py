"""What everything stands on: errors, strict models, the registry of parts, seeds, progress."""
