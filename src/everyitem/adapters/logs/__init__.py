"""How log records are written: as JSON lines, and without holding anybody up."""
