-- What pushkeeper may have missed: messages that were archived or went offline while it was not there to hear of them,
-- or that it had heard of so shortly before a crash that it may have forgotten them.

local jid = require "util.jid";
local clock = require "util.time".monotonic or require "util.time".now;
local elements = module:require "elements";

local ipairs, pairs, find, floor, remove = ipairs, pairs, string.find, math.floor, table.remove;

local NS_JINGLE_MESSAGE = "urn:xmpp:jingle-message:";
local ACCOUNTS, KEYS, SECONDS = 10000, 10, 30;
-- As long as an attribute of a shape: pushkeeper makes the same key of either. Strangers choose the ids.
local VALUE_BYTES = 256;

local lost = { users = {}, count = 0, overflow = false };
local recent = { first = 1, last = 0 };  -- what was answered lately: { second, users }, … in order

-- A fact is one such message: { user, the id of a call or of the message or of the archive, the sender (unless it is the
-- archive's), whether it is a call, the text of its <stanza/>, at most how many bytes that is, whether it was archived }.
-- Numbered, as there is one for every message.
local USER, ID, FROM, IS_CALL, SHAPE, SHAPE_BYTES, ARCHIVED = 1, 2, 3, 4, 5, 6, 7;

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

-- With the key that names a message for good.
local function new_fact(user, stanza, archive_id, shape, bytes, archived)
	local call = call_of(stanza);
	if call then
		return { user, call, jid.bare(cut(stanza.attr.from or "")) or "", true, shape, bytes, archived };
	elseif archive_id then
		return { user, archive_id, false, false, shape, bytes, archived };
	elseif stanza.attr.id then
		return { user, cut(stanza.attr.id), cut(stanza.attr.from or ""), false, shape, bytes, archived };
	end
	return { user, false, false, false, shape, bytes, archived };
end

local function is_same(fact, other)
	return fact[ID] and fact[ID] == other[ID] and fact[FROM] == other[FROM] and fact[IS_CALL] == other[IS_CALL];
end

-- A record is { count, shape and bytes of the newest message, facts of the newest 10, … }. Only the newest needs its
-- shape: the others would hold memory for nothing. `fresh`: it is not among them.
local function remember(record, fact, shape, bytes, fresh)
	record.shape, record.bytes = shape, bytes;
	local last = #record;
	if not fresh then
		-- Archived, then offline: the same message.
		for i = 1, last do
			if is_same(fact, record[i]) then return; end
		end
	end
	fact[SHAPE] = false;
	record.count = record.count + 1;
	if last >= KEYS then remove(record, 1); end
	record[#record + 1] = fact;
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
	local record = record_of(fact[USER]);
	if record then remember(record, fact, fact[SHAPE], fact[SHAPE_BYTES]); end
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
	local users = bucket.users;
	for i = 1, #facts do
		local fact = facts[i];
		local record = users[fact[USER]];
		if not record then
			record = { count = 0 };
			users[fact[USER]] = record;
		end
		-- What was archived has an id of its own, except a call.
		remember(record, fact, fact[SHAPE], fact[SHAPE_BYTES], fact[ARCHIVED] and not fact[IS_CALL]);
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
		keys[i] = elements.written("key", {
			id = fact[ID] or nil, from = fact[FROM] or nil, call = fact[IS_CALL] and "true" or nil,
		});
		bytes = bytes + #keys[i];
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
