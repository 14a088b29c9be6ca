"""The Python API: the same things the command line does, as typed functions and values."""
