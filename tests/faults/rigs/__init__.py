"""Test rigs: what the fault tests are driven by."""
