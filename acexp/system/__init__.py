"""The machine that acexp runs on: files, locks, signals, cores, memory, installed packages, other processes."""
