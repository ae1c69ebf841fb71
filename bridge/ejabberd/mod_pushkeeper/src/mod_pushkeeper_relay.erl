%% Publishes for pushkeeper with the host as sender: to push services that want to hear from the host itself.
-module(mod_pushkeeper_relay).

-export([answered/4, new/0, publish/4]).
-export_type([relays/0]).

-include("xmpp.hrl").
-include("mod_pushkeeper.hrl").

-define(RELAYS, 128).
-define(RELAYS_PER_SERVICE, 8).
-define(RELAY_ERROR_BYTES, 8 * 1024).

%% How many are under way, and to whom.
-record(relays, {count = 0 :: non_neg_integer(), to = #{} :: #{ljid() => pos_integer()}}).

-opaque relays() :: #relays{}.

-spec new() -> relays().
new() -> #relays{}.

%% Publishes what an order says, or answers it. The answer to the publish goes to the process of this name.
-spec publish(xmlel(), iq(), {binary(), atom(), pos_integer()}, relays()) -> relays().
publish(Order, Iq, {Host, Name, Within}, #relays{count = Count, to = To} = Relays) ->
    Service = service(mod_pushkeeper_xml:attr(<<"to">>, Order), Host),
    Underway = maps:get(Service, To, 0),
    Checks = [{fun() -> Service /= none end, modify, 'jid-malformed', <<"No service to publish to">>},
              {fun() -> mod_pushkeeper_checks:is_notification(Order) end, modify, 'bad-request',
               <<"Only the publish of a notification is relayed">>},
              {fun() -> mod_pushkeeper_checks:is_small(Order) end, modify, 'policy-violation', <<"Too large">>},
              {fun() -> Count < ?RELAYS andalso Underway < ?RELAYS_PER_SERVICE end, wait, 'resource-constraint',
               <<"Too many are under way">>}],
    case lists:dropwhile(fun({Holds, _, _, _}) -> Holds() end, Checks) of
        [{_, Type, Condition, Text} | _] ->
            Error = xmpp:encode(mod_pushkeeper_iq:failure(Type, Condition, Text), ?NS_CLIENT),
            answer(Iq, <<"host">>, [Error]),
            Relays;
        [] ->
            [PubSub] = mod_pushkeeper_xml:children(Order),
            send(Service, PubSub, Iq, {Host, Name, Within}),
            #relays{count = Count + 1, to = To#{Service => Underway + 1}}
    end.

service(undefined, _) -> none;
service(<<>>, _) -> none;
service(Text, Host) ->
    try jid:tolower(jid:decode(Text)) of
        {_, Domain, _} = Jid ->
            %% The host and its accounts are none, however the domain is spelt: a push to one of them makes another.
            case string:trim(Domain, trailing, ".") of
                Host -> none;
                _ -> Jid
            end
    catch _:_ -> none
    end.

send({_, Domain, _} = To, PubSub, Iq, {Host, Name, Within}) ->
    Publish = #iq{type = set, from = jid:make(Host), to = jid:make(To), sub_els = [PubSub]},
    %% Whether somebody can answer: a component that is away is looked for on other servers, where nobody may be asked.
    Direct = ejabberd_router:is_my_route(Domain) orelse ejabberd_s2s:allow_host(Host, Domain),
    ejabberd_router:route_iq(Publish, {relay, Iq, To, Direct}, Name, Within).

%% The answer to a publish came, or none in time.
-spec answered(iq() | timeout, {relay, iq(), ljid(), boolean()}, binary(), relays()) -> relays().
answered(Answer, {relay, Iq, To, Direct}, Host, #relays{count = Count, to = Underway}) ->
    case Answer of
        timeout -> answer(Iq, <<"none">>, []);
        #iq{type = result} -> answer(Iq, <<"service">>, []);
        #iq{type = error} = Error -> refused(Error, Iq, Direct, Host)
    end,
    Left = case Underway of
               #{To := Before} when Before > 1 -> Underway#{To := Before - 1};
               _ -> maps:remove(To, Underway)
           end,
    #relays{count = Count - 1, to = Left}.

%% The host makes an error up when it cannot reach the service; that says nothing about the service.
refused(Answer, Iq, Direct, Host) ->
    Error = case mod_pushkeeper_iq:error_element(Answer) of
                none -> #xmlel{name = <<"error">>, attrs = [{<<"type">>, <<"cancel">>}]};
                It -> It
            end,
    {Type, Condition} = mod_pushkeeper_iq:condition(Error),
    OfHost = not Direct
        orelse mod_pushkeeper_xml:attr(<<"by">>, Error) == Host
        orelse lists:member(Condition, [<<"remote-server-not-found">>, <<"remote-server-timeout">>]),
    Small = case mod_pushkeeper_xml:size(Error) =< ?RELAY_ERROR_BYTES of
                true -> Error;
                false ->
                    Named = #xmlel{name = Condition, attrs = [{<<"xmlns">>, ?NS_STANZAS}]},
                    #xmlel{name = <<"error">>, attrs = [{<<"type">>, Type}], children = [Named]}
            end,
    answer(Iq, case OfHost of true -> <<"host">>; false -> <<"service">> end, [Small]).

answer(Iq, Origin, Children) ->
    Attrs = [{<<"xmlns">>, ?NS_PUSHKEEPER}, {<<"origin">>, Origin}],
    mod_pushkeeper_iq:answer(Iq, #xmlel{name = <<"relayed">>, attrs = Attrs, children = Children}).
