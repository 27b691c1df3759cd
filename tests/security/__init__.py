"""The attacks; each has to fail, and to work against a receiver that makes the mistake it is about."""
