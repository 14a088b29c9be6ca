"""What the engine asks of the world: protocols, and the values that cross them. No implementation."""
