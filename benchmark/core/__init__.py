"""What everything stands on: errors, strict models, how parts are found, seeds, progress."""
