-- The shape of a stanza: what of it may leave the host. Who and what kind, never a text, a reason or a URL; and never
-- more of it than the limits of docs/signals.md allow, whatever a stranger sends.

local elements = module:require "elements";

local next, pairs, ipairs, type, tostring = next, pairs, ipairs, type, tostring;
local floor, max, find = math.floor, math.max, string.find;
local cache, cut, escaped, escaped_length = elements.cache, elements.cut, elements.escaped, elements.escaped_length;
local element, append = elements.element, elements.append;

local NS_CLIENT = "jabber:client";
local NS_STANZA_ID = "urn:xmpp:sid:0";
local NS_HINTS = "urn:xmpp:hints";
local NS_NICK = "http://jabber.org/protocol/nick";
local NS_REFERENCE = "urn:xmpp:reference:0";
local NS_JINGLE_MESSAGE = "urn:xmpp:jingle-message:";

local LEVELS, CHILDREN, ELEMENTS, BYTES, VALUE_BYTES = 8, 32, 128, 4096, 256;
-- What is needed for ` xmlns='jabber:client'`.
local NAMESPACE_BYTES = 22;

local function set(...)
	local result = {};
	for _, key in ipairs { ... } do result[key] = true; end
	return result;
end

local STANZAS = set("message", "presence", "iq");
local KEPT_OF_STANZA = set("xmlns", "from", "to", "type", "id");
local KEPT = set("xmlns", "id", "by", "jid", "from", "to", "node", "type", "code", "status", "stamp", "media", "rid");
local KEPT_OF_REFERENCE = set("xmlns", "id", "by", "jid", "from", "to", "node", "type", "code", "status", "stamp",
	"media", "rid", "uri", "begin", "end");

-- How elements and attributes are written. Names and most values come again and again, if only because a message is
-- archived and queued: they are looked up as a whole.
local opened = cache(function (name) return "<" .. name, true; end);
local closed = cache(function (name) return "</" .. name .. ">", true; end);
local hidden = cache(function (name) return "<" .. name .. ">*</" .. name .. ">", true; end);

local function written_as(kept)
	local result = {};
	for key in pairs(kept) do
		result[key] = cache(function (value)
			local short = #value <= VALUE_BYTES;
			value = escaped(short and value or cut(value, VALUE_BYTES));
			return " " .. key .. "='" .. value .. "'", short;
		end);
	end
	return result;
end

local WRITTEN_OF_STANZA, WRITTEN, WRITTEN_OF_REFERENCE =
	written_as(KEPT_OF_STANZA), written_as(KEPT), written_as(KEPT_OF_REFERENCE);

-- XML reserves these for itself, and no element of it can be written so that every parser takes it; but clients send
-- some, and Prosody passes them on.
local RESERVED = set("http://www.w3.org/XML/1998/namespace", "http://www.w3.org/2000/xmlns/");

-- Those attributes that may leave the host, and how many bytes they take.
local function kept_attributes(source, ns, limit)
	local keep = KEPT;
	if ns == NS_CLIENT and STANZAS[source.name] then
		keep = KEPT_OF_STANZA;
	elseif ns == NS_REFERENCE then
		keep = KEPT_OF_REFERENCE;
	end
	local attr, bytes = {}, 0;
	for key, value in pairs(source.attr) do
		if keep[key] then
			if #value > limit then value = cut(value, limit); end
			attr[key] = value;
			bytes = bytes + #key + 4 + escaped_length(value);
		end
	end
	return attr, bytes;
end

-- Whether the text itself may leave the host, for an account that is watched with content='full'.
local function is_content(name, ns)
	return name == "body" and ns == NS_CLIENT or name == "nick" and ns == NS_NICK;
end

-- The text of an element: nil if blank.
local function text_of(source)
	local text = source[1];
	if #source == 1 and type(text) == "string" then return find(text, "%S") and text or nil; end
	text = nil;
	for i = 1, #source do
		local child = source[i];
		if type(child) == "string" then text = text and text .. child or child; end
	end
	return text and find(text, "%S") and text or nil;
end

-- What is left of the limits.
local left_elements, left_bytes;

