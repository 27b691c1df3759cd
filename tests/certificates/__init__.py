"""Floor 2: identities, paths, pins and names."""
