"""Alerts: rules say what is wrong, the book whom to tell and when, the desk does it."""
