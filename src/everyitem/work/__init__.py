"""What runs beside the user's code, anywhere: registry, context, item loop, worker process."""
