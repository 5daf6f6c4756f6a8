"""The learning algorithm: a population of runs, and the loop that collects, estimates, updates and logs."""
