"""Servers the tests bring along."""
