"""The config classes of the components, which import neither torch nor Gymnasium: their imports take seconds.

A command that only reads what is chosen imports these, and not the components that they configure. The config class of
your own component may be anywhere.
"""
