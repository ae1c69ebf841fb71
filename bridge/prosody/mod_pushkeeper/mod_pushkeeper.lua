-- mod_pushkeeper: tells pushkeeper, an external component, what happens to the sessions and messages of this host,
-- and obeys its few orders. The namespace is described in docs/signals.md of pushkeeper.
--
-- It reports facts and decides nothing. Every handler that only observes is guarded: whatever goes wrong in it ends
-- the link, never the host's own work. While it is not linked the host behaves as if this module were not there.
--
-- The same for Prosody 0.12 and 13. Nothing here may need a Lua later than 5.1.

local st = require "util.stanza";
local jid = require "util.jid";
local filters = require "util.filters";
local watchdog = require "util.watchdog";
local time = require "util.time";
local new_id = require "util.id".medium;
local xpcall = require "util.xpcall".xpcall;
local parse = require "util.xml".parse;
local elements = module:require "elements";
local facts = module:require "facts";
local missed = module:require "missed";
local sessions = module:require "sessions";
local checks = module:require "checks";
local queues = module:require "queue";
local relay = module:require "relay";

local next, pairs, ipairs, type, tonumber, tostring = next, pairs, ipairs, type, tonumber, tostring;
local setmetatable, traceback = setmetatable, debug.traceback;
local ceil, max, min = math.ceil, math.max, math.min;
local find, format, sub, concat = string.find, string.format, string.sub, table.concat;
local is_stanza = st.is_stanza;
local int, stamp, cut = elements.int, elements.stamp, elements.cut;
local escaped, escaped_length = elements.escaped, elements.escaped_length;
local element, append = elements.element, elements.append;
local mark, tell = facts.mark, facts.tell;
local put, take = queues.put, queues.take;
local memory_of, update_state, describe = sessions.memory_of, sessions.update_state, sessions.describe;
local write_session, write_list = sessions.write, sessions.write_list;

local VERSION = "0.1.0";
local NS = "urn:pushkeeper:host:0";
local NS_PUSH = "urn:xmpp:push:0";
local NS_CLIENT = "jabber:client";
local NS_STANZA_ID = "urn:xmpp:sid:0";
local NS_JINGLE_MESSAGE = "urn:xmpp:jingle-message:";

---- Options ----------------------------------------------------------------------------------------------------------

-- Prosody 13 also takes "10m"; 0.12 has only numbers of seconds.
local get_seconds = module.get_option_period or module.get_option_number;

local host = module.host;
local component = jid.prep(module:get_option_string("pushkeeper_component", ""));
local max_timeout = get_seconds(module, "pushkeeper_max_timeout", 259200);
-- For tests only.
local answer_within = get_seconds(module, "pushkeeper_answer_timeout", 20);
local relay_within = get_seconds(module, "pushkeeper_relay_timeout", 60);
local stretch_without_link = get_seconds(module, "pushkeeper_stretch_timeout", 600);
local pause_after_full = get_seconds(module, "pushkeeper_full_pause", 5);
-- As mod_smacks reads it.
local smacks_ack_delay = get_seconds(module, "smacks_max_ack_delay", 30);

local host_object = prosody.hosts[host];
if not host_object or host_object.type ~= "local" then
	module:log("error", "mod_pushkeeper belongs on a VirtualHost: put it into the modules_enabled of one");
	return;
elseif not component or component == "" or jid.host(component) ~= component then
	module:log("error", "pushkeeper_component must be the domain of pushkeeper's Component, such as \"push.%s\"", host);
	return;
end

-- Limits of the namespace.
local BATCH_EVENTS, BATCH_BYTES, BATCH_GAP = 64, 128 * 1024, 0.1;
local DESCRIBED_PER_BATCH, EVENT_BYTES = 16, 96 * 1024;
local BATCHES_UNANSWERED, REGISTRATIONS_UNANSWERED, REGISTRATIONS_PER_SESSION = 16, 64, 16;
local QUEUE_EVENTS, QUEUE_BYTES = 10000, 16 * 1024 * 1024;
local VALUE_BYTES = 256;
-- What is needed around the events of a batch, and around what an event says of an account: generous, so that no limit
-- is ever passed.
local BATCH_FRAME, ACCOUNT_FRAME = 512, 512;

---- State ------------------------------------------------------------------------------------------------------------

local now, clock = time.now, time.monotonic or time.now;

local epoch = new_id();
local seq = 0;                    -- the last number given
local link;                       -- what belongs to the newest sync; nil while not linked
local queue_full_at;              -- when the queue overflowed
local standing_back = false;      -- mod_cloud_notify is loaded here

local watched = {};               -- accounts of the list in force: user -> { full, contacts, named, asking }
local building, building_name;    -- the list under construction
local watched_before = {};        -- before a reload: their messages are remembered until there is a list again

local queue = queues.new();
local described = { first = 1, last = 0 };  -- sessions to describe because their account became watched
local snapshot;                   -- { at, items … } while one runs
local batch_left = 0;             -- when the last batch left
local batch_timer;

local waiting = {};               -- iq id -> request that has no answer yet
local ids, id_prefix = 0, new_id();
local sweeping = false;

local resources = {};             -- full JID -> session, of every session that was bound
local session_count = 0;
local asking = setmetatable({}, { __mode = "k" });      -- session -> how many registrations have no answer
local ack_timers = setmetatable({}, { __mode = "k" });  -- session -> timer, if ours is to fire before mod_smacks's

local pump, unlink;

---- Guards -----------------------------------------------------------------------------------------------------------

local faults = {};

-- A fault of our own: said once for each place, then the link is given up. The next sync starts afresh.
local function fault(place, err)
	module:log(faults[place] and "debug" or "error", "Fault in %s, the host is not affected: %s", place, err);
	faults[place] = true;
	local ok, again = xpcall(unlink, traceback, "a fault of mod_pushkeeper itself");
	if not ok then
		link = nil;
		module:log("error", "Fault while giving up the link: %s", again);
	end
end

-- A function that never raises an error and returns nothing: an error in a handler would break the host's own event.
local function guarded(place, f)
	return function (...)
		local ok, err = xpcall(f, traceback, ...);
		if not ok then fault(place, err); end
	end
