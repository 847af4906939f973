"""The stages of the workflow: one module for each verb, whose function `stage` does the job."""
