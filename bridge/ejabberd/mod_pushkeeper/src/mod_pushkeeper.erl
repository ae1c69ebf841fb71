%% Tells pushkeeper, an external component, what happens to the sessions and messages of this host, and obeys its few
%% orders. The namespace is described in docs/signals.md of pushkeeper.
%%
%% It reports facts and decides nothing. Every handler that only observes is guarded: whatever goes wrong in it ends the
%% link, never the host's own work. While it is not linked the host behaves as if this module were not there.
%%
%% This file has what runs in other processes: in those of sessions, of senders, and of the component's stream. All they
%% do is describe and cast; mod_pushkeeper_server does the rest. For ejabberd 23.01 to 26.x.
-module(mod_pushkeeper).
-behaviour(gen_mod).

-export([start/2, stop/1, reload/3, depends/2, mod_opt_type/1, mod_options/1, mod_doc/0]).
-export([add_hooks/1, after_stop/2, delete_hooks/1, options/1, take_registrations/1]).
-export([came_from/2, cast/2, copied/2, hibernated/1, opened/1, resumed/1, sent_to/3, terminated/2]).
-export([archived/7, archived/8, bounced/1, component_gone/2, disco/5, offline/1, presence_received/2, user_removed/2]).
-export([decode_iq_subel/1, order/1, registration/1]).

-include("xmpp.hrl").
-include("mod_pushkeeper.hrl").

-define(IS_UNRESPONSIVE(State), is_map_key(unresponsive, map_get(pushkeeper, State))).

%% How long after its end the module may be back, so that it was a restart and windows stay as they are; and how long
%% sessions have to give their windows back. In milliseconds.
-define(RESTARTS_WITHIN, 3000).
-define(GIVE_BACK_WITHIN, 2000).

%%% A module of ejabberd -----------------------------------------------------------------------------------------------

start(Host, Opts) -> gen_mod:start_child(mod_pushkeeper_server, Host, Opts).

stop(Host) -> gen_mod:stop_child(mod_pushkeeper_server, Host).

%% Other options are another start: sessions keep what is remembered of them, and nothing is missed.
reload(Host, Opts, _) ->
    stop(Host),
    start(Host, Opts).

depends(_, _) -> [{mod_stream_mgmt, soft}].

mod_opt_type(component) -> econf:domain();
mod_opt_type(full_pause) -> econf:non_neg_int();
mod_opt_type(ack_delay) -> econf:non_neg_int();
mod_opt_type(_) -> econf:pos_int().

mod_options(_) ->
    [component, %% Required.
     {max_timeout, 259200}, {ack_delay, 30},
     %% For tests only.
     {answer_timeout, 20}, {relay_timeout, 60}, {stretch_timeout, 600}, {full_pause, 5}].

mod_doc() ->
    #{desc => <<"Tells pushkeeper, an external component, about sessions and messages, so that it can wake phones "
                "(XEP-0357) and keep their sessions. In place of mod_push and mod_push_keepalive.">>,
      opts => [{component, #{value => <<"Domain">>,
                             desc => <<"The domain of pushkeeper's component. Nobody else is obeyed.">>}},
               {max_timeout, #{value => <<"Seconds">>,
                               desc => <<"The longest resumption window that pushkeeper may give.">>}},
               {ack_delay, #{value => <<"Seconds">>,
                             desc => <<"When an acknowledgement is overdue, unless pushkeeper wants to know "
                                       "sooner. 0: never.">>}}]}.

-spec options(binary()) -> map().
options(Host) ->
    Names = [case Option of {Name, _} -> Name; Name -> Name end || Option <- mod_options(Host)],
    maps:from_list([{Name, gen_mod:get_module_opt(Host, ?MODULE, Name)} || Name <- Names]).

%% Those that run for every stanza are as few as can be: each costs about as much as all that is done in it. So one sees
%% all that a session sends, and one all that is sent to it; our timers come as casts.
hooks(Host) ->
    [{c2s_session_opened, Host, opened, 60},
     %% After everybody who might set the window.
     {c2s_session_pending, Host, hibernated, 60},
     {c2s_session_resumed, Host, resumed, 60},
     {c2s_copy_session, Host, copied, 60},
     %% Before mod_stream_mgmt (50), which sends what is unacknowledged on its way again.
     {c2s_terminated, Host, terminated, 40},
     %% After mod_stream_mgmt (50), so that the stanza is counted when we see it.
     {c2s_handle_send, Host, sent_to, 60},
     %% Before mod_stream_mgmt (50), which lets nobody else see an acknowledgement.
     {c2s_authenticated_packet, Host, came_from, 40},
     {c2s_handle_cast, Host, cast, 40},
     {c2s_presence_in, Host, presence_received, 60},
     {store_mam_message, Host, archived, 110},
     %% After mod_offline (50), which says whether it has it.
     {offline_message_hook, Host, offline, 60},
     {bounce_sm_packet, Host, bounced, 60},
     {disco_sm_features, Host, disco, 60},
     {remove_user, Host, user_removed, 60},
     {component_disconnected, global, component_gone, 60}].

