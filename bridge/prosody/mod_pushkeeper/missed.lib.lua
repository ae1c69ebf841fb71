-- What pushkeeper may have missed: messages that were archived or went offline while it was not there to hear of them,
-- or that it had heard of so shortly before a crash that it may have forgotten them.

local jid = require "util.jid";
local clock = require "util.time".monotonic or require "util.time".now;
local elements = module:require "elements";

local ipairs, pairs, find, floor = ipairs, pairs, string.find, math.floor;

local NS_JINGLE_MESSAGE = "urn:xmpp:jingle-message:";
local ACCOUNTS, KEYS, SECONDS = 10000, 10, 30;
-- As long as an attribute of a shape: pushkeeper makes the same key of either. Strangers choose the ids.
local VALUE_BYTES = 256;

local lost = { users = {}, count = 0, overflow = false };
local recent = { first = 1, last = 0 };  -- what was answered lately: { second, users }, … in order

-- A fact is one such message: { user, key, attr of its <key/>, shape: its <stanza/>, bytes: of that }.

local function cut(text)
	return elements.cut(text, VALUE_BYTES);
end

local function call_of(stanza)
	for _, child in ipairs(stanza.tags) do
		if child.name == "propose" and child.attr.xmlns and find(child.attr.xmlns, NS_JINGLE_MESSAGE, 1, true) == 1 then
			return child.attr.id and cut(child.attr.id);
		end
	end
end

-- The key that names a message for good, as text and as attributes.
local function key_of(stanza, archive_id)
	local from = cut(stanza.attr.from or "");
	local call = call_of(stanza);
	if call then
		from = jid.bare(from) or "";
		return "call\0" .. from .. "\0" .. call, { call = "true", from = from, id = call };
	elseif archive_id then
		return "archive\0" .. archive_id, { id = archive_id };
	elseif stanza.attr.id then
		local id = cut(stanza.attr.id);
		return from .. "\0" .. id, { from = from, id = id };
	end
end

local function new_fact(user, stanza, archive_id, shape, bytes)
	local key, attr = key_of(stanza, archive_id);
	return { user = user, key = key, attr = attr or {}, shape = shape, bytes = bytes };
end

-- A record is { count, shape and bytes of the newest message, facts of the newest 10, … }. Only the newest needs its
-- shape: the others would hold memory for nothing.
local function remember(record, fact, shape, bytes)
	record.shape, record.bytes = shape, bytes;
	for _, other in ipairs(record) do
		-- Archived, then offline: the same message.
		if fact.key and other.key == fact.key then return; end
	end
	record.count = record.count + 1;
	record[#record + 1] = { key = fact.key, attr = fact.attr };
	if #record > KEYS then table.remove(record, 1); end
end

local function record_of(user)
	local record = lost.users[user];
	if record then return record; end
	if lost.count >= ACCOUNTS then
		lost.overflow = true;
		return;
	end
	record = { count = 0 };
	lost.users[user], lost.count = record, lost.count + 1;
	return record;
end

local function lose(fact)
	local record = record_of(fact.user);
	if record then remember(record, fact, fact.shape, fact.bytes); end
end

-- What was answered may have been forgotten in a crash: it is kept for a while.
local function remember_answered(facts)
	local second = floor(clock());
	while recent.first <= recent.last and recent[recent.first].second < second - SECONDS do
		recent[recent.first] = nil;
		recent.first = recent.first + 1;
	end
	if not facts then return; end
	local bucket = recent[recent.last];
	if not bucket or bucket.second ~= second then
		bucket = { second = second, users = {} };
		recent.last = recent.last + 1;
		recent[recent.last] = bucket;
	end
	for _, fact in ipairs(facts) do
		local record = bucket.users[fact.user];
		if not record then
			record = { count = 0 };
			bucket.users[fact.user] = record;
		end
		remember(record, fact, fact.shape, fact.bytes);
	end
end

local function lose_recent()
	for i = recent.first, recent.last do
		for user, record in pairs(recent[i].users) do
			local merged = record_of(user);
			if merged then
				for _, fact in ipairs(record) do remember(merged, fact, record.shape, record.bytes); end
				merged.count = merged.count + record.count - #record;
			end
		end
	end
	recent = { first = 1, last = 0 };
end

-- What is inside a user's `<missed/>`: how many it was, the text, and at most how many bytes it is.
local function describe(user)
	local record = lost.users[user];
	if not record then return; end
	local keys, bytes = {}, 0;
	for i, fact in ipairs(record) do
		keys[i] = elements.written({ name = "key", attr = fact.attr });
		bytes = bytes + 50 + (fact.attr.from and elements.escaped_length(fact.attr.from) or 0)
			+ (fact.attr.id and elements.escaped_length(fact.attr.id) or 0);
	end
	return record.count, table.concat(keys) .. record.shape, bytes + record.bytes;
end

return {
	fact = new_fact, lose = lose, lose_recent = lose_recent, answered = remember_answered, describe = describe;
	users = function () return lost.users; end;
	overflowed = function () return lost.overflow; end;
	forget = function () lost = { users = {}, count = 0, overflow = false }; end;
	save = function () return lost; end;
	restore = function (saved) lost = saved; end;
};
