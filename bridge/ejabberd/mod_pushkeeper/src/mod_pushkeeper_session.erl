%% A session as mod_pushkeeper sees it: what it remembers of it, in the state of the session's own process, and how it
%% describes it. Everything here runs in that process.
-module(mod_pushkeeper_session).

-export([bytes/1, copy/2, ensure/1, event/2, is_bound/1, is_hibernated/1, is_stretched/1, list/3, newest/4,
         own_window/1, remember/3, set_window/2, who/1]).

-include("xmpp.hrl").
-include("mod_pushkeeper.hrl").

-define(STANZAS, 50).
%% What is needed for the attributes of a session apart from its names.
-define(FRAME, 512).

-type state() :: map().

%% In memory: `sid`, `state` and `since` as told, `unresponsive`, `ack_timer`, `own_window`, the window that the host
%% itself gave, while it has another one, and `rooms` and `entered`, which are mod_pushkeeper_facts's.

%% Gives the session a memory if it has none, and sees whether its state is another one.
-spec ensure(state()) -> state().
ensure(#{pushkeeper := Memory} = State) ->
    case {state(State, Memory), Memory} of
        {Now, #{state := Now}} -> State;
        {Now, _} -> State#{pushkeeper => Memory#{state => Now, since => mod_pushkeeper_xml:stamp()}}
    end;
ensure(State) -> ensure(State#{pushkeeper => #{sid => p1_rand:get_alphanum_string(16)}}).

state(#{mgmt_state := pending}, _) -> <<"hibernated">>;
state(#{mgmt_state := timeout}, _) -> <<"hibernated">>;
state(#{mgmt_state := active}, #{unresponsive := true}) -> <<"unresponsive">>;
state(#{mgmt_state := active}, _) -> <<"active">>;
state(_, _) -> <<"plain">>.

%% What goes along when the session goes on in another process.
-spec copy(state(), state()) -> state().
copy(State, #{pushkeeper := Memory}) -> State#{pushkeeper => maps:without([unresponsive, ack_timer], Memory)};
copy(State, _) -> State.

-spec remember(atom(), term(), state()) -> state().
remember(Key, undefined, #{pushkeeper := Memory} = State) -> State#{pushkeeper => maps:remove(Key, Memory)};
remember(Key, Value, #{pushkeeper := Memory} = State) -> State#{pushkeeper => Memory#{Key => Value}}.

-spec is_bound(state()) -> boolean().
is_bound(#{mgmt_state := resumed}) -> false;
is_bound(#{jid := #jid{lresource = Resource}, resource := _}) -> Resource /= <<>>;
is_bound(_) -> false.

-spec is_hibernated(state()) -> boolean().
is_hibernated(State) -> maps:get(mgmt_state, State, inactive) == pending.

%% Whether it has another window than the host's own.
-spec is_stretched(state()) -> boolean().
is_stretched(#{pushkeeper := Memory}) -> maps:is_key(own_window, Memory).

-spec who(state()) -> #who{}.
who(#{jid := #jid{luser = User, lresource = Resource},
      pushkeeper := #{sid := Sid, state := Named, since := Since}}) ->
    #who{sid = Sid, pid = self(), user = User, resource = Resource, state = Named, since = Since}.

%% An event of this session; its state has been ensured.
-spec event(binary(), state()) -> xmlel().
event(Name, #{jid := #jid{luser = User, lresource = Resource},
              pushkeeper := #{sid := Sid, state := Named, since := Since}} = State) ->
    Attrs = [{<<"stamp">>, mod_pushkeeper_xml:stamp()}, {<<"sid">>, Sid}, {<<"user">>, User},
             {<<"resource">>, Resource}]
        ++ client_id(State)
        ++ [{<<"state">>, Named}, {<<"since">>, Since}]
        ++ stream_management(State)
        ++ csi(State),
    #xmlel{name = Name, attrs = Attrs}.

-spec bytes(#who{}) -> pos_integer().
bytes(#who{user = User, resource = Resource}) ->
    ?FRAME + mod_pushkeeper_xml:escaped_length(User) + mod_pushkeeper_xml:escaped_length(Resource).

client_id(#{sasl2_ua_id := Id}) when is_binary(Id), Id /= <<>> ->
    [{<<"client-id">>, mod_pushkeeper_xml:cut(Id, ?MAX_VALUE_BYTES)}];
client_id(_) -> [].

stream_management(#{mgmt_id := _, mgmt_timeout := Timeout, mgmt_queue := Queue, mgmt_stanzas_in := In,
                    mgmt_stanzas_out := Out} = State) ->
    Unacked = p1_queue:len(Queue),
    Resumable = Timeout > 0 andalso maps:get(mgmt_max_queue, State, infinity) /= exceeded,
    [{<<"timeout">>, mod_pushkeeper_xml:int(seconds(Timeout))} || Timeout > 0]
        ++ left(State)
        ++ [{<<"h-in">>, mod_pushkeeper_xml:int(In)},
            {<<"h-out">>, mod_pushkeeper_xml:int(acknowledged(Out, Unacked))},
            {<<"unacked">>, mod_pushkeeper_xml:int(Unacked)},
            {<<"resumable">>, atom_to_binary(Resumable, utf8)}];
stream_management(_) -> [].

%% The counters wrap.
acknowledged(Out, Unacked) -> (Out - Unacked) band 16#FFFFFFFF.

left(#{mgmt_state := pending, mgmt_pending_timer := Timer}) ->
    case erlang:read_timer(Timer) of
        Milliseconds when is_integer(Milliseconds) -> [{<<"left">>, mod_pushkeeper_xml:int(seconds(Milliseconds))}];
        false -> [{<<"left">>, <<"0">>}]
    end;
left(_) -> [].

seconds(Milliseconds) -> (Milliseconds + 500) div 1000.

csi(#{csi_state := Csi}) when Csi == active; Csi == inactive -> [{<<"csi">>, atom_to_binary(Csi, utf8)}];
csi(_) -> [].

%% An event with the newest of the unacknowledged stanzas, as many as it may have, in their order.
-spec list(xmlel(), telling(), state()) -> event().
list(Event, Telling, #{mgmt_queue := Queue} = State) ->
    Who = who(State),
    Count = p1_queue:len(Queue),
    Newest = lists:nthtail(max(0, Count - ?STANZAS), p1_queue:to_list(Queue)),
    {Shapes, Bytes} = fit(lists:reverse(Newest), State, Telling, [], bytes(Who)),
    #xmlel{attrs = Attrs} = Event,
    {Event#xmlel{attrs = Attrs ++ [{<<"queued">>, mod_pushkeeper_xml:int(Count)}], children = Shapes}, Bytes};
list(Event, _, State) -> {Event, bytes(who(State))}.

fit([{Number, _, Stanza} | Older], State, Telling, Shapes, Bytes) ->
    {Shape, Size} = shape(Stanza, State, Telling, Number),
    case Bytes + Size =< ?EVENT_BYTES of
        true -> fit(Older, State, Telling, [Shape | Shapes], Bytes + Size);
        false -> {Shapes, Bytes}
    end;
fit([], _, _, Shapes, Bytes) -> {Shapes, Bytes}.

%% An event with the stanza that was sent last.
-spec newest(xmlel(), stanza() | xmlel(), telling(), state()) -> event().
newest(Event, Stanza, Telling, #{mgmt_stanzas_out := Number} = State) ->
    {Shape, Size} = shape(Stanza, State, Telling, Number),
    {Event#xmlel{children = [Shape]}, bytes(who(State)) + Size}.

shape(Stanza, #{jid := #jid{luser = User, lserver = Host}}, Telling, Number) ->
    mod_pushkeeper_facts:tell(encode(Stanza), User, Host, Telling, Number).

encode(#xmlel{} = Stanza) -> Stanza;
encode(Stanza) -> xmpp:encode(Stanza, ?NS_CLIENT).

%% Gives a hibernated session this resumption window, from now; in milliseconds.
-spec set_window(pos_integer(), state()) -> state().
set_window(Window, #{mgmt_timeout := Before, pushkeeper := Memory} = State) ->
    Own = maps:get(own_window, Memory, Before),
    %% The timer is not started anew when the window is the same: so it is another one for a moment.
    Other = if Before == Window -> State#{mgmt_timeout => Window + 1}; true -> State end,
    remember(own_window, Own, mod_stream_mgmt:set_resume_timeout(Other, Window)).

%% The host's own window again: from now, or, if it does not hibernate, the next time.
-spec own_window(state()) -> state().
own_window(#{mgmt_timeout := Window, pushkeeper := #{own_window := Own}} = State) ->
    Again = if Window == Own -> State; true -> mod_stream_mgmt:set_resume_timeout(State, Own) end,
    remember(own_window, undefined, Again);
own_window(State) -> State.
