"""Carrying on after a crash without being asked: a supervisor, and the process it starts again.

Standard library only: the supervisor stays small beside the engine it watches over. `run --supervise` uses
it, and so may every face that runs for long.
"""
