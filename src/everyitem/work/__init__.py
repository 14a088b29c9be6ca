"""What runs beside the user's code, anywhere: the registry, the context, the item loop, the worker process."""
