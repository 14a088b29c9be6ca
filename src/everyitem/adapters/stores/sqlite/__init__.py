"""The store in one SQLite file: WAL, `synchronous=FULL`, every write under a short file lock."""
