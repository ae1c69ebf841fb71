-- What waits to be told by mod_pushkeeper: events as pieces of text, and registrations, in their order.
--
-- The pieces are put together when their batch leaves. An event as a text of its own would be copied once more and have
-- to be collected, and Prosody collects all the time: what is allocated costs more than what is computed.

local concat, min = table.concat, math.min;

-- Without anything to wait for, what is left behind in a queue is overwritten; in a larger one it is let go of.
local KEPT_EVENTS, KEPT_PIECES = 128, 16384;

-- The pieces of event `i` end at `ends[i]`, those of the first one begin behind `start`; there is room for one piece
-- before them. A registration has none: it is in `registration[i]`, and its element beside it.
local function new()
	return {
		first = 1, last = 0, bytes = 0, registrations = 0, pieces = {}, start = 1, stop = 1;
		ends = {}, sizes = {}, facts = {}, registration = {}, elements = {};
	};
end

-- Puts in, as an event, the pieces that were written behind the last one, up to `at`. `fact`: see missed.lib.lua;
-- `compact`: it may wait for long.
local function put(queue, at, bytes, fact, compact)
	if compact then
		local pieces, first = queue.pieces, queue.stop + 1;
		pieces[first] = concat(pieces, "", first, at);
		for i = first + 1, at do pieces[i] = nil; end
		at = first;
	end
	local last = queue.last + 1;
	queue.last, queue.stop, queue.bytes = last, at, queue.bytes + bytes;
	queue.ends[last], queue.sizes[last], queue.facts[last] = at, bytes, fact or false;
end

local function put_registration(queue, registration, element, bytes)
	put(queue, queue.stop, bytes);
	queue.registration[queue.last], queue.elements[queue.last] = registration, element;
	queue.registrations = queue.registrations + 1;
end

local function forget(queue, first, last)
	for i = first, last do queue.ends[i], queue.sizes[i], queue.facts[i] = nil, nil, nil; end
end

-- The registration that is first, and its element.
local function take_registration(queue)
	local first = queue.first;
	local registration, element = queue.registration[first], queue.elements[first];
	queue.bytes, queue.registrations = queue.bytes - queue.sizes[first], queue.registrations - 1;
	queue.registration[first], queue.elements[first] = nil, nil;
	forget(queue, first, first);
	queue.first = first + 1;
	return registration, element;
end

-- Takes what waits, but for registrations and what is behind them, up to so many events and bytes: the first and the
-- last of the pieces, how many events they are, at most how many bytes, and their facts.
local function take(queue, places, room)
	local first, taken = queue.first, queue.first - 1;
	local bytes, facts_taken, count = 0, nil, 0;
	local sizes, facts_of, registration = queue.sizes, queue.facts, queue.registration;
	for i = first, min(queue.last, first + places - 1) do
		local size = sizes[i];
		if registration[i] or i > first and bytes + size > room then break; end
		taken, bytes = i, bytes + size;
		local fact = facts_of[i];
		if fact then
			facts_taken = facts_taken or {};
			count = count + 1;
			facts_taken[count] = fact;
		end
	end
	local from, to = queue.start + 1, taken < first and queue.start or queue.ends[taken];
	queue.first, queue.start, queue.bytes = taken + 1, to, queue.bytes - bytes;
	return from, to, taken - first + 1, bytes, facts_taken;
end

local function is_empty(queue)
	return queue.first > queue.last;
end

-- The text of pieces that were taken, between two others.
local function text(queue, from, to, before, behind)
	local pieces = queue.pieces;
	if is_empty(queue) then
		pieces[from - 1], pieces[to + 1] = before, behind;
		return concat(pieces, "", from - 1, to + 1);
	end
	local taken = before .. concat(pieces, "", from, to) .. behind;
	for i = from, to do pieces[i] = nil; end
	return taken;
end

-- The queue to go on with when something was taken: an empty one begins where it did first.
local function rewound(queue, first_taken)
	if not is_empty(queue) then
		forget(queue, first_taken, queue.first - 1);
		return queue;
	elseif queue.last > KEPT_EVENTS or queue.stop > KEPT_PIECES then
		return new();
	end
	queue.first, queue.last, queue.start, queue.stop = 1, 0, 1, 1;
	return queue;
end

return {
	new = new, put = put, put_registration = put_registration, take = take, take_registration = take_registration;
	is_empty = is_empty, text = text, rewound = rewound;
};
