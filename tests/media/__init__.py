"""Floor 1: what stands inside an object."""
