"""Tables, verdicts, plots, the page of a run and comparisons: records in, files out."""
