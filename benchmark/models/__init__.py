"""Networks, and checkpoints that others wrote."""
