"""Fuzzing: every reader of octets from outside, and the whole way of a stanza that arrives (docs/reliability.md)."""