-- Writes the shape of an element that keeps all limits, in document order; nil as soon as one is passed. This is what
-- almost every stanza goes through, so it is written out.
local function write_whole(buffer, at, source, outer, level, full)
	local name, tags, source_attr = source.name, source.tags, source.attr;
	local count, ns = #tags, source_attr.xmlns or outer;
	left_elements = left_elements - 1;
	if left_elements < 0 or level > LEVELS or count > CHILDREN then return nil; end
	local text = #source > count and text_of(source);
	if text then text = full and is_content(name, ns) and escaped(text) or "*"; end
	if text == "*" and count == 0 and level > 1 and next(source_attr) == nil then
		-- Such as a body.
		local whole = hidden[name];
		left_bytes = left_bytes - #whole;
		if left_bytes < 0 then return nil; end
		buffer[at + 1] = whole;
		return at + 1;
	end
	local as = WRITTEN;
	if ns == NS_CLIENT and STANZAS[name] then
		as = WRITTEN_OF_STANZA;
	elseif ns == NS_REFERENCE then
		as = WRITTEN_OF_REFERENCE;
	end
	at = at + 1;
	buffer[at] = opened[name];
	local bytes = 2 * #name + 5;
	if level == 1 then
		at = at + 1;
		buffer[at] = " xmlns='" .. NS_CLIENT .. "'";
	end
	for key, value in next, source_attr do
		local values = as[key];
		if values and (value ~= outer or key ~= "xmlns") then
			at = at + 1;
			value = values[value];
			buffer[at] = value;
			bytes = bytes + #value;
		end
	end
	if text then bytes = bytes + #text; end
	left_bytes = left_bytes - bytes;
	if left_bytes < 0 then return nil; end
	if text then
		buffer[at + 1], buffer[at + 2] = ">", text;
		at = at + 2;
	end
	local inside = at;
	for i = 1, count do
		local child = tags[i];
		if not RESERVED[child.attr.xmlns] then
			if at == inside and not text then
				at = at + 1;
				buffer[at] = ">";
			end
			at = write_whole(buffer, at, child, ns, level + 1, full);
			if not at then return nil; end
		end
	end
	at = at + 1;
	buffer[at] = (text or at > inside + 1) and closed[name] or "/>";
	return at;
end

-- Children of a stanza that come before all others when something must go.
local function comes_first(child, ns, account)
	local child_ns = child.attr.xmlns or ns;
	return child.name == "stanza-id" and child_ns == NS_STANZA_ID and child.attr.by == account
		or child.name == "body" and child_ns == NS_CLIENT
		or child_ns == NS_HINTS
		or find(child_ns, NS_JINGLE_MESSAGE, 1, true) == 1
		or child.name == "encrypted";
end

-- The shape of a stanza that passes a limit: breadth-first, what matters first.
local function cut_shape(stanza, account, full)
	local left, bytes = ELEMENTS, BYTES - NAMESPACE_BYTES;
	local line, done = {}, {};

	local function set_text(shape, text, limit)
		text = cut(text, max(limit, 1));
		while #text > 1 and escaped_length(text) > limit do text = cut(text, floor(#text / 2)); end
		bytes = bytes - escaped_length(text) + 1;
		shape[1] = text;
	end

	-- Takes an element, without its children, if there is room.
	local function take(source, ns, parent, level)
		if done[source] or RESERVED[source.attr.xmlns] or left == 0 or parent and #parent.tags >= CHILDREN then return; end
		ns = source.attr.xmlns or ns;
		local attr, size = kept_attributes(source, ns, VALUE_BYTES);
		if not parent and size > BYTES / 2 then attr, size = kept_attributes(source, ns, 80); end
		size = size + 2 * #source.name + 6;
		if size > bytes then return; end
		left, bytes = left - 1, bytes - size;
		done[source] = true;
		local shape = element(source.name, attr);
		local text = text_of(source);
		if text then shape[1] = "*"; end
		if parent then append(parent, shape); end
		local taken = { source = source, shape = shape, ns = ns, level = level, text = text };
		line[#line + 1] = taken;
		return taken;
	end

	local function content(taken, reserve)
		if full and taken and taken.text and is_content(taken.source.name, taken.ns) then
			set_text(taken.shape, taken.text, bytes - reserve);
		end
	end

	local root = take(stanza, NS_CLIENT, nil, 1);
	for i = 1, #stanza.tags do
		local child = stanza.tags[i];
		if comes_first(child, root.ns, account) then
			local taken = take(child, root.ns, root.shape, 2);
			local payload = taken and child.name == "encrypted" and child:child_with_name("payload");
			if payload then take(payload, taken.ns, taken.shape, 3); end
		end
	end
	for i = 2, #line do content(line[i], BYTES / 8); end
	local at = 1;
	while line[at] do
		local parent = line[at];
		if parent.level < LEVELS then
			for i = 1, #parent.source.tags do
				local child = parent.source.tags[i];
				if not done[child] then content(take(child, parent.ns, parent.shape, parent.level + 1), 0); end
			end
		end
		at = at + 1;
	end
	return root.shape, BYTES - bytes;
end

-- Writes the shape of a stanza into the buffer behind `at`; returns where it ends there, and at most how many bytes it
-- is. `account` is the bare JID of whose it is; `full` keeps the text of its body.
local function write(buffer, at, stanza, account, full)
	left_elements, left_bytes = ELEMENTS, BYTES - NAMESPACE_BYTES;
	local last = write_whole(buffer, at, stanza, NS_CLIENT, 1, full);
	if last then return last, BYTES - left_bytes; end
	local result, bytes = cut_shape(stanza, account, full);
	result.attr.xmlns = NS_CLIENT;
	buffer[at + 1] = tostring(result);
	return at + 1, bytes;
end

return { write = write };
