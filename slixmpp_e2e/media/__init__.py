"""Floor 1: what stands inside an object: MIME, Message/CPIM, application/xmpp+xml and their mapping."""
