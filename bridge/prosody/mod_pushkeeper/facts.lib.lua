-- What nobody can see in a stanza itself: whether its sender is a contact of the account, and whether what a room sends
-- is the account's own message.

local jid = require "util.jid";
local load_roster = require "core.rostermanager".load_roster;
local resourceprep = require "util.encodings".stringprep.resourceprep;
local int = module:require "elements".int;
local write_shape = module:require "shape".write;

local ipairs, pairs, pcall, type, find, sub = ipairs, pairs, pcall, type, string.find, string.sub;

local NS_CARBONS = "urn:xmpp:carbons:2";
local NS_FORWARD = "urn:xmpp:forward:0";
local NS_MUC_USER = "http://jabber.org/protocol/muc#user";
-- Of one session. The one that was entered first makes room.
local ROOMS = 64;
-- What is needed for `<stanza n='…' contact='false'></stanza>`.
local FRAME = 56;

local host = module.host;
local host_object = prosody.hosts[host];

---- Rooms ------------------------------------------------------------------------------------------------------------

-- What a session's memory has: { entered: how many so far, count, by: bare JID -> room }, and a room is
-- { nick, wanted: the nick it asked for, confirmed: the room has said so, at: which of those entered it was }.

local function split(address)
	local slash = address and find(address, "/", 1, true);
	if slash then return sub(address, 1, slash - 1), sub(address, slash + 1); end
end

local function leave(rooms, address)
	if not rooms.by[address] then return; end
	rooms.by[address], rooms.count = nil, rooms.count - 1;
end

local function make_room(rooms)
	local oldest;
	for address, room in pairs(rooms.by) do
		if not oldest or room.at < rooms.by[oldest].at then oldest = address; end
	end
	leave(rooms, oldest);
end

local function enter(memory, address, nick)
	local rooms = memory.rooms;
	if not rooms then
		rooms = { entered = 0, count = 0, by = {} };
		memory.rooms = rooms;
	end
	local room = rooms.by[address];
	if room then
		-- Another nick holds from the moment that the room says so: somebody else may have it.
		room.wanted = room.nick ~= nick and nick or nil;
		return;
	end
	if rooms.count >= ROOMS then make_room(rooms); end
	rooms.entered, rooms.count = rooms.entered + 1, rooms.count + 1;
	rooms.by[address] = { nick = nick, at = rooms.entered };
end

-- A session sent a presence.
local function presence_sent(memory, stanza)
	local to, kind = stanza.attr.to, stanza.attr.type;
	local address, nick = split(to);
	if kind == "unavailable" then
		-- One to nobody goes to all rooms.
		if not to then
			memory.rooms = nil;
		elseif address and memory.rooms then
			leave(memory.rooms, address);
		end
	elseif not kind and address then
		enter(memory, address, nick);
	end
end

-- What a room says of an occupant: whether it is oneself (status 110), and the new nick (status 303).
local function of_occupant(stanza)
	local x = stanza:get_child("x", NS_MUC_USER);
	local is_self, new_nick = false, nil;
	for _, child in ipairs(x and x.tags or {}) do
		if child.name == "status" and child.attr.code == "110" then is_self = true; end
		if child.name == "status" and child.attr.code == "303" then
			local item = x:get_child("item");
			new_nick = item and item.attr.nick and resourceprep(item.attr.nick);
		end
	end
	return is_self, new_nick;
end

local function refused(rooms, address, room, nick)
	if room.wanted and (nick == room.wanted or not nick) then
		room.wanted = nil;
	elseif not room.confirmed and (nick == room.nick or not nick) then
		leave(rooms, address);
	end
end

