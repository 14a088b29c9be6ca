"""Half an hour or longer of a batch that everything goes wrong with: `python -m benchmarks.soak`."""
