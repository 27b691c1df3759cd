"""Floor 2: the formats of a protected stanza."""
