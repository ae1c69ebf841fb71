-- Sessions as mod_pushkeeper describes them.

local time_now = require "util.time".now;
local new_id = require "util.id".medium;
local elements = module:require "elements";
local tell = module:require "facts".tell;

local max, concat = math.max, table.concat;
local int, stamp, escaped_length = elements.int, elements.stamp, elements.escaped_length;
local element = elements.element;

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

-- An event of a session, and its size in bytes. `over`: what the session was stays as it was last seen.
local function describe(name, session, over)
	local memory = memory_of(session);
	if not (over and memory.state) then update_state(session, memory); end
	local acked, unacked, resumable;
	local smqueue = session.outgoing_stanza_queue;
	if smqueue then
		acked, unacked = int(smqueue:count_acked()), int(smqueue:count_unacked());
		resumable = session.resumption_token and smqueue:resumable() and "true" or "false";
	end
	local dog, window, left = session.hibernating_watchdog, nil, nil;
	if dog then
		window = int(dog.timeout);
		left = int(0.5 + max(0, (memory.deadline or session.hibernating and session.hibernating + dog.timeout or 0) - time_now()));
	elseif session.resumption_token then
		window = int(own_window);
	end
	-- mod_csi_simple says "flushing" for a while, of a client that is still inactive.
	local csi = session.state == "flushing" and "inactive" or session.state;
	local handled = session.handled_stanza_count;
	return element(name, {
		stamp = stamp(time_now());
		sid = memory.sid;
		user = session.username;
		resource = session.resource;
		["client-id"] = session.client_id;
		state = memory.state;
		since = memory.since;
		timeout = window;
		left = left;
		["h-in"] = handled and int(handled) or nil;
		["h-out"] = acked;
		unacked = unacked;
		resumable = resumable;
		csi = (csi == "active" or csi == "inactive") and csi or nil;
	}), memory.bytes;
end

-- Adds the newest of the unacknowledged stanzas, as many as an event may have, in their order. `how` its account is
-- watched.
local function add_list(event, bytes, session, list, how)
	local count, first = #list, nil;
	local smqueue = session.outgoing_stanza_queue;
	local number = smqueue and smqueue:count_acked() + smqueue:count_unacked() or nil;
	local shapes = {};
	for i = count, max(1, count - STANZAS + 1), -1 do
		local one, size = tell(list[i], session.username, how, number);
		if bytes + size > EVENT_BYTES then break; end
		bytes, first = bytes + size, i;
		shapes[i] = one;
		number = number and number - 1;
	end
	if first then event.inner = concat(shapes, "", first, count); end
	event.attr.queued = int(count);
	return bytes;
end

return { memory_of = memory_of, update_state = update_state, describe = describe, add_list = add_list };
