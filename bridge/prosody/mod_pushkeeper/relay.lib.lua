-- Publishes for pushkeeper with the host as sender: to push services that want to hear from the host itself.

local st = require "util.stanza";
local jid = require "util.jid";
local checks = module:require "checks";

local tostring = tostring;

local NS = "urn:pushkeeper:host:0";
local RELAYS, RELAYS_PER_SERVICE, RELAY_ERROR_BYTES = 128, 8, 8 * 1024;

local host = module.host;
local relays, relays_to = 0, {};  -- under way: how many, and to whom

local function answer_relay(order, by, err)
	local relayed = st.stanza("relayed", { xmlns = NS, origin = by });
	if err then relayed:add_child(err); end
	order.origin.send(st.reply(order.stanza):add_child(relayed));
end

local function new_error(kind, condition, text)
	return st.stanza("error", { type = kind }):tag(condition, { xmlns = "urn:ietf:params:xml:ns:xmpp-stanzas" }):up()
		:text_tag("text", text, { xmlns = "urn:ietf:params:xml:ns:xmpp-stanzas" }):reset();
end

-- The host makes an error up when it cannot reach the service; that says nothing about the service.
local function is_of_the_host(request, stanza, err)
	local _, condition = stanza:get_error();
	return err.attr.by == host or condition == "remote-server-not-found" or condition == "remote-server-timeout"
		-- At once, from another server: it never left this one.
		or request.sending and not prosody.hosts[jid.host(request.to)];
end

local function finished(to)
	relays = relays - 1;
	relays_to[to] = relays_to[to] > 1 and relays_to[to] - 1 or nil;
end

local function relay_answered(request, stanza)
	finished(request.to);
	if not stanza then
		answer_relay(request.order, "none");
	elseif stanza.attr.type == "result" then
		answer_relay(request.order, "service");
	else
		local err = stanza:get_child("error") or st.stanza("error", { type = "cancel" });
		local by = is_of_the_host(request, stanza, err) and "host" or "service";
		if #tostring(err) > RELAY_ERROR_BYTES then
			local kind, condition = stanza:get_error();
			err = new_error(kind or "cancel", condition, "The text was too long");
		end
		answer_relay(request.order, by, st.clone(err));
	end
end

-- Publishes what an order says, or answers it. `send(to, payload, request)` sends it as an iq and says whether it could;
-- `request.answered(request, stanza)` hears the answer, or nil if none came in time.
local function publish(event, relay, send)
	local order = { origin = event.origin, stanza = st.clone(event.stanza, true) };
	local to = relay.attr.to and jid.prep(relay.attr.to);
	if not to or jid.host(to) == host then
		answer_relay(order, "host", new_error("modify", "jid-malformed", "No service to publish to"));
	elseif not checks.is_notification(relay) then
		answer_relay(order, "host", new_error("modify", "bad-request", "Only the publish of a notification is relayed"));
	elseif not checks.is_small(relay) then
		answer_relay(order, "host", new_error("modify", "policy-violation", "Too large"));
	elseif relays >= RELAYS or (relays_to[to] or 0) >= RELAYS_PER_SERVICE then
		answer_relay(order, "host", new_error("wait", "resource-constraint", "Too many are under way"));
	else
		relays, relays_to[to] = relays + 1, (relays_to[to] or 0) + 1;
		if not send(to, st.clone(relay.tags[1]), { order = order, answered = relay_answered }) then
			finished(to);
			answer_relay(order, "host", new_error("wait", "internal-server-error", "The host could not send it"));
		end
	end
end

return { publish = publish };