end

local function observe(event, f, priority)
	module:hook(event, guarded(event, f), priority);
end

---- Describing what there is ------------------------------------------------------------------------------------------

-- An event of a session as text, and at most how many bytes it is. `list`: the stanzas it carries.
local function session_text(name, session, list, attribute)
	local inner, bytes;
	if list then inner, bytes = write_list(memory_of(session).bytes, session, list, watched[session.username]); end
	local buffer = {};
	local at, size = write_session(buffer, 0, name, session);
	buffer[at + 1], buffer[at + 2] = attribute or "", list and " queued='" .. int(#list) .. "'" or "";
	buffer[at + 3] = inner and ">" .. inner .. "</" .. name .. ">" or "/>";
	return concat(buffer), bytes or size;
end

-- A `session`, with what is unacknowledged where that matters.
local function describe_now(session)
	local memory, list = memory_of(session), nil;
	update_state(session, memory);
	if watched[session.username] and session.outgoing_stanza_queue
	and (memory.state == "hibernated" or memory.state == "unresponsive") then
		list = session.outgoing_stanza_queue:table();
	end
	return session_text("session", session, list, link and " token='" .. escaped(link.token) .. "'");
end

-- `rest`: attributes and what is inside.
local function of_link(name, rest)
	return "<" .. name .. " token='" .. escaped(link.token) .. "' stamp='" .. stamp(now()) .. "'" .. (rest or "/>");
end

local function describe_missed(user)
	local count, inner, bytes = missed.describe(user);
	if not (count and watched[user]) then return; end
	local rest = " user='" .. escaped(user) .. "' count='" .. int(count) .. "'>" .. inner .. "</missed>";
	return of_link("missed", rest), bytes + ACCOUNT_FRAME + escaped_length(user);
end

---- Questions to others, and their answers ---------------------------------------------------------------------------

local sweep = guarded("sweep", function ()
	local overdue, time_now = {}, clock();
	for id, request in pairs(waiting) do
		if request.deadline <= time_now then overdue[#overdue + 1] = id; end
	end
	for _, id in ipairs(overdue) do
		local request = waiting[id];
		waiting[id] = nil;
		if request then request.answered(request, nil); end
	end
end);

local function sweep_again()
	sweep();
	if next(waiting) then return 1; end
	sweeping = false;
end

-- Notes that the answer to an iq is awaited, and gives the iq its id.
local function await(to, request, seconds)
	ids = ids + 1;
	local id = id_prefix .. "-" .. int(ids);
	request.to, request.deadline = to, clock() + seconds;
	waiting[id] = request;
	if not sweeping then
		sweeping = true;
		module:add_timer(1, sweep_again);
	end
	return id;
end

-- Sends an iq of type set; `request.answered(request, stanza)` hears the answer, or nil if none came in time.
-- Own bookkeeping: module:send_iq forgets answers beyond 256 and hooks two events for each.
local function ask(to, payload, request, seconds)
	local id = await(to, request, seconds);
	request.sending = true;
	module:send(append(element("iq", { type = "set", id = id, from = host, to = to }), payload));
	request.sending = nil;
end

-- Sends the component an iq that is text: onto its stream, where there is one. Where Prosody does not show it, or it is
-- not there, what it does with a stanza is right.
local function send_text(iq)
	local component_host = prosody.hosts[component];
	local instance = component_host and component_host.modules and component_host.modules.component;
	local session = instance and instance.connected and instance.session;
	if session and session.send and not session.destroyed then
		session.send(iq);
	else
		module:send(parse(iq));
	end
end

module:hook("iq/host", function (event)
	local attr = event.stanza.attr;
	local request = attr.id and waiting[attr.id];
	if not request or request.to ~= attr.from or attr.type ~= "result" and attr.type ~= "error" then return; end
	waiting[attr.id] = nil;
	local ok, err = xpcall(request.answered, traceback, request, event.stanza);
	if not ok then fault("an answer", err); end
	return true;
end, 1);

local function condition_of(stanza)
	local kind, condition = stanza:get_error();
	return (kind or "?") .. "/" .. (condition or "?");
end

---- The queue, batches, the snapshot ---------------------------------------------------------------------------------

local function pushed()
	local count = queue.last - queue.first + 1;
	if count > QUEUE_EVENTS or queue.bytes > QUEUE_BYTES then
		queue_full_at = clock();
		return unlink("the queue is full");
	end
	-- Without a timer nothing waits yet, or what waits may go at once.
	if not batch_timer or count >= BATCH_EVENTS or queue.registrations > 0 then pump(); end
end

-- Puts what was written behind the end of the queue into it, as an event. `fact`: see missed.lib.lua.
local function push(at, bytes, fact)
	-- With a batch before it the window is closed.
	put(queue, at, bytes, fact, queue.last - queue.first + 1 >= BATCH_EVENTS);
	pushed();
end

local function push_text(text, bytes)
	queue.pieces[queue.stop + 1] = text;
	push(queue.stop + 1, bytes);
end

-- What of the snapshot, or of accounts that became watched, is next: its text, its size, and the session if it is
-- one. What is over by now is left out. A snapshot's items are sessions, users who missed something (a string),
-- "without a user" (true) and its end (false).
local function next_description()
	if snapshot then
		while true do
			local item = snapshot[snapshot.at];
			local event, bytes, session;
			if type(item) == "table" then
				if not item.destroyed and item.username and memory_of(item).described ~= link then
					session = item;
					event, bytes = describe_now(item);
				end
			elseif type(item) == "string" then
				event, bytes = describe_missed(item);
			elseif item then
				event, bytes = of_link("missed"), BATCH_FRAME;
			else
				event, bytes = of_link("synced"), BATCH_FRAME;
			end
			if event then return event, bytes, session; end
			snapshot.at = snapshot.at + 1;
		end
	end
	while described.first <= described.last do
		local session = described[described.first];
		if not session.destroyed and session.username then
			local event, bytes = describe_now(session);
			return event, bytes, session;
		end
		described[described.first] = nil;
		described.first = described.first + 1;
	end
end

local function is_describing()
	return snapshot ~= nil or described.first <= described.last;
end

local function described_next(request, session)
	if session then session.pushkeeper.described = link; end
	if snapshot then
		snapshot.at = snapshot.at + 1;
		if snapshot.at > snapshot.count then
			snapshot = nil;
			request.synced = true;
		end
	else
		session.pushkeeper.to_describe = nil;
		described[described.first] = nil;
		described.first = described.first + 1;
	end
end

local function batch_answered(request, answer)
	if request.link ~= link then return; end
	link.unanswered = link.unanswered - 1;
	link.in_flight[request] = nil;
	if not answer then
		return unlink(format("no answer within %d s", answer_within), request);
	elseif answer.attr.type == "error" then
		return unlink("an error: " .. condition_of(answer), request);
	end
	missed.answered(request.facts);
	if request.synced then missed.forget(); end
	pump();
end

local BATCH_START = "<iq type='set' from='" .. escaped(host) .. "' to='" .. escaped(component) .. "' id='";
local BATCH_EVENTS_START = "'><events xmlns='" .. NS .. "' epoch='" .. epoch .. "' seq='";
local BATCH_END = "</events></iq>";

-- Sends up to 64 events. While there is something to describe, 16 places are for that.
local function send_batch()
	local describing, first_event = is_describing(), queue.first;
	local from, to, count, bytes, facts_taken = take(queue, describing and BATCH_EVENTS - DESCRIBED_PER_BATCH or BATCH_EVENTS,
		(describing and EVENT_BYTES or BATCH_BYTES) - BATCH_FRAME);
	bytes = bytes + BATCH_FRAME;
	local request = { link = link, answered = batch_answered, facts = facts_taken };
	local texts = {};
	while describing and count < BATCH_EVENTS do
		local text, size, session = next_description();
		-- What does not fit is described anew in the next batch, as it is then.
		if not text or count > 0 and bytes + size > BATCH_BYTES then break; end
		count, bytes = count + 1, bytes + size;
		texts[#texts + 1] = text;
		described_next(request, session);
		describing = is_describing();
	end
	if count == 0 then return; end
	local first = int(seq + 1);
	seq = seq + count;
	link.unanswered = link.unanswered + 1;
	link.in_flight[request] = true;
	batch_left = clock();
	local start = BATCH_START .. await(component, request, answer_within) .. BATCH_EVENTS_START .. first .. "'>";
	local behind = texts[1] and concat(texts) .. BATCH_END or BATCH_END;
	local iq = queues.text(queue, from, to, start, behind);
	queue = queues.rewound(queue, first_event);
	send_text(iq);
end

local registration_answered;

local function send_registration()
	local first = queue.first;
	local registration, payload = queues.take_registration(queue);
	queue = queues.rewound(queue, first);
	seq = seq + 1;
	payload.attr.xmlns, payload.attr.epoch, payload.attr.seq = NS, epoch, int(seq);
	link.asked = link.asked + 1;
	registration.link, registration.answered = link, registration_answered;
	ask(component, payload, registration, answer_within);
end

local function gap_left()
	return max(0, batch_left + BATCH_GAP - clock());
end

local batch_due = guarded("the batch timer", function ()
	batch_timer = nil;
	pump(gap_left() < 0.005);
end);

-- Sends what may be sent now, and sees to it that the rest will be. `due`: what waits has waited long enough.
function pump(due)
	local describes = false;
	while link do
		local head = not queues.is_empty(queue);
		local registration = head and queue.registration[queue.first];
		if registration and link.asked < REGISTRATIONS_UNANSWERED then
			send_registration();
		elseif link.unanswered >= BATCHES_UNANSWERED then
			return;  -- the next answer pumps
		else
			local describing, events = is_describing(), head and not registration;
			local full = queue.registrations > 0 or queue.last - queue.first + 1 >= BATCH_EVENTS;
			if describing and not describes or events and (due or full) then
				-- At most one batch of descriptions a turn, so that the host gets on with its work.
				describes = describes or describing;
				send_batch();
			else
				if (describing or events) and not batch_timer then
					batch_timer = module:add_timer(describing and 0 or gap_left(), batch_due);
				end
				return;
			end
		end
	end
end

---- The link ---------------------------------------------------------------------------------------------------------

local refuse_registration;

-- Drops what is queued, numbered so that a gap shows, and what has no answer: messages become missed ones.
local function drop_all(old)
	for request in pairs(old.in_flight) do
		for _, fact in ipairs(request.facts or {}) do missed.lose(fact); end
	end
	local dropped = queue;
	queue = queues.new();
	described, snapshot = { first = 1, last = 0 }, nil;
	for i = dropped.first, dropped.last do
		seq = seq + 1;
		if dropped.facts[i] then missed.lose(dropped.facts[i]); end
		if dropped.registration[i] then refuse_registration(dropped.registration[i]); end
	end
end

local give_windows_back;

local losses = 0;

local function give_windows_back_later()
	losses = losses + 1;
	local this_loss = losses;
	module:add_timer(stretch_without_link, guarded("the windows", function ()
		if not link and losses == this_loss then give_windows_back(); end
	end));
end

-- `request` is the one that failed, if it was one: what it carried is lost too.
function unlink(reason, request)
	local old = link;
	if not old then return; end
	link = nil;
	if request then old.in_flight[request] = true; end
	drop_all(old);
	if reason then module:log("warn", "No longer linked to %s: %s", component, reason); end
	give_windows_back_later();
end

-- Whether an event of this session is to be sent now. Not linked: it takes its number and is gone.
local function may_report(session)
	if not link then
		seq = seq + 1;
		return false;
	end
	return not snapshot or memory_of(session).described == link;
end

local function report(name, session, list)
	if may_report(session) then push_text(session_text(name, session, list)); end
end

-- `rest`: further attributes, and how it ends.
local function report_account(name, user, rest)
	if not link then
		seq = seq + 1;
		return;
	end
	local text = "<" .. name .. " stamp='" .. stamp(now()) .. "' user='" .. escaped(user) .. "'" .. rest;
	push_text(text, ACCOUNT_FRAME + #text);
end

local user_texts = elements.cache(function (user) return escaped(user), true; end);
local MESSAGE_STARTS = { archived = "<archived stamp='", offline = "<offline stamp='", urgent = "<urgent stamp='" };
local MESSAGE_ENDS = { archived = "</archived>", offline = "</offline>", urgent = "</urgent>" };

-- A message that the account got. `archive_id`: where it was archived; `key`, `value`: one more attribute.
local function report_message(name, user, stanza, archive_id, key, value)
	local how = watched[user];
	local marked = mark(stanza, user, how);
	local pieces, start = queue.pieces, queue.stop;
	local last, bytes = tell(pieces, start + 7, stanza, user, how, marked);
	local fact;
	if name ~= "urgent" then
		-- What is remembered of it is a text of its own.
		local text = concat(pieces, "", start + 8, last);
		fact = missed.fact(user, stanza, archive_id, text, bytes, name == "archived");
		pieces[start + 8], last = text, start + 8;
	end
	if not link then
		seq = seq + 1;
		if fact then missed.lose(fact); end
		return;
	end
	pieces[start + 1], pieces[start + 2] = MESSAGE_STARTS[name], stamp(now());
	local user_text = user_texts[user];
	pieces[start + 3], pieces[start + 4] = "' user='", user_text;
	pieces[start + 5], pieces[start + 6], pieces[start + 7] = key or "", value or "", "'>";
	pieces[last + 1] = MESSAGE_ENDS[name];
	push(last + 1, bytes + ACCOUNT_FRAME + #user_text + (value and #value or 0), fact);
end

local function sessions_of(user)
	local object = host_object.sessions[user];
	return object and object.sessions or {};
end

---- Sessions ---------------------------------------------------------------------------------------------------------

local function hold(session, name, value)
	resources[name] = value;
	session_count = session_count + (value and 1 or -1);
	return session;
end

-- Why a session ends: said when it is closed, or it hibernated too long, or its connection went away for good.
observe("pre-session-close", function (event)
	local session, reason = event.session, event.reason;
	if not session.resource then return; end
	local condition = type(reason) == "table" and (reason.condition or reason.name) or reason;
	-- A client that closes its stream is closed for the reason `false`.
	memory_of(session).reason = not condition and "closed" or condition == "conflict" and "replaced" or "kicked";
end, 10);

local function report_end(session, reason)
	local memory = memory_of(session);
	if memory.ended then return; end
	memory.ended = true;
	if resources[session.full_jid] == session then hold(session, session.full_jid, nil); end
	if not may_report(session) then return; end
	local pieces = queue.pieces;
	local at, bytes = write_session(pieces, queue.stop, "end", session, true);
	pieces[at + 1], pieces[at + 2], pieces[at + 3] = " reason='", reason, "'/>";
	push(at + 3, bytes);
end

observe("resource-unbind", function (event)
	local session = event.session;
	local memory = memory_of(session);
	report_end(session, memory.reason or session.hibernating and "timeout" or "closed");
end, -10);

observe("resource-bind", function (event)
	local session = event.session;
	local before = resources[session.full_jid];
	if before and before ~= session then report_end(before, "replaced"); end
	local memory = memory_of(session);
	update_state(session, memory);
	hold(session, session.full_jid, session);
	if snapshot then memory.described = link; end
	if watched[session.username] then report("bind", session); end
end, -10);

local overdue_filter;

-- mod_smacks says once that an acknowledgement is overdue, and nothing of what is sent after that: so we listen.
local function set_unresponsive(session, unresponsive)
	memory_of(session).unresponsive = unresponsive or nil;
	if unresponsive then
		-- Below mod_smacks (-999), so that the stanza is counted when we see it.
		filters.add_filter(session, "stanzas/out", overdue_filter, -1000);
	elseif session.filters then
		filters.remove_filter(session, "stanzas/out", overdue_filter);
	end
end

local function report_queued(session, stanza)
	if not may_report(session) then return; end
	local user = session.username;
	local how = watched[user];
	local marked = mark(stanza, user, how);
	local smqueue, pieces = session.outgoing_stanza_queue, queue.pieces;
	local number = smqueue and smqueue:count_acked() + smqueue:count_unacked() or nil;
	local at, bytes = write_session(pieces, queue.stop, "queued", session);
	pieces[at + 1] = ">";
	local last, size = tell(pieces, at + 1, stanza, user, how, marked, number);
	pieces[last + 1] = "</queued>";
	push(last + 1, bytes + size);
end

local overdue_stanza = guarded("an unresponsive session", function (stanza, session)
	if is_stanza(stanza) and (not stanza.attr.xmlns or stanza.attr.xmlns == NS_CLIENT) and not find(stanza.name, ":", 1, true)
	and not session.resending_unacked and not session.hibernating then
		report_queued(session, stanza);
	end
end);

function overdue_filter(stanza, session)
	if watched[session.username] then overdue_stanza(stanza, session); end
	return stanza;
end

local function acknowledgement_is_overdue(session, list)
	if memory_of(session).unresponsive then return; end
	set_unresponsive(session, true);
	if watched[session.username] then report("ack-delayed", session, list); end
end

observe("smacks-ack-delayed", function (event)
	-- mod_smacks fires it for streams between servers too.
	if event.origin.username then acknowledgement_is_overdue(event.origin, event.queue); end
end, -10);

-- If pushkeeper wants to know sooner than mod_smacks says it: an `<r/>` is on its way when the stream is written.
local watch_acknowledgement = guarded("the wait for an acknowledgement", function (session)
	if not (session.username and watched[session.username]) or memory_of(session).unresponsive then return; end
	ack_timers[session] = module:add_timer(link.ack_delay, guarded("the acknowledgement timer", function ()
		ack_timers[session] = nil;
		if session.awaiting_ack and not session.hibernating and not session.destroyed and session.outgoing_stanza_queue then
			acknowledgement_is_overdue(session, session.outgoing_stanza_queue:table());
		end
	end));
end);

module:hook("c2s-pre-ondrain", function (event)
	if not link or not link.ack_delay then return; end
	local session = event.session;
	if session.awaiting_ack and not ack_timers[session] then watch_acknowledgement(session); end
end, -10);

local acknowledged = guarded("an acknowledgement", function (session, stanza)
	if ack_timers[session] then
		ack_timers[session]:stop();
		ack_timers[session] = nil;
	end
	if not (session.username and memory_of(session).unresponsive) then return; end
	set_unresponsive(session, false);
	if not watched[session.username] or not may_report(session) then return; end
	-- mod_smacks handles it after us, and then nobody hears of it.
	local smqueue, h = session.outgoing_stanza_queue, tonumber(stanza.attr.h);
	local acked, unacked;
	if smqueue and h then
		local head = smqueue:count_acked() + smqueue:count_unacked();
		if h >= smqueue:count_acked() and h <= head then acked, unacked = h, head - h; end
	end
	local at, bytes = write_session(queue.pieces, queue.stop, "ack", session, false, acked, unacked);
	queue.pieces[at + 1] = "/>";
	push(at + 1, bytes);
end);

for _, version in ipairs { "2", "3" } do
	module:hook("stanza/urn:xmpp:sm:" .. version .. ":a", function (event)
		local session = event.origin;
		if ack_timers[session] or session.pushkeeper and session.pushkeeper.unresponsive then
			acknowledged(session, event.stanza);
		end
	end, 10);
end

-- After everybody who might set the window.
observe("smacks-hibernation-start", function (event)
	local session = event.origin;
	local memory = memory_of(session);
	if memory.unresponsive then set_unresponsive(session, false); end
	memory.own_window = nil;
	memory.deadline = session.hibernating_watchdog and now() + session.hibernating_watchdog.timeout or nil;
	update_state(session, memory);
	report("hibernate", session, watched[session.username] and event.queue or nil);
end, -10);

local queued_while_away = guarded("smacks-hibernation-stanza-queued", function (event)
	report_queued(event.origin, event.stanza);
end);

module:hook("smacks-hibernation-stanza-queued", function (event)
	if watched[event.origin.username] then queued_while_away(event); end
end, -10);

observe("smacks-hibernation-end", function (event)
	local session = event.resumed;
	local memory = memory_of(session);
	-- The session has the filters of the new connection: ours went with the old ones.
	if memory.unresponsive then set_unresponsive(session, false); end
	memory.own_window, memory.deadline = nil, nil;
	update_state(session, memory);
	report("resume", session);
end, -10);

---- Messages ---------------------------------------------------------------------------------------------------------

-- Whether an address is this account, bare or full.
local function is_account(address, user)
	local bare = user .. "@" .. host;
	return address == bare or sub(address, 1, #bare + 1) == bare .. "/";
end

local archived = guarded("archive-message-added", function (event)
	local stanza, user = event.stanza, event.for_user;
	if stanza.attr.type == "error" then return; end
	-- The sender's copy is archived too. The whole address counts: there are other servers with an alice.
	local to = stanza.attr.to;
	if to and not is_account(to, user) or not to and event.origin.username ~= user then return; end
	local id = tostring(event.id);
	report_message("archived", user, stanza, id, "' archive-id='", escaped(cut(id, VALUE_BYTES)));
end);

module:hook("archive-message-added", function (event)
	local user = event.for_user;
	if user and (watched[user] or not link and watched_before[user]) then archived(event); end
end, -10);

local went_offline = guarded("message/offline/handle", function (stanza, user)
	if stanza.attr.type == "error" then return; end
	local account, id = user .. "@" .. host, nil;
	for _, child in ipairs(stanza.tags) do
		if child.name == "stanza-id" and child.attr.xmlns == NS_STANZA_ID and child.attr.by == account then id = child.attr.id; end
	end
	report_message("offline", user, stanza, id);
end);

local function on_offline(event)
	local stanza = event.stanza;
	local user = event.username or stanza.attr.to and jid.node(stanza.attr.to) or event.origin.username;
	if user and (watched[user] or not link and watched_before[user]) then went_offline(stanza, user); end
end

module:hook("message/offline/handle", on_offline, 2);
module:hook("message/bare/groupchat", on_offline, 2);

local function is_call(stanza)
	local tags = stanza.tags;
	for i = 1, #tags do
		local ns = tags[i].attr.xmlns;
		if ns and find(ns, NS_JINGLE_MESSAGE, 1, true) == 1 then return stanza.attr.type ~= "error"; end
	end
	return false;
end

-- A call that the account got: archived ones were reported as such, mod_mam has marked them by now.
local call_received = guarded("a call", function (event)
	local stanza, to = event.stanza, event.stanza.attr.to;
	local user = to and jid.node(to) or event.origin.username;
	if not user or not watched[user] then return; end
	local account = user .. "@" .. host;
	for _, child in ipairs(stanza.tags) do
		if child.name == "stanza-id" and child.attr.xmlns == NS_STANZA_ID and child.attr.by == account then return; end
	end
	report_message("urgent", user, stanza);
end);

local call_sent = guarded("a call of our own", function (event)
	report_message("urgent", event.origin.username, event.stanza, nil, "' sent='", "true");
end);

-- After mod_mam (0), before mod_carbons (-0.5) and delivery (-1).
for _, kind in ipairs { "bare", "full" } do
	module:hook("message/" .. kind, function (event)
		if next(watched) and is_call(event.stanza) then call_received(event); end
	end, -0.25);
end
for _, kind in ipairs { "bare", "full", "host" } do
	module:hook("pre-message/" .. kind, function (event)
		local user = event.origin.username;
		if user and watched[user] and is_call(event.stanza) then call_sent(event); end
	end, -0.25);
end

---- Rooms ------------------------------------------------------------------------------------------------------------

-- Of every account: one that is not watched now may be when it is in a room.
local function presence_sent(event)
	local session = event.origin;
	if session.resource then facts.presence_sent(memory_of(session), event.stanza); end
end

-- Before mod_presence (0), which may handle them.
observe("pre-presence/full", presence_sent, 10);
observe("pre-presence/bare", presence_sent, 10);

local presence_received = guarded("presence/full", facts.presence_received);

module:hook("presence/full", function (event)
	local session = prosody.full_sessions[event.stanza.attr.to];
	local memory = session and session.pushkeeper;
	if memory and memory.rooms then presence_received(memory.rooms, event.stanza); end
end, 10);

---- Other modules, and the end of an account -------------------------------------------------------------------------

-- mod_cloud_notify's own event: other modules ask it for a wake, with the services (identifier -> { jid, node }) or
-- without, which means all.
observe("cloud-notify-ping", function (event)
	local user = event.user or event.username;
	if standing_back or not user or not watched[user] then return; end
	if not event.push_services then return report_account("ping", user, "/>"); end
	for _, service in pairs(event.push_services) do
		report_account("ping", user, (service.jid and " service='" .. escaped(cut(service.jid, VALUE_BYTES)) .. "'" or "")
			.. (service.node and " node='" .. escaped(cut(service.node, VALUE_BYTES)) .. "'" or "") .. "/>");
	end
end);

module:hook_global("user-deleted", guarded("user-deleted", function (event)
	if event.host == host and watched[event.username] then report_account("user-deleted", event.username, "/>"); end
end), -10);

---- Orders -----------------------------------------------------------------------------------------------------------

-- There is no link, or there can be none; which bridge says so.
local function unlinked(stanza, text)
	local refusal = st.error_reply(stanza, "cancel", "unexpected-request", text);
	return refusal:tag("unlinked", { xmlns = NS, bridge = VERSION }):up();
end

-- Hooks an order of pushkeeper. `f(event, child)` answers; nobody else is obeyed.
local function obey(name, f)
	module:hook("iq-set/host/" .. NS .. ":" .. name, function (event)
		local origin, stanza = event.origin, event.stanza;
		if stanza.attr.from ~= component then
			origin.send(st.error_reply(stanza, "auth", "forbidden"));
		elseif standing_back then
			origin.send(unlinked(stanza, "mod_cloud_notify is loaded on this host"));
		else
			local ok, err = xpcall(f, traceback, event, stanza.tags[1]);
			if not ok then
				fault("the order " .. name, err);
				origin.send(st.error_reply(stanza, "wait", "internal-server-error"));
			end
		end
		return true;
	end);
end

local function state()
	return st.stanza("state", {
		xmlns = NS, token = link.token, software = "Prosody", version = tostring(prosody.version or "unknown"), bridge = VERSION,
		["max-timeout"] = int(max_timeout), facts = "contacts own",
	}):tag("node", { epoch = epoch, seq = int(seq), sessions = int(session_count) }):reset();
end

-- Sessions first, then what was missed, then the end: see next_description.
local function new_snapshot()
	local items, count = { at = 1 }, 0;
	for _, user in pairs(host_object.sessions) do
		for _, session in pairs(user.sessions) do
			count = count + 1;
			items[count] = session;
		end
	end
	for user in pairs(missed.users()) do
		count = count + 1;
		items[count] = user;
	end
	if missed.overflowed() then
		count = count + 1;
		items[count] = true;
	end
	items[count + 1], items.count = false, count + 1;
	return items;
end

-- The component's stream ends: no need to wait for the first bounce. Not relied upon.
local watched_component;
local component_gone = guarded("component-disconnected", function () unlink("its stream ended"); end);

obey("sync", function (event, sync)
	local origin, stanza = event.origin, event.stanza;
	local token = sync.attr.token;
	if not token or token == "" or #token > VALUE_BYTES then
		return origin.send(st.error_reply(stanza, "modify", "bad-request", "A sync needs a token"));
	elseif queue_full_at and clock() - queue_full_at < pause_after_full then
		return origin.send(st.error_reply(stanza, "wait", "resource-constraint", "The queue was full"));
	end
	local first = not link;
	if link then
		local old = link;
		link = nil;
		drop_all(old);
	end
	missed.lose_recent();
	local features = {};
	for feature in sync:childtags("feature", NS) do features[#features + 1] = feature.attr.var; end
	local ack_delay = tonumber(sync.attr["ack-delay"]);
	link = {
		token = token, features = features, in_flight = {}, unanswered = 0, asked = 0,
		-- Only if it is sooner than mod_smacks's; an ack delay that is switched off stays off.
		ack_delay = ack_delay and ack_delay >= 0 and ack_delay < smacks_ack_delay and ack_delay or nil,
	};
	local component_host = prosody.hosts[component];
	if component_host and component_host.events and component_host.events ~= watched_component then
		watched_component = component_host.events;
		module:hook_object_event(watched_component, "component-disconnected", component_gone);
	end
	snapshot = new_snapshot();
	origin.send(st.reply(stanza):add_child(state()));
	if first then module:log("info", "Linked to %s", component); end
	pump();
end);

obey("check", function (event)
	if link then
		event.origin.send(st.reply(event.stanza):add_child(state()));
	else
		event.origin.send(unlinked(event.stanza, "Not linked"));
	end
end);

-- The sessions of an account that became watched are described anew, now with their stanzas.
local function became_watched(user)
	if not link then return; end
	for _, session in pairs(sessions_of(user)) do
		local memory = memory_of(session);
		-- The snapshot will come to those that it has not described.
		if memory.to_describe ~= link and not (snapshot and memory.described ~= link) then
			memory.to_describe = link;
			described.last = described.last + 1;
			described[described.last] = session;
		end
	end
end

local function name_account(list, account)
	local user = account.attr.user;
	if not user then return; end
	local entry = list[user];
	local is_new = not entry;
	if not entry then
		entry = { asking = 0 };
		list[user] = entry;
	end
	entry.named, entry.full, entry.contacts = true, account.attr.content == "full", account.attr.contacts == "true";
	return is_new and user;
end

obey("watch", function (event, watch)
	local name = watch.attr.list;
	if name and name ~= building_name then
		building, building_name = {}, name;
		-- Those whose <enable/> is on its way are ours to keep until its answer.
		for user, entry in pairs(watched) do
			if entry.asking > 0 then building[user] = { asking = entry.asking }; end
		end
	end
	for account in watch:childtags("account", NS) do
		if name then
			name_account(building, account);
		else
			if building then name_account(building, account); end
			local user = name_account(watched, account);
			if user then became_watched(user); end
		end
	end
	if name and (watch.attr.complete == "true" or watch.attr.complete == "1") then
		local before = watched;
		watched, building, building_name, watched_before = building, nil, nil, {};
		for user in pairs(watched) do
			if not before[user] then became_watched(user); end
		end
	end
	event.origin.send(st.reply(event.stanza));
	pump();
end);

local function unname_account(list, user)
	local entry = user and list and list[user];
	if not entry then return; end
	entry.named = nil;
	if entry.asking == 0 then list[user] = nil; end
end

obey("unwatch", function (event, unwatch)
	for account in unwatch:childtags("account", NS) do
		unname_account(watched, account.attr.user);
		unname_account(building, account.attr.user);
	end
	event.origin.send(st.reply(event.stanza));
end);

---- The window of a hibernated session -------------------------------------------------------------------------------

local function set_window(session, seconds)
	local memory, dog = memory_of(session), session.hibernating_watchdog;
	memory.own_window = memory.own_window or dog.timeout;
	dog:cancel();
	-- The original callback, never a wrapper: since 0.12.4 it does nothing unless it is given the session's watchdog.
	session.hibernating_watchdog = watchdog.new(seconds, dog.callback);
	memory.deadline = now() + seconds;
end

function give_windows_back()
	for _, user in pairs(host_object.sessions) do
		for _, session in pairs(user.sessions) do
			local memory, dog = session.pushkeeper, session.hibernating_watchdog;
			if memory and dog and session.hibernating and memory.own_window and dog.timeout > memory.own_window then
				set_window(session, memory.own_window);
			end
		end
	end
end

-- Ends a hibernated session as its timeout would.
local function end_hibernation(session)
	local dog = session.hibernating_watchdog;
	dog:cancel();
	dog.callback(dog);
end

obey("timeout", function (event, timeout)
	local origin, stanza, attr = event.origin, event.stanza, timeout.attr;
	local seconds = tonumber(attr.seconds);
	if not link then
		return origin.send(unlinked(stanza, "Not linked"));
	elseif not seconds or seconds < 0 or not (attr.user and attr.resource) then
		return origin.send(st.error_reply(stanza, "modify", "bad-request"));
	end
	local session = sessions_of(attr.user)[attr.resource];
	if not session or not session.pushkeeper or session.pushkeeper.sid ~= attr.sid then
		return origin.send(st.error_reply(stanza, "cancel", "item-not-found"));
	end
	update_state(session, session.pushkeeper);
	if not session.hibernating or not session.hibernating_watchdog or session.pushkeeper.since ~= attr.since then
		return origin.send(st.error_reply(stanza, "cancel", "unexpected-request", "Not hibernated since then"));
	end
	-- Only 0 ends a session, so what is less than a second is one.
	seconds = ceil(min(seconds, max_timeout));
	local answer = st.reply(stanza);
	if seconds > 0 then
		set_window(session, seconds);
		answer:add_child((describe("session", session)));
	else
		local last = describe("session", session);
		last.attr.timeout, last.attr.left = "0", "0";
		answer:add_child(last);
		end_hibernation(session);
	end
	answer.tags[1].attr.xmlns = NS;
	origin.send(answer);
end);

---- Publishing for pushkeeper ----------------------------------------------------------------------------------------

obey("relay", function (event, order)
	if not link then
		return event.origin.send(unlinked(event.stanza, "Not linked"));
	end
	local failure;
	relay.publish(event, order, function (to, payload, request)
		local ok, err = xpcall(ask, traceback, to, payload, request, relay_within);
		if ok then return true; end
		failure = err;
		for id, other in pairs(waiting) do
			if other == request then
				waiting[id] = nil;
				return false;
			end
		end
		return true;
	end);
	if failure then fault("a relay", failure); end
end);

---- Registrations ----------------------------------------------------------------------------------------------------

-- An account whose <enable/> is on its way is watched; an answer says whether it stays so.
local function start_asking(user)
	for _, list in pairs { watched, building } do
		local entry = list[user];
		if not entry then
			entry = { asking = 0 };
			list[user] = entry;
			if list == watched then became_watched(user); end
		end
		entry.asking = entry.asking + 1;
	end
end

local function stop_asking(user, accepted)
	for _, list in pairs { watched, building } do
		local entry = list[user];
		if not entry and accepted then
			entry = { asking = 0 };
			list[user] = entry;
		end
		if entry then
			entry.asking = max(0, entry.asking - 1);
			entry.named = entry.named or accepted;
			if entry.asking == 0 and not entry.named then list[user] = nil; end
		end
	end
end

local function finish_registration(registration, accepted, reply)
	local session = registration.session;
	asking[session] = max(0, (asking[session] or 1) - 1);
	if registration.enables then stop_asking(registration.user, accepted); end
	if not session.destroyed then session.send(reply); end
end

local function unavailable(stanza)
	return st.error_reply(stanza, "wait", "service-unavailable", "Push notifications are not available at the moment");
end

function refuse_registration(registration)
	finish_registration(registration, false, unavailable(registration.stanza));
end

function registration_answered(registration, answer)
	local same_link = registration.link == link;
	if same_link then link.asked = link.asked - 1; end
	local err = answer and answer.attr.type == "error" and answer:get_child("error");
	if answer and answer.attr.type == "result" then
		finish_registration(registration, true, st.reply(registration.stanza));
	elseif err and err:get_child("refused", NS) then
		local reply = st.reply(registration.stanza);
		reply.attr.type = "error";
		err = st.clone(err);
		err:remove_children("refused", NS);
		finish_registration(registration, false, reply:add_child(err));
	else
		refuse_registration(registration);
		if same_link then unlink(answer and "an error: " .. condition_of(answer) or format("no answer within %d s", answer_within)); end
	end
	pump();
end

local function register(session, stanza)
	local request = stanza.tags[1];
	if not link then return session.send(unavailable(stanza)); end
	local bytes = checks.registration_size(request);
	if not bytes then
		return session.send(st.error_reply(stanza, "modify", "policy-violation", "This registration is too large"));
	elseif (asking[session] or 0) >= REGISTRATIONS_PER_SESSION then
		return session.send(st.error_reply(stanza, "wait", "resource-constraint", "Too many registrations at once"));
	end
	local registration = {
		session = session, stanza = st.clone(stanza, true), user = session.username, enables = request.name == "enable",
	};
	asking[session] = (asking[session] or 0) + 1;
	local memory = memory_of(session);
	if snapshot and memory.described ~= link then
		-- Its events come after its description.
		memory.described = link;
		push_text(describe_now(session));
		if not link then return refuse_registration(registration); end
	end
	if registration.enables then start_asking(registration.user); end
	local event, size = describe("registration", session);
	queues.put_registration(queue, registration, append(event, st.clone(request)), size + bytes);
	pushed();
end

for _, name in ipairs { "enable", "disable" } do
	-- mod_push lets bob register on alice's address; nobody but the owner may.
	module:hook("iq-set/bare/" .. NS_PUSH .. ":" .. name, function (event)
		local stanza = event.stanza;
		if standing_back or not stanza.attr.to or event.to_self then return; end
		event.origin.send(st.error_reply(stanza, "auth", "forbidden"));
		return true;
	end, 10);

	module:hook("iq-set/self/" .. NS_PUSH .. ":" .. name, function (event)
		if standing_back then return; end
		local session, stanza = event.origin, event.stanza;
		local ok, err = xpcall(register, traceback, session, stanza);
		if not ok then
			fault("a registration", err);
			session.send(st.error_reply(stanza, "wait", "internal-server-error"));
		end
		return true;
	end, 10);
end

module:hook("account-disco-info", function (event)
	if not link then return; end
	for _, feature in ipairs(link.features) do
		(event.reply or event.stanza):tag("feature", { var = feature }):up();
	end
end);

---- mod_cloud_notify, loading and unloading --------------------------------------------------------------------------

-- Whether pushkeeper is connected, as far as Prosody tells.
local function is_component_there()
	local component_host = prosody.hosts[component];
	local instance = component_host and component_host.modules and component_host.modules.component;
	return component_host ~= nil and not (instance and instance.connected == false);
end

-- Tells pushkeeper, if it is there, that it may send a sync.
local function say_hello()
	if not prosody.hosts[component] then
		return module:log("warn", "There is no Component %q in the configuration of this Prosody", component);
	elseif link or standing_back or not is_component_there() then
		return;  -- it knows, or it speaks first when it comes
	end
	seq = seq + 1;
	local hello = element("hello", { xmlns = NS, epoch = epoch, seq = int(seq), stamp = stamp(now()) });
	ask(component, hello, { answered = function () end }, answer_within);
end

-- A pushkeeper that does not know of this host never asks for a link, and neither log would show why nothing happens.
-- `was_there`: it was connected the last time, too, and did not only just come.
local function wait_for_link(was_there)
	module:add_timer(answer_within, guarded("waiting for a link", function ()
		if link then return; end
		local is_there = not standing_back and is_component_there();
		if is_there and was_there then
			return module:log("warn", "%s is connected, but has not linked to %s: its configuration needs [[hosts]] with "
				.. "domain = %q", component, host, host);
		end
		wait_for_link(is_there);
	end));
end

local function see_smacks()
	if host_object.modules.smacks then return; end
	module:log("warn", "mod_smacks is not loaded on %s: no session outlives its connection, so what is sent to a phone "
		.. "that lost it without a word wakes nobody; add \"smacks\" to modules_enabled", host);
end

local function see_cloud_notify()
	local loaded = host_object.modules.cloud_notify ~= nil;
	if loaded == standing_back then return; end
	standing_back = loaded;
	if loaded then
		module:log("error", "mod_cloud_notify is loaded on %s: both would act on the same registrations and timeouts. "
			.. "mod_pushkeeper does nothing until it is unloaded; remove \"cloud_notify\" from modules_enabled", host);
		unlink("mod_cloud_notify was loaded");
		give_windows_back();
	else
		module:log("info", "mod_cloud_notify is gone, mod_pushkeeper works again");
		say_hello();
	end
end

observe("module-loaded", see_cloud_notify);
observe("module-unloaded", see_cloud_notify);

-- The sessions that are there already; some have met an earlier instance of this module.
local function meet_sessions()
	for _, user in pairs(host_object.sessions) do
		for _, session in pairs(user.sessions) do
			local memory = memory_of(session);
			if not memory.rooms then facts.presences_before(session, memory); end
			if memory.unresponsive then set_unresponsive(session, session.awaiting_ack and not session.hibernating); end
			update_state(session, memory);
			hold(session, session.full_jid, session);
		end
	end
end

guarded("loading", function ()
	meet_sessions();
	see_cloud_notify();
	give_windows_back_later();
	module:add_timer(0.1, guarded("hello", say_hello));
	module:add_timer(0.1, guarded("what is missing", see_smacks));  -- by then all modules are loaded
	wait_for_link(false);
end)();

-- A reload keeps what was missed, and whose messages count as missed until pushkeeper says whom to watch.
function module.save()
	if link then drop_all(link); end
	link = nil;
	missed.lose_recent();
	for user in pairs(watched) do watched_before[user] = true; end
	return { missed = missed.save(), watched = watched_before };
end

function module.restore(saved)
	if saved.missed then missed.restore(saved.missed); end
	watched_before = saved.watched or watched_before;
end

function module.unload()
	guarded("unloading", function ()
		unlink();
		for _, user in pairs(host_object.sessions) do
			for _, session in pairs(user.sessions) do
				local memory = session.pushkeeper;
				if memory and memory.unresponsive and session.filters then
					filters.remove_filter(session, "stanzas/out", overdue_filter);
				end
				-- Nobody hears meanwhile which rooms it enters and leaves.
				if memory and not module.reloading then memory.rooms = nil; end
			end
		end
		for _, request in pairs(waiting) do
			if request.session then refuse_registration(request); end
		end
		if not module.reloading then give_windows_back(); end
	end)();
end
