-- What mod_pushkeeper lets pass, from pushkeeper to a push service and from a client to pushkeeper.

local ipairs, pairs, type, tostring = ipairs, pairs, type, tostring;

local NS_PUSH = "urn:xmpp:push:0";
local NS_PUBSUB = "http://jabber.org/protocol/pubsub";
local LEVELS, BYTES, VALUE_BYTES = 8, 16 * 1024, 4096;
local ATTRIBUTES = 16;
local RELAY_BYTES = 64 * 1024;
local RESERVED = { ["http://www.w3.org/XML/1998/namespace"] = true, ["http://www.w3.org/2000/xmlns/"] = true };

-- Whether it is one publish of a notification of XEP-0357, and nothing else.
local function is_notification(relay)
	local pubsub = relay.tags[1];
	if #relay.tags ~= 1 or pubsub.name ~= "pubsub" or pubsub.attr.xmlns ~= NS_PUBSUB then return false; end
	local publish;
	for _, child in ipairs(pubsub.tags) do
		if child.attr.xmlns ~= NS_PUBSUB then return false; end
		if child.name == "publish" and not publish then
			publish = child;
		elseif child.name ~= "publish-options" then
			return false;
		end
	end
	local item = publish and publish.tags[1];
	if not item or #publish.tags ~= 1 or item.name ~= "item" then return false; end
	local notification = item.tags[1];
	return #item.tags == 1 and notification.name == "notification" and notification.attr.xmlns == NS_PUSH;
end

-- Whether the element keeps the limits on levels, attributes and values, and can be written so that every parser takes
-- it: XML reserves two namespaces for itself.
local function is_moderate(source, level)
	local attributes = 0;
	for _, value in pairs(source.attr) do
		attributes = attributes + 1;
		if #value > VALUE_BYTES then return false; end
	end
	if level > LEVELS or attributes > ATTRIBUTES or RESERVED[source.attr.xmlns] then return false; end
	local text = 0;
	for i = 1, #source do
		local child = source[i];
		if type(child) == "string" then
			text = text + #child;
		elseif not is_moderate(child, level + 1) then
			return false;
		end
	end
	return text <= VALUE_BYTES;
end

-- The size of a registration in bytes; nil if it passes a limit.
local function registration_size(request)
	local bytes = is_moderate(request, 1) and #tostring(request);
	return bytes and bytes <= BYTES and bytes or nil;
end

-- Whether a relay is small enough.
local function is_small(relay)
	return #tostring(relay) <= RELAY_BYTES;
end

return { is_notification = is_notification, is_small = is_small, registration_size = registration_size };