-- A session got a presence: rooms tell the nick that one really has, and of the end.
local function presence_received(rooms, stanza)
	local from, kind = stanza.attr.from, stanza.attr.type;
	local address, nick = split(from);
	address = address or from;
	local room = address and rooms.by[address];
	if not room then return; end
	if kind == "error" then return refused(rooms, address, room, nick); end
	if not nick or kind and kind ~= "unavailable" then return; end
	local is_self, new_nick = of_occupant(stanza);
	if not kind then
		if is_self then room.nick, room.wanted, room.confirmed = nick, nil, true; end
	elseif new_nick and (is_self or nick == room.nick and new_nick == room.wanted) then
		room.nick, room.wanted, room.confirmed = new_nick, nil, true;
	elseif not new_nick and (is_self or nick == room.nick) then
		leave(rooms, address);
	end
end

-- The rooms of a session that was there before this module: to whom it sent presence. One room by two nicks is a nick
-- that was changed, and nobody knows in which direction.
local function presences_before(session, memory)
	local nicks = {};
	for to in pairs(session.directed or {}) do
		local address, nick = split(to);
		if address then nicks[address] = nicks[address] == nil and nick or false; end
	end
	for address, nick in pairs(nicks) do
		if nick then enter(memory, address, nick); end
	end
end

local function is_own(user, from)
	local address, nick = split(from);
	local account = host_object.sessions[user];
	if not address or not account then return false; end
	for _, session in pairs(account.sessions) do
		local rooms = session.pushkeeper and session.pushkeeper.rooms;
		local room = rooms and rooms.by[address];
		if room and room.nick == nick then return true; end
	end
	return false;
end

---- Contacts ---------------------------------------------------------------------------------------------------------

-- What a carbon carries. One that the account itself did not send is none.
local function carried(stanza, account)
	if stanza.attr.from ~= account then return stanza; end
	local carbon = stanza:get_child("received", NS_CARBONS) or stanza:get_child("sent", NS_CARBONS);
	local forwarded = carbon and carbon:get_child("forwarded", NS_FORWARD);
	return forwarded and forwarded:get_child("message", "jabber:client") or stanza;
end

-- "true" or "false"; nil if it does not matter, or the roster cannot be read. The roster is the one that the sessions
-- of the account have loaded; for an account without sessions Prosody itself keeps the last thousand.
local function is_contact(user, stanza)
	local account = user .. "@" .. host;
	stanza = carried(stanza, account);
	local from, kind = stanza.attr.from, stanza.attr.type;
	if kind == "groupchat" or kind == "error" then return nil; end
	local contact = from and jid.bare(from) or account;
	if contact == account then return "true"; end
	local ok, roster = pcall(load_roster, user, host);
	if not ok or type(roster) ~= "table" or roster[false] and roster[false].broken then return nil; end
	return roster[contact] and "true" or "false";
end

-- What is to be said of a stanza beside its shape, as an attribute; nil if nothing. `how`: how its account is watched, if
-- it is. Others may hear of it when a roster is read, so nothing may be half written now.
local function mark(stanza, user, how)
	if stanza.name ~= "message" then
		return nil;
	elseif stanza.attr.type == "groupchat" then
		return is_own(user, stanza.attr.from) and " own='true'" or nil;
	elseif how and how.contacts then
		local contact = is_contact(user, stanza);
		return contact and " contact='" .. contact .. "'";
	end
end

-- Writes `<stanza/>` with the shape of a stanza into the buffer behind `at`; returns where it ends there, and at most how
-- many bytes it is. `number`: the stanza's in the session.
local function tell(buffer, at, stanza, user, how, marked, number)
	if number then
		buffer[at + 1], buffer[at + 2], buffer[at + 3] = "<stanza n='", int(number), "'";
		at = at + 3;
	else
		at = at + 1;
		buffer[at] = "<stanza";
	end
	if marked then
		at = at + 1;
		buffer[at] = marked;
	end
	buffer[at + 1] = ">";
	local last, bytes = write_shape(buffer, at + 1, stanza, user .. "@" .. host, how and how.full);
	buffer[last + 1] = "</stanza>";
	return last + 1, bytes + FRAME;
end

return {
	mark = mark, tell = tell;
	presence_sent = presence_sent, presence_received = presence_received, presences_before = presences_before;
};
