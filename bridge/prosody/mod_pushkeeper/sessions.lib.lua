-- Sessions as mod_pushkeeper describes them.

local time_now = require "util.time".now;
local new_id = require "util.id".medium;
local parse = require "util.xml".parse;
local elements = module:require "elements";
local facts = module:require "facts";

local max, concat = math.max, table.concat;
local int, stamp, escaped, escaped_length = elements.int, elements.stamp, elements.escaped, elements.escaped_length;
local mark, tell = facts.mark, facts.tell;

local STANZAS, EVENT_BYTES = 50, 96 * 1024;
-- What is needed for the attributes of a session apart from its names.
local FRAME = 512;

-- mod_smacks's window, as it reads it.
local get_seconds = module.get_option_period or module.get_option_number;
local own_window = get_seconds(module, "smacks_hibernation_time", 600);

-- What this module remembers of a session, in the session: it survives a resumption and a reload of this module.
local function memory_of(session)
	local memory = session.pushkeeper;
	if not memory then
		memory = { sid = new_id() };
		session.pushkeeper = memory;
	end
	if not memory.bytes and session.resource then
		memory.bytes = FRAME + escaped_length(session.username) + escaped_length(session.resource)
			+ (session.client_id and escaped_length(session.client_id) or 0);
	end
	return memory;
end

-- Sees whether the state is another one, and mints the moment it began.
local function update_state(session, memory)
	local hibernating = session.hibernating or nil;
	local state = hibernating and "hibernated" or memory.unresponsive and "unresponsive"
		or session.smacks and "active" or "plain";
	if state ~= memory.state or hibernating ~= memory.hibernating then
		-- A session that hibernated before we came began to do so when the host says.
		memory.since = stamp(hibernating and not memory.state and hibernating or time_now());
		memory.state, memory.hibernating = state, hibernating;
	end
end

-- This instance of the module: what an earlier one wrote may differ.
local INSTANCE = {};

-- Those attributes that hardly change from one event of a session to the next, as text. It is made anew when one of
-- them has changed, or an earlier instance of this module made it.
local function lasting(session, memory, window, acked, resumable, csi)
	local known, client, handled = memory.lasting, session.client_id, session.handled_stanza_count;
	if not known or known.by ~= INSTANCE or known.since ~= memory.since or known.state ~= memory.state
	or known.window ~= window or known.acked ~= acked or known.handled ~= handled or known.resumable ~= resumable
	or known.csi ~= csi or known.client ~= client then
		local active = csi == "active" or csi == "inactive";
		known = {
			by = INSTANCE, since = memory.since, state = memory.state, window = window, acked = acked, handled = handled,
			resumable = resumable, csi = csi, client = client;
			text = concat {
				"' sid='", memory.sid, "' user='", escaped(session.username),
				session.resource and "' resource='" .. escaped(session.resource) or "",
				client and "' client-id='" .. escaped(client) or "",
				"' state='", memory.state, "' since='", memory.since,
				window and "' timeout='" .. int(window) or "",
				handled and "' h-in='" .. int(handled) or "",
				acked and "' h-out='" .. int(acked) or "",
				resumable ~= nil and (resumable and "' resumable='true" or "' resumable='false") or "",
				active and "' csi='" .. csi or "",
			};
		};
		memory.lasting = known;
	end
	return known.text;
end

-- Writes the start of an event of a session, but for its `>`, into the buffer behind `at`; returns where it ends there,
-- and at most how many bytes it is. `over`: what the session was stays as it was last seen. `acked`, `unacked`: instead
-- of what mod_smacks has counted so far.
local function write(buffer, at, name, session, over, acked, unacked)
	local memory, time = memory_of(session), time_now();
	if not (over and memory.state) then update_state(session, memory); end
	local smqueue, dog, resumable, window = session.outgoing_stanza_queue, session.hibernating_watchdog, nil, nil;
	if smqueue then
		acked, unacked = acked or smqueue:count_acked(), unacked or smqueue:count_unacked();
		resumable = session.resumption_token ~= nil and smqueue:resumable();
	end
	buffer[at + 1], buffer[at + 2], buffer[at + 3] = "<", name, " stamp='";
	buffer[at + 4] = stamp(time);
	if dog then
		window = dog.timeout;
		local left = max(0, (memory.deadline or session.hibernating and session.hibernating + window or 0) - time);
		buffer[at + 5], buffer[at + 6] = "' left='", int(0.5 + left);
		at = at + 6;
	else
		if session.resumption_token then window = own_window; end
		at = at + 4;
	end
	-- mod_csi_simple says "flushing" for a while, of a client that is still inactive.
	local csi = session.state == "flushing" and "inactive" or session.state;
	at = at + 1;
	buffer[at] = lasting(session, memory, window, acked, resumable, csi);
	if unacked then
		buffer[at + 1], buffer[at + 2] = "' unacked='", int(unacked);
		at = at + 2;
	end
	buffer[at + 1] = "'";
	return at + 1, memory.bytes;
end

-- The same as an element.
local function describe(name, session)
	local buffer = {};
	local last, bytes = write(buffer, 0, name, session);
	buffer[last + 1] = "/>";
	return parse(concat(buffer)), bytes;
end

-- The newest of the unacknowledged stanzas as text, as many as an event may have beside `bytes`, in their order; and how
-- many bytes the event has then. `how` its account is watched.
local function write_list(bytes, session, list, how)
	local count, first = #list, nil;
	local smqueue = session.outgoing_stanza_queue;
	local number = smqueue and smqueue:count_acked() + smqueue:count_unacked() or nil;
	local buffer, shapes = {}, {};
	for i = count, max(1, count - STANZAS + 1), -1 do
		local last, size = tell(buffer, 0, list[i], session.username, how, mark(list[i], session.username, how), number);
		if bytes + size > EVENT_BYTES then break; end
		bytes, first = bytes + size, i;
		shapes[i] = concat(buffer, "", 1, last);
		number = number and number - 1;
	end
	return first and concat(shapes, "", first, count), bytes;
end

return { memory_of = memory_of, update_state = update_state, write = write, describe = describe, write_list = write_list };
