"""The jobs of the workflow: a frozen class for each stage, with all that the stage needs."""
