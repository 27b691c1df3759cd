"""End-to-end security on X.509 certificates for slixmpp (RFC 3923)."""

__version__ = "0.1.0.dev0"
