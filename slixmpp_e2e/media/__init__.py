"""Floor 1: what stands inside an object: MIME, Message/CPIM, PIDF, application/xmpp+xml and their mapping."""
