-- Elements, numbers and times as mod_pushkeeper writes them.

local st = require "util.stanza";

local setmetatable, os_date, floor = setmetatable, os.date, math.floor;
local find, format, sub, byte = string.find, string.format, string.sub, string.byte;
local xml_escape, stanza_mt = st.xml_escape, st.stanza_mt;

local function int(number)
	return format("%d", floor(number));
end

local stamp_second, stamp_text;

-- XEP-0082 in milliseconds.
local function stamp(when)
	local second = floor(when);
	if second ~= stamp_second then
		stamp_second, stamp_text = second, os_date("!%Y-%m-%dT%H:%M:%S", second);
	end
	return format("%s.%03dZ", stamp_text, floor((when - second) * 1000));
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

local function escaped_length(text)
	return find(text, "['&<>\"]") and #xml_escape(text) or #text;
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

return { int = int, stamp = stamp, cut = cut, escaped_length = escaped_length, element = element, append = append };
