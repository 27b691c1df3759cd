"""Floor 3: the only place that knows slixmpp's stream."""
