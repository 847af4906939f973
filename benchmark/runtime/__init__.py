"""How a job runs: devices, leases of GPUs, memory, signals, saved states, warm processes."""