-spec add_hooks(binary()) -> ok.
add_hooks(Host) ->
    [ejabberd_hooks:add(Hook, On, ?MODULE, Function, Priority) || {Hook, On, Function, Priority} <- hooks(Host)],
    gen_iq_handler:add_iq_handler(ejabberd_local, Host, ?NS_PUSHKEEPER, ?MODULE, order),
    take_registrations(Host).

-spec delete_hooks(binary()) -> ok.
delete_hooks(Host) ->
    %% component_disconnected is everybody's.
    [ejabberd_hooks:delete(Hook, On, ?MODULE, Function, Priority)
     || {Hook, On, Function, Priority} <- hooks(Host),
        On == Host orelse not gen_mod:is_loaded_elsewhere(Host, ?MODULE)],
    gen_iq_handler:remove_iq_handler(ejabberd_local, Host, ?NS_PUSHKEEPER),
    is_loaded(Host, mod_push) orelse gen_iq_handler:remove_iq_handler(ejabberd_sm, Host, ?NS_PUSH),
    ok.

%% Registrations are ours, unless they are mod_push's.
-spec take_registrations(binary()) -> ok.
take_registrations(Host) ->
    is_loaded(Host, mod_push) orelse gen_iq_handler:add_iq_handler(ejabberd_sm, Host, ?NS_PUSH, ?MODULE, registration),
    ok.

is_loaded(Host, Module) -> gen_mod:is_loaded(Host, Module).

%% The module has ended. Unless it is back soon, sessions with longer windows get the host's own; they listen to us only
%% through a hook.
-spec after_stop(binary(), [pid()]) -> ok.
after_stop(Host, Sessions) ->
    receive after ?RESTARTS_WITHIN -> ok end,
    case Sessions == [] orelse is_loaded(Host, ?MODULE) of
        true -> ok;
        false ->
            ejabberd_hooks:add(c2s_handle_cast, Host, ?MODULE, cast, 40),
            [ejabberd_c2s:cast(Pid, {mod_pushkeeper, own_window}) || Pid <- Sessions],
            receive after ?GIVE_BACK_WITHIN -> ok end,
            is_loaded(Host, ?MODULE) orelse ejabberd_hooks:delete(c2s_handle_cast, Host, ?MODULE, cast, 40),
            ok
    end.

%% What only observes changes nothing when it fails, and its failure ends the link.
observe(Host, Place, Unchanged, Fun) ->
    try Fun()
    catch
        Class:Reason:Stack ->
            say(Host, {fault, {Place, Reason}, io_lib:format("~p: ~p:~p ~p", [Place, Class, Reason, Stack])}),
            Unchanged
    end.

say(Host, What) -> mod_pushkeeper_server:say(Host, What).

%%% Sessions -----------------------------------------------------------------------------------------------------------

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
    note_call(Stanza, State),
    queued(Stanza, State);
