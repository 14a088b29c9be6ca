"""How long a Dask node waits for what may not come."""


class Patience:
    """In seconds."""

    #: For a scheduler out of reach, and for a worker that can run the batch, before the node counts as lost.
    cluster: float = 30.0
    #: The same for the first worker of a cluster that is started for the batch.
    start: float = 30.0
    #: For a sign of life from a worker that has begun a slice.
    silence: float = 15.0
    #: For Dask to begin a slice while workers have nothing to do.
    idle: float = 30.0
