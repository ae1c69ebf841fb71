-- Elements, numbers and times as mod_pushkeeper writes them. What is in a batch is written once, as text: trees of
-- util.stanza for it would take as long again.

local st = require "util.stanza";

local next, setmetatable, os_date, floor = next, setmetatable, os.date, math.floor;
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
	local second = floor(when);
	local milli = floor((when - second) * 1000);
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

-- How an attribute begins, by its name.
local begins = setmetatable({}, { __index = function (known, key)
	known[key] = " " .. key .. "='";
	return known[key];
end });

-- Attributes that have numbers, times and our own words.
local PLAIN = {
	stamp = true, sid = true, state = true, since = true, timeout = true, left = true, ["h-in"] = true, ["h-out"] = true,
	unacked = true, queued = true, resumable = true, csi = true, reason = true, epoch = true, seq = true, count = true,
};

-- The same for everything that is written: each of its own would have to be collected. What is left in it is little.
local buffer = { "<" };

local function write_start(name, attr)
	local at = 2;
	buffer[2] = name;
	for key, value in next, attr do
		buffer[at + 1], buffer[at + 2], buffer[at + 3] = begins[key], PLAIN[key] and value or escaped(value), "'";
		at = at + 3;
	end
	return at;
end

-- The start of an element of ours as text.
local function started(name, attr)
	local at = write_start(name, attr) + 1;
	buffer[at] = ">";
	return concat(buffer, "", 1, at);
end

-- An element of ours as text. What is inside is text already: `inner`.
local function written(source)
	local at = write_start(source.name, source.attr);
	if source.inner then
		buffer[at + 1], buffer[at + 2], buffer[at + 3], buffer[at + 4], buffer[at + 5] = ">", source.inner, "</", source.name, ">";
		at = at + 5;
	else
		at = at + 1;
		buffer[at] = "/>";
	end
	return concat(buffer, "", 1, at);
end

return {
	int = int, stamp = stamp, cut = cut, escaped = escaped, escaped_length = escaped_length;
	element = element, append = append, begins = begins, started = started, written = written;
};
