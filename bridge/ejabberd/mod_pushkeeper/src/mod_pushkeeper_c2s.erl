%% What runs in the process of a session: it sees what is sent to the session and what comes from it, describes it, and
%% does what our own process asks of it.
-module(mod_pushkeeper_c2s).

-export([came_from/2, cast/2, copied/2, hibernated/1, opened/1, presence_received/2, resumed/1, sent_to/3,
         terminated/2]).

-import(mod_pushkeeper, [observe/4]).
-import(mod_pushkeeper_server, [say/2]).

-include("xmpp.hrl").
-include("mod_pushkeeper.hrl").

-define(IS_UNRESPONSIVE(State), is_map_key(unresponsive, map_get(pushkeeper, State))).

%%% Hooks --------------------------------------------------------------------------------------------------------------

opened(#{lserver := Host} = State0) ->
    observe(Host, opened, State0,
            fun() ->
                    State = mod_pushkeeper_session:ensure(State0),
                    Who = mod_pushkeeper_session:who(State),
                    Event = case {watched(State), mod_pushkeeper_server:is_linked(Host)} of
                                {none, _} -> none;
                                {_, false} -> unlinked;
                                {_, true} -> {mod_pushkeeper_session:event(<<"bind">>, State),
                                              mod_pushkeeper_session:bytes(Who)}
                            end,
                    say(Host, {bound, Who, Event}),
                    State
            end).

hibernated(#{lserver := Host} = State0) ->
    observe(Host, hibernated, State0,
            fun() ->
                    Known = mod_pushkeeper_session:ensure(State0),
                    Calm = set(unresponsive, undefined, set(ack_timer, undefined, set(own_window, undefined, Known))),
                    State = mod_pushkeeper_session:ensure(Calm),
                    tell(<<"hibernate">>, State, fun(Event) -> with_list(Event, State) end),
                    State
            end).

%% This is another process than the one that hibernated.
copied(#{lserver := Host} = State, Old) ->
    observe(Host, copied, State, fun() -> mod_pushkeeper_session:copy(State, Old) end).

resumed(#{lserver := Host} = State0) ->
    observe(Host, resumed, State0,
            fun() ->
                    State = mod_pushkeeper_session:own_window(mod_pushkeeper_session:ensure(State0)),
                    tell(<<"resume">>, State, fun plain/1),
                    State
            end).

%% The process of a session that goes on in another one ends without a word.
terminated(#{mgmt_state := resumed} = State, _) -> State;
terminated(#{lserver := Host, pushkeeper := _} = State, _) ->
    observe(Host, terminated, State,
            fun() ->
                    mod_pushkeeper_facts:ended(State),
                    Who = mod_pushkeeper_session:who(State),
                    Event = case mod_pushkeeper_server:is_linked(Host) of
                                true ->
                                    #xmlel{attrs = Attrs} = End = mod_pushkeeper_session:event(<<"end">>, State),
                                    {End#xmlel{attrs = Attrs ++ [{<<"reason">>, reason(State)}]},
                                     mod_pushkeeper_session:bytes(Who)};
                                false -> unlinked
                            end,
                    say(Host, {ended, Who, Event}),
                    State
            end);
terminated(State, _) -> State.

reason(#{mgmt_state := timeout}) -> <<"timeout">>;
reason(#{replaced := true}) -> <<"replaced">>;
reason(#{stop_reason := {stream, {out, _}}}) -> <<"kicked">>;
reason(_) -> <<"closed">>.

%% Something was sent to a session, or kept for it.
sent_to(#{mgmt_state := active, pushkeeper := Memory} = State, #sm_r{}, _) ->
    case Memory of
        #{ack_timer := _} -> State;
        #{unresponsive := true} -> State;
        #{} -> watch_acknowledgement(State)
    end;
sent_to(#{mgmt_state := Stream} = State, Stanza, _)
  when Stream == pending; Stream == active, ?IS_UNRESPONSIVE(State) ->
    mod_pushkeeper_messages:received(Stanza, State),
    queued(Stanza, State);
sent_to(State, Stanza, _) ->
    mod_pushkeeper_messages:received(Stanza, State),
    State.

queued(Stanza, #{lserver := Host} = State0) ->
    case is_new(Stanza) andalso watched(State0) of
        #telling{} = Telling -> observe(Host, sent_to, State0, fun() -> queued(Stanza, Telling, State0) end);
        _ -> State0
    end.

is_new(Stanza) -> xmpp:is_stanza(Stanza) andalso not is_resent(Stanza).

is_resent(#xmlel{}) -> false;
is_resent(Stanza) -> xmpp:get_meta(Stanza, mgmt_is_resent, false).

queued(Stanza, Telling, State0) ->
    State = mod_pushkeeper_session:ensure(State0),
    tell(<<"queued">>, State, fun(Event) -> mod_pushkeeper_session:newest(Event, Stanza, Telling, State) end),
    State.

%% ejabberd says nothing of an acknowledgement that is overdue until it closes the connection: so we have a timer. It is
%% not stopped by an acknowledgement, which comes for almost every stanza; when it ends it sees how long ejabberd's own
%% timer has been running.
watch_acknowledgement(#{lserver := Host} = State0) ->
    observe(Host, watch_acknowledgement, State0,
            fun() ->
                    State = mod_pushkeeper_session:ensure(State0),
                    case mod_pushkeeper_server:ack_delay(Host) of
                        off -> State;
                        Delay -> wait_for_acknowledgement(Delay, State)
                    end
            end).

%% A cast to oneself: a hook for messages would run for every stanza.
wait_for_acknowledgement(Delay, State) ->
    Ref = make_ref(),
    Timer = erlang:send_after(Delay, self(), {'$gen_cast', {mod_pushkeeper, {overdue, Ref}}}),
    set(ack_timer, {Ref, Timer}, State).

look_for_acknowledgement(#{lserver := Host} = State0) ->
    #{pushkeeper := #{ack_timer := {_, Before}}} = State0,
    _ = erlang:cancel_timer(Before, [{async, true}, {info, false}]),
    State = set(ack_timer, undefined, State0),
    case {State, mod_pushkeeper_server:ack_delay(Host)} of
        {_, off} -> State;
        {#{mgmt_state := active, mgmt_ack_timer := Timer, mgmt_ack_timeout := Whole}, Delay} when is_integer(Whole) ->
            case erlang:read_timer(Timer) of
                Left when is_integer(Left), Whole - Left < Delay ->
                    wait_for_acknowledgement(Delay - (Whole - Left), State);
                _ -> overdue(State)
            end;
        %% Without a timer of its own ejabberd asks after every stanza, and ours was stopped by the answer.
        {#{mgmt_state := active, mgmt_ack_timeout := infinity}, _} -> overdue(State);
        _ -> State
    end.

overdue(State0) ->
    State = mod_pushkeeper_session:ensure(set(unresponsive, true, set(ack_timer, undefined, State0))),
    watched(State) /= none andalso tell(<<"ack-delayed">>, State, fun(Event) -> with_list(Event, State) end),
    State.

%% A session sent something: a call, a presence to a room (of every account: one that is not watched now may be when it
%% is in a room), or an acknowledgement.
came_from(State, #message{} = Message) ->
    mod_pushkeeper_messages:sent(Message, State),
    State;
came_from(#{lserver := Host, pushkeeper := _} = State, #presence{} = Presence) ->
    observe(Host, came_from, State, fun() -> mod_pushkeeper_facts:presence_sent(Presence, State) end);
came_from(#{lserver := Host} = State, #sm_a{h = H}) when ?IS_UNRESPONSIVE(State) ->
    observe(Host, came_from, State, fun() -> responsive(H, State) end);
came_from(#{mgmt_ack_timeout := infinity, pushkeeper := #{ack_timer := {_, Timer}}} = State, #sm_a{}) ->
    erlang:cancel_timer(Timer),
    set(ack_timer, undefined, State);
came_from(State, _) -> State.

%% mod_stream_mgmt handles it after us, and then nobody hears of it.
responsive(H, #{mgmt_stanzas_out := Out} = State0) ->
    State = mod_pushkeeper_session:ensure(set(unresponsive, undefined, State0)),
    Counted = fun({#xmlel{attrs = Attrs} = Event, Bytes}) when H =< Out ->
                      Acked = lists:keystore(<<"h-out">>, 1, Attrs, {<<"h-out">>, mod_pushkeeper_xml:int(H)}),
                      Unacked = {<<"unacked">>, mod_pushkeeper_xml:int(Out - H)},
                      {Event#xmlel{attrs = lists:keystore(<<"unacked">>, 1, Acked, Unacked)}, Bytes};
                 (Event) -> Event
              end,
    watched(State) /= none andalso tell(<<"ack">>, State, fun(Event) -> Counted(plain(Event, State)) end),
    State.

set(Key, Value, State) -> mod_pushkeeper_session:remember(Key, Value, State).

watched(#{lserver := Host, jid := #jid{luser = User}}) -> mod_pushkeeper_server:watched(Host, User).

%% Tells of a session. `Complete` makes the event whole.
tell(Name, #{lserver := Host} = State, Complete) ->
    Event = case mod_pushkeeper_server:is_linked(Host) of
                true ->
                    Bare = mod_pushkeeper_session:event(Name, State),
                    case Complete(Bare) of
                        #xmlel{} = Element -> plain(Element, State);
                        Whole -> Whole
                    end;
                false -> unlinked
            end,
    say(Host, {told, mod_pushkeeper_session:who(State), Event}).

plain(Event) -> Event.

plain(Event, State) -> {Event, mod_pushkeeper_session:bytes(mod_pushkeeper_session:who(State))}.

%% Of accounts that are not watched no stanzas are told.
with_list(Event, State) ->
    case watched(State) of
        none -> Event;
        Telling -> mod_pushkeeper_session:list(Event, Telling, State)
    end.

%% Whether a room says something of us.
presence_received(#{lserver := Host, pushkeeper := #{rooms := _}} = State, Presence) ->
    observe(Host, presence_received, State, fun() -> mod_pushkeeper_facts:presence_received(Presence, State) end);
presence_received(State, _) -> State.

%%% What our own process asks of a session -----------------------------------------------------------------------------

cast(#{lserver := Host} = State, {mod_pushkeeper, Wish}) ->
    {stop, observe(Host, cast, State, fun() -> fulfil(Wish, State) end)};
cast(State, _) -> State.

fulfil(meet, #{lserver := Host} = State0) ->
    case mod_pushkeeper_session:is_bound(State0) of
        true ->
            State = mod_pushkeeper_facts:meet(mod_pushkeeper_session:ensure(State0)),
            say(Host, {met, mod_pushkeeper_session:who(State), mod_pushkeeper_session:is_stretched(State)}),
            State;
        false -> say(Host, {gone, meeting, self()}), State0
    end;
fulfil({describe, Ref, Why}, #{lserver := Host} = State0) ->
    case mod_pushkeeper_session:is_bound(State0) of
        true ->
            State = mod_pushkeeper_session:ensure(State0),
            say(Host, {described, Ref, mod_pushkeeper_session:who(State), description(State), Why}),
            %% A new link may want to know sooner.
            case State of
                #{mgmt_ack_timer := _, pushkeeper := #{ack_timer := _}} -> look_for_acknowledgement(State);
                _ -> State
            end;
        false -> say(Host, {gone, Ref, self()}), State0
    end;
fulfil({register, Iq, Request, Bytes}, #{lserver := Host} = State0) ->
    State = mod_pushkeeper_session:ensure(State0),
    {#xmlel{name = Name} = Asked, Event} = {Request, mod_pushkeeper_session:event(<<"registration">>, State)},
    Who = mod_pushkeeper_session:who(State),
    say(Host, {registration, Who, description(State),
               {Event#xmlel{children = [Asked]}, mod_pushkeeper_session:bytes(Who) + Bytes}, Iq, Name == <<"enable">>}),
    State;
fulfil({window, Ref, From, Sid, Since, Seconds}, State0) ->
    State = mod_pushkeeper_session:ensure(State0),
    Who = mod_pushkeeper_session:who(State),
    Hibernated = mod_pushkeeper_session:is_hibernated(State),
    {Answer, After} =
        case Who of
            #who{sid = Other} when Other /= Sid -> {{error, 'item-not-found', <<"There is no such session">>}, State};
            #who{since = Moment} when not Hibernated; Moment /= Since ->
                {{error, 'unexpected-request', <<"Not hibernated since then">>}, State};
            _ when Seconds == 0 -> {{ok, last_words(State), Who}, end_hibernation(State)};
            _ ->
                Set = mod_pushkeeper_session:set_window(Seconds * 1000, State),
                {{ok, mod_pushkeeper_session:event(<<"session">>, Set), Who}, Set}
        end,
    gen_server:cast(From, {window, Ref, Answer}),
    After;
fulfil({overdue, Ref}, #{pushkeeper := #{ack_timer := {Ref, _}}} = State) -> look_for_acknowledgement(State);
fulfil(own_window, #{mgmt_timeout := Window, pushkeeper := #{own_window := Own}} = State) when Window > Own ->
    mod_pushkeeper_session:own_window(State);
fulfil(_, State) -> State.

%% A `session`, with what is unacknowledged where that matters.
description(#{pushkeeper := #{state := Named}} = State) ->
    Event = mod_pushkeeper_session:event(<<"session">>, State),
    case Named == <<"hibernated">> orelse Named == <<"unresponsive">> of
        true ->
            case with_list(Event, State) of
                #xmlel{} -> plain(Event, State);
                Listed -> Listed
            end;
        false -> plain(Event, State)
    end.

last_words(State) ->
    #xmlel{attrs = Attrs} = Session = mod_pushkeeper_session:event(<<"session">>, State),
    Ended = lists:keystore(<<"timeout">>, 1, Attrs, {<<"timeout">>, <<"0">>}),
    Session#xmlel{attrs = lists:keystore(<<"left">>, 1, Ended, {<<"left">>, <<"0">>})}.

%% As its own timeout would, which cannot be set to nothing.
end_hibernation(#{mgmt_pending_timer := Timer} = State) ->
    erlang:cancel_timer(Timer),
    self() ! {timeout, Timer, pending_timeout},
    State.
