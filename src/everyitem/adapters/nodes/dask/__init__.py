"""Nodes whose items run on the workers of a Dask cluster (extra `dask`)."""
