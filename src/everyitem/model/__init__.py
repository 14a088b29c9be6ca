"""What a batch is, and the rules that need no I/O. Imports the standard library and msgspec only."""
