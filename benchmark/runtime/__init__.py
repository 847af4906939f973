"""How a job runs: devices, leases of GPUs, memory, signals, training states, warm processes."""
