"""Flags of the command line that several packages look at; importing them imports no library."""

MULTIRUN = frozenset({"-m", "--multirun"})
"""The flags that make a sweep of a training, as Hydra reads them."""

HELP = frozenset({"-h", "--help"})
"""The flags that ask for help."""
