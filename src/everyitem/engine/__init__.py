"""Decisions and one thin loop: the state machine of an execution and the runtime that carries it out."""
