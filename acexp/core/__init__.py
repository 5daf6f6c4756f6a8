"""The mathematics and the basic types that all other packages use; nothing here holds state of the process."""
