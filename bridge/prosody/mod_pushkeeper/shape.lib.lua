-- The shape of a stanza: what of it may leave the host. Who and what kind, never a text, a reason or a URL; and never
-- more of it than the limits of docs/signals.md allow, whatever a stranger sends.

local elements = module:require "elements";

local next, pairs, ipairs, type, tostring = next, pairs, ipairs, type, tostring;
local floor, max, find, concat = math.floor, math.max, string.find, table.concat;
local cut, escaped, escaped_length = elements.cut, elements.escaped, elements.escaped_length;
local begins = elements.begins;
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

-- What is left of the limits, and what is written; the same buffer for every stanza: each of its own would have to be
-- collected.
local left_elements, left_bytes, last;
local buffer = {};

-- Writes the shape of an element that keeps all limits, in document order; false as soon as one is passed. This is what
-- almost every stanza goes through, so it is written out.
local function write_whole(source, outer, level, full)
	local name, tags, source_attr = source.name, source.tags, source.attr;
	local count, ns = #tags, source_attr.xmlns or outer;
	local keep = KEPT;
	if ns == NS_CLIENT and STANZAS[name] then
		keep = KEPT_OF_STANZA;
	elseif ns == NS_REFERENCE then
		keep = KEPT_OF_REFERENCE;
	end
	local at, bytes = last + 2, 2 * #name + 5;
	buffer[last + 1], buffer[at] = "<", name;
	if level == 1 then
		at = at + 1;
		buffer[at] = " xmlns='" .. NS_CLIENT .. "'";
	end
	for key, value in next, source_attr do
		if keep[key] and (key ~= "xmlns" or value ~= outer) then
			if #value > VALUE_BYTES then value = cut(value, VALUE_BYTES); end
			value = escaped(value);
			buffer[at + 1], buffer[at + 2], buffer[at + 3] = begins[key], value, "'";
			at = at + 3;
			bytes = bytes + #key + 4 + #value;
		end
	end
	left_elements, left_bytes = left_elements - 1, left_bytes - bytes;
	if left_elements < 0 or left_bytes < 0 or level > LEVELS or count > CHILDREN then return false; end
	at = at + 1;
	buffer[at], last = ">", at;
	if #source > count then
		local text = text_of(source);
		if text then
			text = full and is_content(name, ns) and escaped(text) or "*";
			left_bytes = left_bytes - #text;
			if left_bytes < 0 then return false; end
			last = at + 1;
			buffer[last] = text;
		end
	end
	for i = 1, count do
		if not RESERVED[tags[i].attr.xmlns] and not write_whole(tags[i], ns, level + 1, full) then return false; end
	end
	if last == at then
		buffer[at] = "/>";
	else
		buffer[last + 1], buffer[last + 2], buffer[last + 3] = "</", name, ">";
		last = last + 3;
	end
	return true;
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

-- The shape of a stanza as text, and at most how many bytes it is. `account` is the bare JID of whose it is; `full`
-- keeps the text of its body.
local function shape(stanza, account, full)
	left_elements, left_bytes, last = ELEMENTS, BYTES - NAMESPACE_BYTES, 0;
	if write_whole(stanza, NS_CLIENT, 1, full) then
		return concat(buffer, "", 1, last), BYTES - left_bytes;
	end
	local result, bytes = cut_shape(stanza, account, full);
	result.attr.xmlns = NS_CLIENT;
	return tostring(result), bytes;
end

return { shape = shape };