sent_to(State, Stanza, _) ->
    note_call(Stanza, State),
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
came_from(State, #message{type = Type} = Message) when Type /= error ->
    case State of
        #{lserver := Host, jid := #jid{luser = User} = From} ->
            is_call(Message) andalso
                observe(Host, came_from, ok,
                        fun() -> call(Host, User, xmpp:set_from(Message, From), [{<<"sent">>, <<"true">>}]) end);
        _ -> ok
    end,
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

%%% Messages -----------------------------------------------------------------------------------------------------------

%% Whose message it is, if it is to be told: while not linked also those count who were watched before a restart.
counts(Host, User) ->
    case mod_pushkeeper_server:watched(Host, User) of
        none -> mod_pushkeeper_server:was_watched(Host, User);
        Telling -> Telling
    end.

%% Up to 26.03.
archived(#message{type = Type} = Message, User, Host, _, _, chat, recv) when Type /= error ->
    observe(Host, archived, ok,
            fun() ->
                    case counts(Host, User) of
                        none -> ok;
                        Telling ->
                            Id = integer_to_binary(xmpp:get_meta(Message, stanza_id, 0)),
                            %% It gets its stanza-id after this hook.
                            #xmlel{children = Children} = Stanza = xmpp:encode(Message, ?NS_CLIENT),
                            StanzaId = #xmlel{name = <<"stanza-id">>,
                                              attrs = [{<<"xmlns">>, <<"urn:xmpp:sid:0">>},
                                                       {<<"by">>, account(User, Host)}, {<<"id">>, Id}]},
                            Named = Stanza#xmlel{children = [StanzaId | Children]},
                            tell_message(<<"archived">>, Host, User, Named, Id, [{<<"archive-id">>, Id}], Telling)
                    end
            end),
    Message;
archived(Message, _, _, _, _, _, _) -> Message.

archived(Message, User, Host, Peer, Nick, Type, Direction, _) ->
    archived(Message, User, Host, Peer, Nick, Type, Direction).

account(User, Host) -> <<User/binary, $@, Host/binary>>.

offline({Action, #message{type = Type, to = #jid{luser = User, lserver = Host}} = Message} = Acc) when Type /= error ->
    observe(Host, offline, ok, fun() -> went_offline(Action, Host, User, Message) end),
    Acc;
offline(Acc) -> Acc.

went_offline(Action, Host, User, Message) ->
    case counts(Host, User) of
        none -> ok;
        Telling ->
            Stanza = xmpp:encode(Message, ?NS_CLIENT),
            Id = archive_id(Stanza, account(User, Host)),
            if Action == offlined -> tell_message(<<"offline">>, Host, User, Stanza, Id, [], Telling);
               true -> ok
            end,
            case Id == undefined andalso mod_pushkeeper_shape:is_call(Stanza) of
                true -> tell_message(<<"urgent">>, Host, User, Stanza, undefined, [], Telling);
                false -> ok
            end
    end.

%% The stanza-id that the account's archive gave it.
archive_id(Stanza, Account) ->
    Ids = [mod_pushkeeper_xml:attr(<<"id">>, It)
           || #xmlel{name = <<"stanza-id">>} = It <- mod_pushkeeper_xml:children(Stanza),
              mod_pushkeeper_xml:attr(<<"by">>, It) == Account],
    case Ids of
        [] -> undefined;
        [Id | _] -> Id
    end.

%% A room's message to the bare account.
bounced({bounce, #message{type = groupchat, to = #jid{lresource = <<>>} = To} = Message} = Acc) ->
    #jid{luser = User, lserver = Host} = To,
    observe(Host, bounced, ok,
            fun() ->
                    case counts(Host, User) of
                        none -> ok;
                        Telling ->
                            Stanza = xmpp:encode(Message, ?NS_CLIENT),
                            tell_message(<<"offline">>, Host, User, Stanza, undefined, [], Telling)
                    end
            end),
    Acc;
bounced(Acc) -> Acc.

%% Whether a room says something of us.
presence_received(#{lserver := Host, pushkeeper := #{rooms := _}} = State, Presence) ->
    observe(Host, presence_received, State, fun() -> mod_pushkeeper_facts:presence_received(Presence, State) end);
presence_received(State, _) -> State.

%% A call that a session of the account got; one that was archived was told as such.
note_call(#message{type = Type, meta = Meta} = Message, #{lserver := Host, jid := #jid{luser = User}}) when Type /= error ->
    case is_call(Message) of
        true when not is_map_key(mam_archived, Meta), not is_map_key(sm_copy, Meta), not is_map_key(carbon_copy, Meta),
                  not is_map_key(mgmt_is_resent, Meta) ->
            observe(Host, note_call, ok, fun() -> call(Host, User, Message, []) end);
        _ -> ok
    end;
note_call(_, _) -> ok.

is_call(#message{sub_els = Elements}) -> lists:any(fun mod_pushkeeper_shape:is_of_call/1, Elements).

call(Host, User, Message, Attrs) ->
    case mod_pushkeeper_server:watched(Host, User) of
        none -> ok;
        Telling -> tell_message(<<"urgent">>, Host, User, xmpp:encode(Message, ?NS_CLIENT), undefined, Attrs, Telling)
    end.

%% A message that the account got, or sent.
tell_message(Name, Host, User, Stanza, ArchiveId, Attrs, Telling) ->
    {Shape, Size} = Shaped = mod_pushkeeper_facts:tell(Stanza, User, Host, Telling, undefined),
    Fact = case Name of
               <<"urgent">> -> undefined;
               _ -> mod_pushkeeper_missed:fact(User, Stanza, ArchiveId, Shaped)
           end,
    Element = account_event(Name, User, Attrs, [Shape]),
    say(Host, {message, {Element, Size + mod_pushkeeper_xml:size(Element#xmlel{children = []})}, Fact}).

account_event(Name, User, Attrs, Children) ->
    Stamped = [{<<"stamp">>, mod_pushkeeper_xml:stamp()}, {<<"user">>, User} | Attrs],
    #xmlel{name = Name, attrs = Stamped, children = Children}.

%%% Accounts, and the component ----------------------------------------------------------------------------------------

user_removed(User, Server) ->
    Host = jid:nameprep(Server),
    observe(Host, user_removed, ok,
            fun() ->
                    Name = jid:nodeprep(User),
                    case mod_pushkeeper_server:watched(Host, Name) of
                        none -> ok;
                        _ ->
                            Element = account_event(<<"user-deleted">>, Name, [], []),
                            say(Host, {user_deleted, Name, {Element, mod_pushkeeper_xml:size(Element)}})
                    end
            end).

%% No need to wait for the first answer that does not come.
component_gone(Component, _) ->
    [say(Host, component_gone) || Host <- ejabberd_option:hosts(), is_loaded(Host, ?MODULE),
                                  gen_mod:get_module_opt(Host, ?MODULE, component) == Component],
    ok.

disco(Acc, #jid{luser = User, lserver = Host}, #jid{luser = User, lserver = Host}, <<>>, _) ->
    case {Acc, mod_pushkeeper_server:features(Host)} of
        {_, []} -> Acc;
        {empty, Features} -> {result, Features};
        {{result, Before}, Features} -> {result, Features ++ Before};
        _ -> Acc
    end;
disco(Acc, _, _, _, _) -> Acc.

%%% Registrations and orders -------------------------------------------------------------------------------------------

%% Both are taken as they are.
decode_iq_subel(Element) -> Element.

registration(#iq{type = set, from = #jid{luser = User, lserver = Host, lresource = Resource},
                 to = #jid{luser = User, lserver = Host}} = Iq) ->
    #xmlel{name = Name} = Request = mod_pushkeeper_iq:first(Iq),
    Known = Name == <<"enable">> orelse Name == <<"disable">>,
    case {Known, mod_pushkeeper_server:is_linked(Host), mod_pushkeeper_checks:registration_size(Request)} of
        {false, _, _} -> mod_pushkeeper_iq:refusal(Iq, xmpp:err_bad_request());
        {_, false, _} -> unavailable(Iq);
        {_, _, too_large} ->
            Error = mod_pushkeeper_iq:failure(modify, 'policy-violation', <<"This registration is too large">>),
            mod_pushkeeper_iq:refusal(Iq, Error);
        {_, _, Bytes} ->
            case ejabberd_sm:get_session_pid(User, Host, Resource) of
                none -> unavailable(Iq);
                Pid -> ejabberd_c2s:cast(Pid, {mod_pushkeeper, {register, Iq, Request, Bytes}}), ignore
            end
    end;
registration(#iq{type = get} = Iq) -> mod_pushkeeper_iq:refusal(Iq, xmpp:err_service_unavailable());
%% mod_push lets bob register on alice's address; nobody but the owner may.
registration(Iq) -> mod_pushkeeper_iq:forbidden(Iq).

unavailable(Iq) -> mod_pushkeeper_iq:unavailable(Iq), ignore.

order(#iq{type = set, from = #jid{luser = <<>>, lserver = From, lresource = <<>>}, to = #jid{lserver = Host}} = Iq) ->
    case gen_mod:get_module_opt(Host, ?MODULE, component) of
        From ->
            #xmlel{name = Name} = Order = mod_pushkeeper_iq:first(Iq),
            Known = [<<"check">>, <<"sync">>, <<"watch">>, <<"unwatch">>, <<"timeout">>, <<"relay">>],
            case lists:member(Name, Known) of
                true -> say(Host, {order, Name, Order, Iq}), ignore;
                false -> mod_pushkeeper_iq:refusal(Iq, xmpp:err_feature_not_implemented())
            end;
        _ -> mod_pushkeeper_iq:forbidden(Iq)
    end;
order(Iq) -> mod_pushkeeper_iq:forbidden(Iq).
