"""The report of an execution: facts that are pure data, and one page made of them."""
