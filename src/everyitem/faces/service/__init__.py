"""The service: many batches on one machine, by priority, each in a process of its own.

`service.Service` is what faces use: it takes batches in, answers where they stand, and passes on what people
want of them. The queue is in the store; the `dispatcher` brings what runs in line with it.
"""
