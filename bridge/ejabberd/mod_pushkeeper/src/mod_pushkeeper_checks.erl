%% What mod_pushkeeper lets pass, from pushkeeper to a push service and from a client to pushkeeper.
-module(mod_pushkeeper_checks).

-export([is_notification/1, is_small/1, registration_size/1]).

-include("xmpp.hrl").

-define(NS_PUBSUB_NAME, <<"http://jabber.org/protocol/pubsub">>).
-define(NS_PUSH_NAME, <<"urn:xmpp:push:0">>).
-define(LEVELS, 8).
-define(ATTRIBUTES, 16).
-define(VALUE_BYTES, 4096).
-define(REGISTRATION_BYTES, 16 * 1024).
-define(RELAY_BYTES, 64 * 1024).

%% Whether it is one publish of a notification of XEP-0357, and nothing else.
-spec is_notification(xmlel()) -> boolean().
is_notification(Relay) ->
    case mod_pushkeeper_xml:children(Relay) of
        [#xmlel{name = <<"pubsub">>} = PubSub] ->
            Children = mod_pushkeeper_xml:children(PubSub),
            Ns = mod_pushkeeper_xml:ns(PubSub, <<>>),
            Ns == ?NS_PUBSUB_NAME
                andalso lists:all(fun(Child) -> mod_pushkeeper_xml:ns(Child, Ns) == Ns end, Children)
                andalso is_publish(Children);
        _ -> false
    end.

is_publish(Children) ->
    {Publishes, Others} = lists:partition(fun(#xmlel{name = Name}) -> Name == <<"publish">> end, Children),
    lists:all(fun(#xmlel{name = Name}) -> Name == <<"publish-options">> end, Others)
        andalso case Publishes of
                    [Publish] -> has_notification(mod_pushkeeper_xml:children(Publish));
                    _ -> false
                end.

has_notification([#xmlel{name = <<"item">>} = Item]) ->
    case mod_pushkeeper_xml:children(Item) of
        [#xmlel{name = <<"notification">>} = Notification] ->
            mod_pushkeeper_xml:attr(<<"xmlns">>, Notification) == ?NS_PUSH_NAME;
        _ -> false
    end;
has_notification(_) -> false.

%% Whether a relay is small enough.
-spec is_small(xmlel()) -> boolean().
is_small(Relay) -> mod_pushkeeper_xml:size(Relay) =< ?RELAY_BYTES.

%% The size of a registration in bytes; `too_large` if it passes a limit.
-spec registration_size(xmlel()) -> pos_integer() | too_large.
registration_size(Request) ->
    Bytes = mod_pushkeeper_xml:size(Request),
    case Bytes =< ?REGISTRATION_BYTES andalso is_moderate(Request, 1) of
        true -> Bytes;
        false -> too_large
    end.

%% Whether the element keeps the limits on levels, attributes and values, and can be written so that every parser
%% takes it.
is_moderate(#xmlel{attrs = Attrs, children = Children} = Element, Level) ->
    Level =< ?LEVELS
        andalso length(Attrs) =< ?ATTRIBUTES
        andalso mod_pushkeeper_xml:is_writable(Element)
        andalso lists:all(fun({_, Value}) -> byte_size(Value) =< ?VALUE_BYTES end, Attrs)
        andalso lists:sum([byte_size(Text) || {xmlcdata, Text} <- Children]) =< ?VALUE_BYTES
        andalso lists:all(fun(Child) -> is_moderate(Child, Level + 1) end, mod_pushkeeper_xml:children(Element)).
