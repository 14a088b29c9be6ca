"""A store in tables: what every SQL database does the same; what differs is a connection and its dialect."""
