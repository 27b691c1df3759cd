"""What went over the wire, octet for octet."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class WireRecord:
    """The octets of one direction: one entry for each connection, in the order in which they were made.

    `octets in record` asks whether any single connection carried them.
    """

    connections: list[bytearray] = field(default_factory=list)

    def new_connection(self) -> bytearray:
        """Begin the entry of a new connection; the caller appends to it."""
        entry = bytearray()
        self.connections.append(entry)
        return entry

    @property
    def joined(self) -> bytes:
        """All connections, one after the other."""
        return b"".join(self.connections)

    def __contains__(self, octets: bytes) -> bool:
        return any(octets in entry for entry in self.connections)
