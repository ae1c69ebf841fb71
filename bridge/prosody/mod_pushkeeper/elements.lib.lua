-- Elements, numbers and times as mod_pushkeeper writes them.

local st = require "util.stanza";

local pairs, setmetatable, os_date, floor = pairs, setmetatable, os.date, math.floor;
local find, format, sub, byte, concat = string.find, string.format, string.sub, string.byte, table.concat;
local xml_escape, stanza_mt = st.xml_escape, st.stanza_mt;

-- Small numbers are most of them.
local texts = {};
for number = 0, 1000 do texts[number] = format("%d", number); end

local function int(number)
	return texts[number] or format("%d", floor(number));
end

local stamp_second, second_text, stamp_milli, stamp_text;

-- XEP-0082 in milliseconds. Many events have the same.
local function stamp(when)
	local rest = when % 1;
	local second, milli = when - rest, rest * 1000 - rest * 1000 % 1;
	if second ~= stamp_second then
		stamp_second, second_text, stamp_milli = second, os_date("!%Y-%m-%dT%H:%M:%S", second), nil;
	end
	if milli ~= stamp_milli then
		stamp_milli, stamp_text = milli, format("%s.%03dZ", second_text, milli);
	end
	return stamp_text;
end

-- Cuts UTF-8 text to at most so many bytes.
local function cut(text, bytes)
	if #text <= bytes then return text; end
	local next_byte = byte(text, bytes + 1);
	while bytes > 0 and next_byte >= 0x80 and next_byte < 0xC0 do
		next_byte = byte(text, bytes);
		bytes = bytes - 1;
	end
	return sub(text, 1, bytes);
end

local function escaped(text)
	return find(text, "['&<>\"]") and xml_escape(text) or text;
end

local function escaped_length(text)
	return #escaped(text);
end

-- An element without the checks of util.stanza: for what came through the parser or is ours.
local function element(name, attr)
	return setmetatable({ name = name, attr = attr, tags = {} }, stanza_mt);
end

local function append(parent, child)
	parent[#parent + 1] = child;
	parent.tags[#parent.tags + 1] = child;
	return parent;
end

-- Remembers what `make` makes of a text, of the last thousand at most: what strangers choose must not fill memory.
local KNOWN = 1000;

local function cache(make)
	local count = 0;
	return setmetatable({}, { __index = function (known, text)
		local made, keep = make(text);
		if not keep then return made; end
		if count == KNOWN then
			for old in pairs(known) do known[old] = nil; end
			count = 0;
		end
		known[text], count = made, count + 1;
		return made;
	end });
end

-- A small element of ours as text, without anything inside.
local function written(name, attr)
	local parts = { "<" .. name };
	for key, value in pairs(attr) do parts[#parts + 1] = " " .. key .. "='" .. escaped(value) .. "'"; end
	parts[#parts + 1] = "/>";
	return concat(parts);
end

return {
	int = int, stamp = stamp, cut = cut, escaped = escaped, escaped_length = escaped_length;
	element = element, append = append, cache = cache, written = written;
};
