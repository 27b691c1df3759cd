"""Floor 1: RFC 5652 objects. Bytes and keys in, bytes and values out; nothing here knows of XMPP."""
