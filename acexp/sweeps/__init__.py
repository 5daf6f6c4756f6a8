"""Many runs: sweeps and searches that train as populations, in other processes or on other machines."""
