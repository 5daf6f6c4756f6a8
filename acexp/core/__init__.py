"""Layer 0: the maths and the vocabulary. Pure functions and immutable values; nothing here keeps state."""
