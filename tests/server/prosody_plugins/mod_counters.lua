-- Tells a client what its session has counted (XEP-0198): an iq "get" to the server with <counters/> is answered with
-- `handled`, the client's stanzas with this one, and `sent`, the server's without the answer.

local st = require "util.stanza";
local xmlns = "urn:example:counters";

module:hook("iq-get/host/" .. xmlns .. ":counters", function (event)
	local session = event.origin;
	local queue = session.outgoing_stanza_queue;
	session.send(st.reply(event.stanza):tag("counters", {
		xmlns = xmlns;
		handled = string.format("%d", session.handled_stanza_count);
		sent = string.format("%d", queue:count_acked() + queue:count_unacked());
	}));
	return true;
end);
