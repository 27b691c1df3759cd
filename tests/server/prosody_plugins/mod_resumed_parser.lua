-- Prosody 0.12 resumes a session with the parser of the lost connection, and whatever that was in the middle of.
-- This gives the session the parser of the new connection, as it should be.

module:hook("smacks-hibernation-end", function (event)
	event.resumed.data = event.origin.data;
end);
