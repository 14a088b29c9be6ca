"""The Cyoda compute member: a calculation node of the platform that executes `ProcessingBatch` entities.

    member ── pipe ── stream process ── gRPC ── platform          another stream per endpoint
      │
      └── an execution per entity, through the Python API

Pure: `messages`, `conversation`, `entity`, `flights`, `backoff`. The extra `cyoda` brings what the stream
needs. `installing` and `examining` are for `everyitem cyoda install` and `everyitem doctor --cyoda`.
"""
