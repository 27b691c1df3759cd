"""Floor 1: the RFC 5652 objects."""
