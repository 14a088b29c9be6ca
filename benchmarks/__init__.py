"""What everyitem costs, measured against bare loops that guarantee nothing: `python -m benchmarks`."""
