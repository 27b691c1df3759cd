"""Floor 2: the whole way of a stanza, without a stream."""
