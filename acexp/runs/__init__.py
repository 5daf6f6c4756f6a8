"""One run: its directory, its checkpoints, how it is resumed, trained, evaluated and loaded."""
