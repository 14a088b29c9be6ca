"""The HTTP API: what the command line does, for programs on other machines.

`client` needs nothing but the standard library; everything else needs the extra `api`.
"""
