"""The store in a PostgreSQL database. Nothing here is imported before a store URL asks for it."""
