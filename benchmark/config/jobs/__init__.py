"""What each job of the workflow is given: a frozen class a stage, made from the config once."""
