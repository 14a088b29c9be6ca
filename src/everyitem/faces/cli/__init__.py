"""The command line: each command translates its arguments, calls the Python API, prints what came back."""
