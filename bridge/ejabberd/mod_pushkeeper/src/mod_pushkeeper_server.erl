%% The one process per host and node that knows whether pushkeeper is there. It has the queue of events and their
%% numbers, makes the snapshot, remembers what was missed, and obeys the orders. Sessions and senders only cast to it
%% and never wait for it; what they have to know at once is in a table of the same name.
-module(mod_pushkeeper_server).
-behaviour(gen_server).

-export([ack_delay/1, features/1, is_linked/1, name/1, say/2, was_watched/2, watched/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2, code_change/3]).

-include("xmpp.hrl").
-include("logger.hrl").
-include("ejabberd_sm.hrl").
-include("mod_pushkeeper.hrl").

%% Limits of the namespace.
-define(BATCH_EVENTS, 64).
-define(BATCH_BYTES, 128 * 1024).
-define(BATCH_GAP, 100).
-define(DESCRIBED_PER_BATCH, 16).
-define(BATCHES_UNANSWERED, 16).
-define(REGISTRATIONS_UNANSWERED, 64).
-define(REGISTRATIONS_PER_SESSION, 16).
-define(QUEUE_EVENTS, 10000).
-define(QUEUE_BYTES, 16 * 1024 * 1024).
%% What is needed around the events of a batch.
-define(BATCH_FRAME, 512).
%% How long sessions have to describe themselves, other nodes to say their state, and a session whose process ended
%% without a word to be seen in another one; in milliseconds.
-define(DESCRIBE_WITHIN, 5000).
-define(NODES_WITHIN, 2000).
-define(MOVE_WITHIN, 20000).

-record(registration, {sid :: binary(), user :: binary(), enables :: boolean(), iq :: iq()}).
-record(event, {element :: xmlel(), bytes :: pos_integer(),
                fact :: mod_pushkeeper_missed:fact() | undefined,
                registration :: #registration{} | undefined}).
%% What belongs to the newest sync. `held`: the other nodes have not said their state yet.
-record(link, {ref :: reference(), token :: binary(), held :: boolean(),
               unanswered = 0 :: non_neg_integer(), asked = 0 :: non_neg_integer(),
               in_flight = #{} :: #{reference() => {[mod_pushkeeper_missed:fact()], boolean()}}}).
%% A snapshot: sessions to be asked, asked, and described; then, one after the other, who missed something, and the end.
-record(snapshot, {todo = [] :: [binary()], asked = #{} :: #{binary() => pid()},
                   ready = queue:new() :: queue:queue(#event{}), tail = [] :: [binary() | overflow | synced]}).
-record(seen, {who :: #who{} | undefined, monitor :: reference() | undefined, described :: reference() | undefined}).
%% An order that waits for other nodes.
-record(collect, {kind :: sync | check, iq :: iq(), waiting :: [node()], states :: [tuple()]}).

-record(state, {host :: binary(), name :: atom(), component :: binary(), options :: map(),
                epoch :: binary(), seq = 0 :: non_neg_integer(),
                link :: #link{} | undefined, snapshot :: #snapshot{} | undefined,
                queue = queue:new() :: queue:queue(#event{}), count = 0 :: non_neg_integer(),
                bytes = 0 :: non_neg_integer(), registrations = 0 :: non_neg_integer(),
                left :: integer(), timer :: reference() | undefined, full_at :: integer() | undefined,
                watch = mod_pushkeeper_watch:new() :: mod_pushkeeper_watch:watch(),
                missed = mod_pushkeeper_missed:new() :: mod_pushkeeper_missed:missed(),
                %% Sessions by their sid, and sids by user and resource.
                sessions = #{} :: #{binary() => #seen{}}, users = #{} :: #{binary() => #{binary() => binary()}},
                monitors = #{} :: #{reference() => binary()},
                %% Sessions that were there before us and have not said who they are.
                meeting = #{} :: #{pid() => reference()},
                asking = #{} :: #{binary() => pos_integer()},
                stretched = #{} :: #{binary() => pid()},
                orders = #{} :: #{reference() => {iq(), reference()}},
                collects = #{} :: #{reference() => #collect{}},
                relays = mod_pushkeeper_relay:new() :: mod_pushkeeper_relay:relays(),
                standing_back = false :: boolean(),
                losses = 0 :: non_neg_integer(), faults = #{} :: #{term() => true}}).

%%% For everybody ------------------------------------------------------------------------------------------------------

-spec name(binary()) -> atom().
name(Host) -> gen_mod:get_module_proc(Host, ?MODULE).

-spec say(binary(), term()) -> ok.
say(Host, What) -> gen_server:cast(name(Host), What).

-spec is_linked(binary()) -> boolean().
is_linked(Host) -> lookup(Host, link) /= none.

%% What is added to the accounts' disco#info: nothing while not linked.
-spec features(binary()) -> [binary()].
features(Host) ->
    case lookup(Host, link) of
        none -> [];
        Features -> Features
    end.

%% When an acknowledgement is overdue, in milliseconds.
-spec ack_delay(binary()) -> pos_integer() | off.
ack_delay(Host) ->
    case lookup(Host, ack_delay) of
        none -> off;
        Delay -> Delay
    end.

%% How this user's messages are told; `none` if the user is not watched.
-spec watched(binary(), binary()) -> telling() | none.
watched(Host, User) -> lookup(Host, {watched, User}).

%% Whether the user was watched before a restart, and nobody has said whom to watch since.
-spec was_watched(binary(), binary()) -> telling() | none.
was_watched(Host, User) ->
    case lookup(Host, {before, User}) of
        none -> none;
        true -> #telling{}
    end.

lookup(Host, Key) ->
    try ets:lookup(name(Host), Key) of
        [{_, Value}] -> Value;
        [] -> none
    catch
        error:badarg -> none
    end.

%%% The process --------------------------------------------------------------------------------------------------------

init([Host | _]) ->
    process_flag(trap_exit, true),
    Name = name(Host),
    Name = ets:new(Name, [named_table, protected, {read_concurrency, true}]),
    mod_pushkeeper_facts:new(Host),
    Options = mod_pushkeeper:options(Host),
    ets:insert(Name, {ack_delay, own_ack_delay(Options)}),
    S0 = #state{host = Host, name = Name, component = maps:get(component, Options), options = Options,
                epoch = p1_rand:get_alphanum_string(16), left = now_ms() - ?BATCH_GAP},
    S1 = restore(S0),
    mod_pushkeeper:add_hooks(Host),
    is_alive() andalso net_kernel:monitor_nodes(true),
    erlang:send_after(?BATCH_GAP, self(), hello),
    {ok, give_back_later(meet_all(stand_back(stands_back(Host) orelse will_stand_back(Host), S1)))}.

handle_call(_, _, S) -> {reply, ok, S}.

handle_cast(Message, S) -> {noreply, guarded(Message, S)}.

handle_info(Message, S) -> {noreply, guarded(Message, S)}.

code_change(_, S, _) -> {ok, S}.

terminate(_, #state{host = Host, name = Name} = S0) ->
    S1 = unlink(none, S0),
    mod_pushkeeper:delete_hooks(Host),
    save(S1),
    _ = spawn(fun() -> mod_pushkeeper:after_stop(Host, maps:values(S1#state.stretched)) end),
    ets:delete(Name).

%% A fault of our own ends the link, and nothing else.
guarded(Message, S) ->
    try run(on(Message, S))
    catch
        Class:Reason:Stack ->
            fault({Class, Reason}, io_lib:format("~p:~p ~p", [Class, Reason, Stack]), S)
    end.

fault(Place, Text, #state{faults = Faults} = S) ->
    case Faults of
        #{Place := _} -> ?DEBUG("Fault in mod_pushkeeper, the host is not affected: ~ts", [Text]);
        _ -> ?ERROR_MSG("Fault in mod_pushkeeper, the host is not affected: ~ts", [Text])
    end,
    Known = case map_size(Faults) < 100 of true -> Faults#{Place => true}; false -> Faults end,
    unlink("a fault of mod_pushkeeper itself", S#state{faults = Known}).

%% A reload keeps what was missed, and whose messages count as missed until pushkeeper says whom to watch.
save(#state{host = Host, missed = Missed, watch = Watch, name = Name}) ->
    Before = [User || {{before, User}, _} <- ets:tab2list(Name)],
    Users = maps:keys(mod_pushkeeper_watch:users(Watch)) ++ Before,
    persistent_term:put({mod_pushkeeper, Host}, {Missed, lists:usort(Users)}).

restore(#state{host = Host, name = Name} = S) ->
    case persistent_term:get({mod_pushkeeper, Host}, none) of
        none -> S;
        {Missed, Users} ->
            persistent_term:erase({mod_pushkeeper, Host}),
            ets:insert(Name, [{{before, User}, true} || User <- Users]),
            S#state{missed = mod_pushkeeper_missed:merge(Missed, S#state.missed)}
    end.

now_ms() -> erlang:monotonic_time(millisecond).

own_ack_delay(#{ack_delay := Seconds}) when Seconds > 0 -> Seconds * 1000;
own_ack_delay(_) -> off.

%%% What comes ---------------------------------------------------------------------------------------------------------

%% From sessions.
on({met, #who{sid = Sid, pid = Pid} = Who, Stretched}, #state{meeting = Meeting} = S0) ->
    S1 = see(Who, S0#state{meeting = settle_monitor(Pid, Meeting)}),
    S2 = if Stretched -> S1#state{stretched = (S1#state.stretched)#{Sid => Pid}}; true -> S1 end,
    describe_later(Sid, S2);
on({bound, Who, Event}, S0) ->
    S1 = see(Who, replace(Who, S0)),
    report(Who, Event, case S1#state.snapshot of undefined -> S1; _ -> mark_described(Who#who.sid, S1) end);
on({told, Who, Event}, S) -> report(Who, Event, see(Who, S));
on({ended, #who{sid = Sid, pid = Pid} = Who, Event}, #state{sessions = Sessions} = S) ->
    case Sessions of
        #{Sid := #seen{who = #who{pid = Pid}}} -> forget(Sid, report(Who, Event, S));
        %% It was replaced, and told already.
        _ -> S
    end;
on({described, Ref, #who{sid = Sid, pid = Pid}, Event, snapshot},
   #state{link = #link{ref = Ref}, snapshot = #snapshot{asked = Asked, ready = Ready} = Snapshot} = S) ->
    case {Asked, is_described(Sid, S)} of
        {#{Sid := Pid}, false} ->
            Rest = Snapshot#snapshot{asked = maps:remove(Sid, Asked), ready = queue:in(with_token(Event, S), Ready)},
            mark_described(Sid, S#state{snapshot = Rest});
        {#{Sid := Pid}, true} -> S#state{snapshot = Snapshot#snapshot{asked = maps:remove(Sid, Asked)}};
        _ -> S
    end;
on({described, Ref, #who{sid = Sid}, Event, watched}, #state{link = #link{ref = Ref}} = S) ->
    case may_report(Sid, S) of
        true -> push(with_token(Event, S), S);
        false -> S
    end;
on({gone, Ref, Pid}, #state{link = #link{ref = Ref}} = S) -> not_there(Pid, S);
on({gone, meeting, Pid}, #state{meeting = Meeting} = S) -> S#state{meeting = settle_monitor(Pid, Meeting)};
on({registration, Who, Description, Event, Iq, Enables}, S) ->
    register(Who, Description, Event, Iq, Enables, see(Who, S));
on({window, Ref, Answer}, S) -> window_answered(Ref, Answer, S);

%% From whoever sends or receives a message.
on({message, unlinked, Fact}, #state{link = undefined} = S) -> lose(Fact, number(S));
on({message, _, Fact}, #state{link = undefined} = S) -> lose(Fact, number(S));
on({message, unlinked, Fact}, S) -> lose(Fact, number(S));
on({message, {Element, Bytes}, Fact}, S) -> push(#event{element = Element, bytes = Bytes, fact = Fact}, S);
on({user_deleted, User, Event}, S) ->
    case end_all(User, S) of
        #state{link = undefined} = S1 -> number(S1);
        S1 -> push(event(Event), S1)
    end;

%% From pushkeeper, and from other nodes.
on({order, <<"check">>, _, Iq}, S) -> check(Iq, stand_back(stands_back(S#state.host), S));
on({order, <<"sync">>, Sync, Iq}, S) -> sync(Sync, Iq, stand_back(stands_back(S#state.host), S));
on({order, Name, Order, Iq}, S) when Name == <<"watch">>; Name == <<"unwatch">> ->
    gen_server:abcast(other_nodes(), S#state.name, {passed, Name, Order}),
    mod_pushkeeper_iq:answer(Iq),
    obey(Name, Order, S);
on({order, <<"timeout">>, Order, Iq}, S) -> window(Order, Iq, S);
on({order, <<"relay">>, Order, Iq}, S) -> relay(Order, Iq, S);
on({passed, Name, Order}, S) -> obey(Name, Order, S);
on({join, Ref, From, Kind, Sync}, S0) ->
    S1 = case Kind of sync -> link(Sync, true, S0); check -> S0 end,
    gen_server:cast(From, {joined, Ref, node(), node_state(S1)}),
    S1;
on({joined, Ref, Node, State}, S) -> joined(Ref, Node, State, S);
on({nodes_late, Ref}, S) -> joined(Ref, all, undefined, S);
on({go, Token}, #state{link = #link{token = Token} = Link} = S) -> S#state{link = Link#link{held = false}};

%% Answers.
on({iq_reply, Answer, {batch, LinkRef, BatchRef}}, S) -> batch_answered(Answer, LinkRef, BatchRef, S);
on({iq_reply, Answer, {registration, LinkRef, Registration}}, S) ->
    registration_answered(Answer, LinkRef, Registration, S);
on({iq_reply, Answer, {relay, _, _, _} = Relay}, #state{host = Host, relays = Relays} = S) ->
    S#state{relays = mod_pushkeeper_relay:answered(Answer, Relay, Host, Relays)};

%% Time, and processes that end.
on(batch_due, S) -> pump(true, S#state{timer = undefined});
on({describe_late, Ref, Sids}, #state{link = #link{ref = Ref}, snapshot = #snapshot{asked = Asked} = Snapshot} = S) ->
    S#state{snapshot = Snapshot#snapshot{asked = maps:without(Sids, Asked)}};
on(hello, S) -> hello(S);
on({nodeup, _}, S) -> hello(S);
on({nodedown, _}, S) -> hello(S);
on({give_back, Losses}, #state{link = undefined, losses = Losses} = S) -> give_back(S);
on(component_gone, S) -> unlink("its stream ended", S);
on({fault, Place, Text}, S) -> fault(Place, Text, S);
on({'DOWN', Monitor, process, Pid, _}, S) -> process_ended(Monitor, Pid, S);
on({unseen, Sid, Pid}, #state{sessions = Sessions} = S) ->
    case Sessions of
        #{Sid := #seen{who = #who{pid = Pid} = Who}} ->
            mod_pushkeeper_facts:forget(S#state.host, Sid),
            forget(Sid, report(Who, ending(Who, <<"unknown">>), S));
        _ -> S
    end;
on(_, S) -> S.

%%% Sessions -----------------------------------------------------------------------------------------------------------

%% The sessions that are there already; some have met an earlier instance of this module.
meet_all(#state{host = Host} = S) ->
    Here = [Pid || #session{sid = {_, Pid}, us = {_, On}} <- ejabberd_sm:dirty_get_my_sessions_list(), On == Host],
    [ejabberd_c2s:cast(Pid, {mod_pushkeeper, meet}) || Pid <- Here],
    S#state{meeting = maps:from_list([{Pid, monitor(process, Pid)} || Pid <- Here])}.

settle_monitor(Pid, Meeting) ->
    case maps:take(Pid, Meeting) of
        {Monitor, Rest} -> demonitor(Monitor, [flush]), Rest;
        error -> Meeting
    end.

%% Takes note of where a session is and what it is like.
see(#who{sid = Sid, pid = Pid} = Who, #state{sessions = Sessions} = S) ->
    case Sessions of
        #{Sid := #seen{who = #who{pid = Pid}} = Seen} -> S#state{sessions = Sessions#{Sid := Seen#seen{who = Who}}};
        #{Sid := #seen{monitor = Old} = Seen} ->
            demonitor(Old, [flush]),
            describe_later(Sid, see_in(Who, Seen, S#state{monitors = maps:remove(Old, S#state.monitors)}));
        _ -> see_in(Who, #seen{}, S)
    end.

see_in(#who{sid = Sid, pid = Pid, user = User, resource = Resource} = Who, Seen,
       #state{sessions = Sessions, users = Users, monitors = Monitors} = S) ->
    Monitor = monitor(process, Pid),
    OfUser = maps:get(User, Users, #{}),
    S#state{sessions = Sessions#{Sid => Seen#seen{who = Who, monitor = Monitor}},
            users = Users#{User => OfUser#{Resource => Sid}},
            monitors = Monitors#{Monitor => Sid}}.

forget(Sid, #state{sessions = Sessions, users = Users, monitors = Monitors} = S) ->
    {#seen{who = #who{user = User, resource = Resource}, monitor = Monitor}, Rest} = maps:take(Sid, Sessions),
    demonitor(Monitor, [flush]),
    OfUser = case maps:get(User, Users, #{}) of
                 #{Resource := Sid} = It -> maps:remove(Resource, It);
                 It -> It
             end,
    Left = case map_size(OfUser) of 0 -> maps:remove(User, Users); _ -> Users#{User => OfUser} end,
    (not_asked(Sid, S))#state{sessions = Rest, users = Left, monitors = maps:remove(Monitor, Monitors),
            stretched = maps:remove(Sid, S#state.stretched), asking = maps:remove(Sid, S#state.asking)}.

sids(User, #state{users = Users}) -> maps:values(maps:get(User, Users, #{})).

%% A resource that is bound again ends the session that had it, first.
replace(#who{sid = Sid, user = User, resource = Resource}, #state{users = Users} = S) ->
    case maps:get(User, Users, #{}) of
        #{Resource := Other} when Other /= Sid -> end_session(Other, <<"replaced">>, S);
        _ -> S
    end.

end_all(User, S) -> lists:foldl(fun(Sid, Acc) -> end_session(Sid, <<"kicked">>, Acc) end, S, sids(User, S)).

end_session(Sid, Reason, #state{sessions = Sessions} = S) ->
    #{Sid := #seen{who = Who}} = Sessions,
    forget(Sid, report(Who, ending(Who, Reason), S)).

%% The `end` of a session that did not say it itself.
ending(#who{sid = Sid, user = User, resource = Resource, state = State, since = Since} = Who, Reason) ->
    Attrs = [{<<"stamp">>, mod_pushkeeper_xml:stamp()}, {<<"sid">>, Sid}, {<<"user">>, User},
             {<<"resource">>, Resource}, {<<"state">>, State}, {<<"since">>, Since}, {<<"reason">>, Reason}],
    {#xmlel{name = <<"end">>, attrs = Attrs}, mod_pushkeeper_session:bytes(Who)}.

%% A process that ended: of a session that went on in another one, that one will be heard of soon.
process_ended(Monitor, Pid, #state{monitors = Monitors, orders = Orders} = S0) ->
    S1 = not_there(Pid, S0#state{meeting = settle_monitor(Pid, S0#state.meeting)}),
    case Monitors of
        #{Monitor := Sid} ->
            erlang:send_after(?MOVE_WITHIN, self(), {unseen, Sid, Pid}),
            S1;
        _ ->
            case [{Ref, Iq} || {Ref, {Iq, It}} <- maps:to_list(Orders), It == Monitor] of
                [{Ref, Iq}] ->
                    Error = mod_pushkeeper_iq:failure(cancel, 'item-not-found', <<"It has ended">>),
                    mod_pushkeeper_iq:refuse(Iq, Error),
                    S1#state{orders = maps:remove(Ref, Orders)};
                [] -> S1
            end
    end.

not_asked(Sid, #state{snapshot = #snapshot{asked = Asked} = Snapshot} = S) ->
    S#state{snapshot = Snapshot#snapshot{asked = maps:remove(Sid, Asked)}};
not_asked(_, S) -> S.

%% Nobody in this process describes a session any more.
not_there(Pid, #state{snapshot = #snapshot{asked = Asked} = Snapshot} = S) ->
    S#state{snapshot = Snapshot#snapshot{asked = maps:filter(fun(_, It) -> It /= Pid end, Asked)}};
not_there(_, S) -> S.

%%% The snapshot -------------------------------------------------------------------------------------------------------

is_described(Sid, #state{link = #link{ref = Ref}, sessions = Sessions}) ->
    case Sessions of
        #{Sid := #seen{described = Ref}} -> true;
        _ -> false
    end.

mark_described(Sid, #state{link = #link{ref = Ref}, sessions = Sessions} = S) ->
    S#state{sessions = maps:update_with(Sid, fun(Seen) -> Seen#seen{described = Ref} end, Sessions)};
mark_described(_, S) -> S.

%% A session that the running snapshot has not described is now in this process.
describe_later(Sid, #state{snapshot = #snapshot{todo = Todo, asked = Asked} = Snapshot} = S) ->
    case is_described(Sid, S) of
        true -> S;
        false -> S#state{snapshot = Snapshot#snapshot{todo = [Sid | Todo], asked = maps:remove(Sid, Asked)}}
    end;
describe_later(_, S) -> S.

with_token({#xmlel{attrs = Attrs} = Element, Bytes}, #state{link = #link{token = Token}}) ->
    #event{element = Element#xmlel{attrs = Attrs ++ [{<<"token">>, Token}]}, bytes = Bytes + byte_size(Token) + 20}.

new_snapshot(#state{sessions = Sessions, missed = Missed}) ->
    Overflow = [overflow || mod_pushkeeper_missed:has_overflowed(Missed)],
    #snapshot{todo = maps:keys(Sessions), tail = mod_pushkeeper_missed:users(Missed) ++ Overflow ++ [synced]}.

%% Asks as many sessions to describe themselves as there is room for their descriptions in the window.
ask_sessions(#state{link = #link{ref = Ref, unanswered = Unanswered, held = false},
                    snapshot = #snapshot{todo = [_ | _] = Todo, asked = Asked, ready = Ready} = Snapshot} = S) ->
    Free = ?BATCHES_UNANSWERED - Unanswered - map_size(Asked) - queue:len(Ready),
    case pick(Free, Todo, S, []) of
        {[], Rest} -> S#state{snapshot = Snapshot#snapshot{todo = Rest}};
        {Picked, Rest} ->
            [ejabberd_c2s:cast(Pid, {mod_pushkeeper, {describe, Ref, snapshot}}) || {_, Pid} <- Picked],
            erlang:send_after(?DESCRIBE_WITHIN, self(), {describe_late, Ref, [Sid || {Sid, _} <- Picked]}),
            S#state{snapshot = Snapshot#snapshot{todo = Rest, asked = maps:merge(Asked, maps:from_list(Picked))}}
    end;
ask_sessions(S) -> S.

pick(Free, Todo, _, Picked) when Free =< 0; Todo == [] -> {Picked, Todo};
pick(Free, [Sid | Rest], #state{sessions = Sessions} = S, Picked) ->
    case Sessions of
        #{Sid := #seen{who = #who{pid = Pid}}} ->
            case is_described(Sid, S) orelse lists:keymember(Sid, 1, Picked) of
                true -> pick(Free, Rest, S, Picked);
                false -> pick(Free - 1, Rest, S, [{Sid, Pid} | Picked])
            end;
        _ -> pick(Free, Rest, S, Picked)
    end.

%% Whether the next descriptions are here: one batch for all that were asked.
is_ready(#state{snapshot = undefined}) -> false;
is_ready(#state{snapshot = #snapshot{asked = Asked}}) when map_size(Asked) > 0 -> false;
is_ready(#state{snapshot = #snapshot{todo = Todo, ready = Ready}, meeting = Meeting}) ->
    not queue:is_empty(Ready) orelse Todo == [] andalso map_size(Meeting) == 0.

%% What is described next, if it is at most so many bytes.
next_described(Room, #state{snapshot = #snapshot{ready = Ready, tail = Tail} = Snapshot, link = Link} = S) ->
    case {queue:out(Ready), Tail} of
        {{{value, #event{element = Element, bytes = Bytes}}, Rest}, _} when Bytes =< Room ->
            {Element, Bytes, S#state{snapshot = Snapshot#snapshot{ready = Rest}}};
        {{{value, _}, _}, _} -> none;
        {{empty, _}, _} when Snapshot#snapshot.todo /= []; map_size(S#state.meeting) > 0 -> none;
        {{empty, _}, [synced]} -> {token(<<"synced">>, [], [], Link), ?BATCH_FRAME, S#state{snapshot = undefined}};
        {{empty, _}, [Item | Rest]} ->
            After = S#state{snapshot = Snapshot#snapshot{tail = Rest}},
            case describe_missed(Item, S) of
                nothing -> next_described(Room, After);
                {_, Bytes} when Bytes > Room -> none;
                {Element, Bytes} -> {Element, Bytes, After}
            end
    end.

token(Name, Attrs, Children, #link{token = Token}) ->
    Stamped = [{<<"token">>, Token}, {<<"stamp">>, mod_pushkeeper_xml:stamp()} | Attrs],
    #xmlel{name = Name, attrs = Stamped, children = Children}.

describe_missed(overflow, #state{link = Link}) -> {token(<<"missed">>, [], [], Link), ?BATCH_FRAME};
describe_missed(User, #state{link = Link, missed = Missed, watch = Watch}) ->
    case mod_pushkeeper_watch:is_watched(User, Watch) andalso mod_pushkeeper_missed:describe(User, Missed) of
        {Count, Children} ->
            Element = token(<<"missed">>, [{<<"user">>, User}, {<<"count">>, mod_pushkeeper_xml:int(Count)}], Children,
                            Link),
            {Element, mod_pushkeeper_xml:size(Element)};
        _ -> nothing
    end.

%%% The queue, and batches ---------------------------------------------------------------------------------------------

event({Element, Bytes}) -> #event{element = Element, bytes = Bytes}.

number(#state{seq = Seq} = S) -> S#state{seq = Seq + 1}.

%% Not linked: an event takes its number and is gone.
may_report(Sid, #state{snapshot = Snapshot} = S) -> Snapshot == undefined orelse is_described(Sid, S).

report(_, none, S) -> S;
report(_, _, #state{link = undefined} = S) -> number(S);
report(#who{sid = Sid}, Event, S) ->
    case may_report(Sid, S) of
        false -> S;
        %% The session thought that there was no link: the gap tells.
        true when Event == unlinked -> number(S);
        true -> push(event(Event), S)
    end.

push(#event{bytes = Bytes, registration = Registration} = Event,
     #state{queue = Queue, count = Count, bytes = Before, registrations = Registrations} = S0) ->
    S1 = S0#state{queue = queue:in(Event, Queue), count = Count + 1, bytes = Before + Bytes,
                  registrations = Registrations + if Registration == undefined -> 0; true -> 1 end},
    case Count + 1 > ?QUEUE_EVENTS orelse Before + Bytes > ?QUEUE_BYTES of
        true -> unlink("the queue is full", S1#state{full_at = now_ms()});
        false -> S1
    end.

pop(#state{queue = Queue, count = Count, bytes = Bytes, registrations = Registrations} = S) ->
    {{value, #event{bytes = Size, registration = Registration} = Event}, Rest} = queue:out(Queue),
    {Event, S#state{queue = Rest, count = Count - 1, bytes = Bytes - Size,
                    registrations = Registrations - if Registration == undefined -> 0; true -> 1 end}}.

%% After everything that happened: what may be sent now is sent, and the rest will be.
run(S) -> ask_sessions(pump(false, S)).

%% `Due`: what waits has waited long enough.
pump(_, #state{link = undefined} = S) -> S;
pump(_, #state{link = #link{held = true}} = S) -> S;
pump(Due, #state{link = #link{asked = Asked, unanswered = Unanswered}, queue = Queue, count = Count,
                 registrations = Registrations, timer = Timer} = S) ->
    Head = case queue:peek(Queue) of
               {value, #event{registration = undefined}} -> event;
               {value, _} -> registration;
               empty -> nothing
           end,
    Full = Registrations > 0 orelse Count >= ?BATCH_EVENTS,
    Ready = is_ready(S),
    if Head == registration, Asked < ?REGISTRATIONS_UNANSWERED -> pump(Due, send_registration(S));
       Unanswered >= ?BATCHES_UNANSWERED -> S;
       Ready; Head == event andalso (Due orelse Full) -> pump(Due, send_batch(S));
       Head == event, Timer == undefined ->
            %% After what waits for this process already.
            Wait = max(0, S#state.left + ?BATCH_GAP - now_ms()),
            S#state{timer = erlang:send_after(Wait, self(), batch_due)};
       true -> S
    end.

%% Up to 64 events. While a snapshot runs 16 places are for that; a description comes before the events of its session,
%% and so before all.
send_batch(#state{queue = Queue, count = Count, seq = Seq, link = Link} = S0) ->
    Waiting = case queue:peek(Queue) of {value, #event{registration = undefined}} -> Count; _ -> 0 end,
    Places = case is_ready(S0) of true -> max(?DESCRIBED_PER_BATCH, ?BATCH_EVENTS - Waiting); false -> 0 end,
    {Described, Room, S1} = take_described(Places, ?BATCH_BYTES - ?BATCH_FRAME, [], S0),
    Synced = S0#state.snapshot /= undefined andalso S1#state.snapshot == undefined,
    {Elements, Facts, S2} = take_events(?BATCH_EVENTS - length(Described), Room, Described, [], S1),
    case length(Elements) of
        0 -> S2;
        Sent ->
            Batch = envelope(<<"events">>, Seq + 1, [], lists:reverse(Elements), S2),
            #link{ref = LinkRef, unanswered = Unanswered, in_flight = InFlight} = Link,
            BatchRef = make_ref(),
            Underway = Link#link{unanswered = Unanswered + 1,
                                 in_flight = InFlight#{BatchRef => {lists:reverse(Facts), Synced}}},
            ask(Batch, {batch, LinkRef, BatchRef}, S2#state{seq = Seq + Sent, link = Underway, left = now_ms()})
    end.

take_described(0, Room, Taken, S) -> {Taken, Room, S};
take_described(_, Room, Taken, #state{snapshot = undefined} = S) -> {Taken, Room, S};
take_described(Places, Room, Taken, S) ->
    case next_described(Room, S) of
        none -> {Taken, Room, S};
        {Element, Bytes, Rest} -> take_described(Places - 1, Room - Bytes, [Element | Taken], Rest)
    end.

take_events(0, _, Taken, Facts, S) -> {Taken, Facts, S};
take_events(Places, Room, Taken, Facts, #state{queue = Queue} = S) ->
    case queue:peek(Queue) of
        {value, #event{element = Element, bytes = Bytes, fact = Fact, registration = undefined}} when Bytes =< Room ->
            {_, Rest} = pop(S),
            take_events(Places - 1, Room - Bytes, [Element | Taken], [Fact || Fact /= undefined] ++ Facts, Rest);
        _ -> {Taken, Facts, S}
    end.

envelope(Name, Seq, Attrs, Children, #state{epoch = Epoch}) ->
    Numbered = [{<<"xmlns">>, ?NS_PUSHKEEPER}, {<<"name">>, node_name()}, {<<"epoch">>, Epoch},
                {<<"seq">>, mod_pushkeeper_xml:int(Seq)} | Attrs],
    #xmlel{name = Name, attrs = Numbered, children = Children}.

node_name() -> atom_to_binary(node(), utf8).

send_registration(S0) ->
    {#event{element = #xmlel{name = Name, attrs = Attrs, children = Children}, registration = Registration},
     #state{seq = Seq, link = #link{ref = Ref, asked = Asked} = Link} = S1} = pop(S0),
    Element = envelope(Name, Seq + 1, Attrs, Children, S1),
    S2 = S1#state{seq = Seq + 1, link = Link#link{asked = Asked + 1}},
    case is_connected(S2) of
        true -> ask(Element, {registration, Ref, Registration}, S2);
        false -> unlink("it is not connected", refused(Registration, S2))
    end.

is_connected(#state{component = Component}) -> ejabberd_router:is_my_route(Component).

%% What is sent to a component that is not connected would go to another server.
ask(Element, Context, #state{host = Host, component = Component, name = Name, options = Options} = S) ->
    case is_connected(S) of
        true ->
            Iq = #iq{type = set, from = jid:make(Host), to = jid:make(Component), sub_els = [Element]},
            ejabberd_router:route_iq(Iq, Context, Name, maps:get(answer_timeout, Options) * 1000),
            S;
        false -> unlink("it is not connected", S)
    end.

batch_answered(Answer, Ref, Batch, #state{link = #link{ref = Ref, unanswered = Unanswered, in_flight = InFlight} = Link,
                                         missed = Missed} = S) ->
    case Answer of
        #iq{type = result} ->
            {{Facts, Synced}, Rest} = maps:take(Batch, InFlight),
            Noted = mod_pushkeeper_missed:answered(Facts, Missed),
            S#state{link = Link#link{unanswered = Unanswered - 1, in_flight = Rest},
                    missed = case Synced of true -> mod_pushkeeper_missed:forget(Noted); false -> Noted end};
        _ -> unlink(no_result(Answer, S), S)
    end;
batch_answered(_, _, _, S) -> S.

no_result(timeout, #state{options = Options}) ->
    io_lib:format("no answer within ~B s", [maps:get(answer_timeout, Options)]);
no_result(Iq, _) ->
    {Type, Condition} = mod_pushkeeper_iq:condition(mod_pushkeeper_iq:error_element(Iq)),
    ["an error: ", Type, "/", Condition].

%%% The link -----------------------------------------------------------------------------------------------------------

link({Token, Delay, Features}, Held, #state{name = Name, options = Options} = S0) ->
    First = S0#state.link == undefined,
    S1 = drop_all(S0),
    S2 = S1#state{missed = mod_pushkeeper_missed:lose_recent(S1#state.missed)},
    ets:insert(Name, [{link, Features}, {ack_delay, smaller(Delay, own_ack_delay(Options))}]),
    First andalso ?INFO_MSG("Linked to ~ts", [S0#state.component]),
    mod_pushkeeper:take_registrations(S0#state.host),
    S2#state{link = #link{ref = make_ref(), token = Token, held = Held}, snapshot = new_snapshot(S2)}.

%% One that is switched off stays off.
smaller(_, off) -> off;
smaller(undefined, Own) -> Own;
smaller(Delay, Own) -> min(Delay, Own).

%% Drops what is queued, numbered so that a gap shows, and what has no answer: messages become missed ones.
drop_all(#state{link = undefined} = S) -> S;
drop_all(#state{link = #link{in_flight = InFlight}, queue = Queue, missed = Missed} = S0) ->
    Underway = lists:append([Facts || {Facts, _} <- maps:values(InFlight)]),
    Lost = lists:foldl(fun mod_pushkeeper_missed:lose/2, Missed, Underway),
    S1 = S0#state{link = undefined, snapshot = undefined, missed = Lost,
                  queue = queue:new(), count = 0, bytes = 0, registrations = 0},
    lists:foldl(fun(#event{fact = Fact, registration = undefined}, Acc) -> lose(Fact, number(Acc));
                   (#event{registration = Registration}, Acc) -> refused(Registration, number(Acc))
                end, S1, queue:to_list(Queue)).

lose(undefined, S) -> S;
lose(Fact, #state{missed = Missed} = S) -> S#state{missed = mod_pushkeeper_missed:lose(Fact, Missed)}.

unlink(_, #state{link = undefined} = S) -> S;
unlink(Reason, #state{name = Name, component = Component, options = Options} = S) ->
    ets:insert(Name, {ack_delay, own_ack_delay(Options)}),
    ets:delete(Name, link),
    Reason /= none andalso ?WARNING_MSG("No longer linked to ~ts: ~ts", [Component, Reason]),
    give_back_later(drop_all(S)).

give_back_later(#state{losses = Losses, options = Options} = S) ->
    erlang:send_after(maps:get(stretch_timeout, Options) * 1000, self(), {give_back, Losses + 1}),
    S#state{losses = Losses + 1}.

%% Longer windows become the host's own again.
give_back(#state{stretched = Stretched} = S) ->
    [ejabberd_c2s:cast(Pid, {mod_pushkeeper, own_window}) || Pid <- maps:values(Stretched)],
    S#state{stretched = #{}}.

-define(RIVALS, [mod_push, mod_push_keepalive]).

stands_back(Host) -> lists:any(fun(Module) -> gen_mod:is_loaded(Host, Module) end, ?RIVALS).

%% When ejabberd starts, they may be loaded after us.
will_stand_back(Host) ->
    lists:any(fun(Module) -> lists:keymember(Module, 1, ejabberd_option:modules(Host)) end, ?RIVALS).

%% Says so once, each time that it begins or ends.
stand_back(Before, #state{standing_back = Before} = S) -> S;
stand_back(true, #state{host = Host} = S) ->
    ?ERROR_MSG("mod_push is loaded on ~ts: both would act on the same registrations and timeouts. mod_pushkeeper does "
               "nothing until mod_push and mod_push_keepalive are removed from the modules of this host", [Host]),
    unlink("mod_push was loaded", S#state{standing_back = true});
stand_back(false, S) ->
    ?INFO_MSG("mod_push is gone from ~ts, mod_pushkeeper works again", [S#state.host]),
    S#state{standing_back = false}.

%% Tells pushkeeper, if it is there, that it may send a sync.
hello(#state{host = Host, seq = Seq} = S) ->
    case is_connected(S) andalso not stands_back(Host) of
        true ->
            Hello = envelope(<<"hello">>, Seq + 1, [{<<"stamp">>, mod_pushkeeper_xml:stamp()}], [], S),
            ask(Hello, hello, number(S));
        false -> S
    end.

%%% sync and check -----------------------------------------------------------------------------------------------------

other_nodes() -> ejabberd_cluster:get_nodes() -- [node()].

node_state(#state{link = undefined}) -> not_linked;
node_state(#state{epoch = Epoch, seq = Seq, sessions = Sessions, meeting = Meeting}) ->
    {node_name(), Epoch, Seq, map_size(Sessions) + map_size(Meeting)}.

state_element(#state{link = #link{token = Token}, options = Options}, Nodes) ->
    Attrs = [{<<"xmlns">>, ?NS_PUSHKEEPER}, {<<"token">>, Token}, {<<"software">>, <<"ejabberd">>},
             {<<"version">>, ejabberd_option:version()}, {<<"bridge">>, ?VERSION},
             {<<"max-timeout">>, mod_pushkeeper_xml:int(maps:get(max_timeout, Options))},
             {<<"facts">>, <<"contacts own">>}],
    Children = [#xmlel{name = <<"node">>,
                       attrs = [{<<"name">>, Name}, {<<"epoch">>, Epoch}, {<<"seq">>, mod_pushkeeper_xml:int(Seq)},
                                {<<"sessions">>, mod_pushkeeper_xml:int(Sessions)}]}
                || {Name, Epoch, Seq, Sessions} <- Nodes],
    #xmlel{name = <<"state">>, attrs = Attrs, children = Children}.

check(Iq, #state{standing_back = true} = S) -> refuse_standing_back(Iq, S);
check(Iq, #state{link = undefined} = S) -> mod_pushkeeper_iq:not_linked(Iq), S;
check(Iq, S) -> collect(check, none, Iq, S).

refuse_standing_back(Iq, S) ->
    mod_pushkeeper_iq:unlinked(Iq, <<"mod_push is loaded on this host">>),
    S.

sync(_, Iq, #state{standing_back = true} = S) -> refuse_standing_back(Iq, S);
sync(Sync, Iq, #state{full_at = FullAt, options = Options} = S) ->
    Token = mod_pushkeeper_xml:attr(<<"token">>, Sync),
    Pause = maps:get(full_pause, Options) * 1000,
    if Token == undefined; Token == <<>>; byte_size(Token) > ?MAX_VALUE_BYTES ->
            mod_pushkeeper_iq:refuse(Iq, mod_pushkeeper_iq:failure(modify, 'bad-request', <<"A sync needs a token">>)),
            S;
       true ->
            case FullAt /= undefined andalso now_ms() - FullAt < Pause of
                true ->
                    Error = mod_pushkeeper_iq:failure(wait, 'resource-constraint', <<"The queue was full">>),
                    mod_pushkeeper_iq:refuse(Iq, Error),
                    S;
                false ->
                    Features = [Feature || #xmlel{name = <<"feature">>} = It <- mod_pushkeeper_xml:children(Sync),
                                           Feature <- [mod_pushkeeper_xml:attr(<<"var">>, It)], Feature /= undefined],
                    Asked = {Token, delay(mod_pushkeeper_xml:attr(<<"ack-delay">>, Sync)), Features},
                    collect(sync, Asked, Iq, link(Asked, true, S#state{full_at = undefined}))
            end
    end.

delay(Text) ->
    case seconds(Text) of
        Seconds when is_number(Seconds), Seconds >= 0 -> max(1, round(Seconds * 1000));
        _ -> undefined
    end.

%% Asks the other nodes, if there are any, and answers for all.
collect(Kind, Asked, Iq, #state{name = Name, collects = Collects} = S) ->
    Others = other_nodes(),
    Collect = #collect{kind = Kind, iq = Iq, waiting = Others, states = [node_state(S)]},
    case Others of
        [] -> collected(Collect, S);
        _ ->
            Ref = make_ref(),
            gen_server:abcast(Others, Name, {join, Ref, self(), Kind, Asked}),
            erlang:send_after(?NODES_WITHIN, self(), {nodes_late, Ref}),
            S#state{collects = Collects#{Ref => Collect}}
    end.

%% A node that does not say its state in time is not one of ours.
joined(Ref, Node, State, #state{collects = Collects} = S) ->
    case Collects of
        #{Ref := #collect{waiting = Waiting, states = States} = Collect} ->
            Left = case Node of all -> []; _ -> lists:delete(Node, Waiting) end,
            More = Collect#collect{waiting = Left, states = [State || State /= undefined] ++ States},
            case Left of
                [] -> collected(More, S#state{collects = maps:remove(Ref, Collects)});
                _ -> S#state{collects = Collects#{Ref := More}}
            end;
        _ -> S
    end.

collected(#collect{iq = Iq}, #state{link = undefined} = S) -> mod_pushkeeper_iq:not_linked(Iq), S;
collected(#collect{kind = check, iq = Iq, states = States}, S) ->
    case lists:member(not_linked, States) of
        true -> mod_pushkeeper_iq:not_linked(Iq);
        false -> mod_pushkeeper_iq:answer(Iq, state_element(S, States))
    end,
    S;
collected(#collect{kind = sync, iq = Iq, states = States},
          #state{link = #link{token = Token} = Link, name = Name} = S) ->
    mod_pushkeeper_iq:answer(Iq, state_element(S, [State || State <- States, State /= not_linked])),
    gen_server:abcast(other_nodes(), Name, {go, Token}),
    S#state{link = Link#link{held = false}}.

%%% Whom to watch ------------------------------------------------------------------------------------------------------

obey(<<"watch">>, Order, #state{watch = Before, name = Name} = S0) ->
    Accounts = [{User, telling(It)} || {User, It} <- accounts(Order)],
    Complete = lists:member(mod_pushkeeper_xml:attr(<<"complete">>, Order), [<<"true">>, <<"1">>]),
    case mod_pushkeeper_xml:attr(<<"list">>, Order) of
        undefined ->
            touch([User || {User, _} <- Accounts], S0#state{watch = mod_pushkeeper_watch:add(Accounts, Before)});
        List ->
            Built = mod_pushkeeper_watch:build(List, Accounts, Before),
            case Complete of
                false -> S0#state{watch = Built};
                true ->
                    ets:match_delete(Name, {{before, '_'}, '_'}),
                    After = mod_pushkeeper_watch:complete(Built),
                    Users = maps:merge(mod_pushkeeper_watch:users(Before), mod_pushkeeper_watch:users(After)),
                    touch(maps:keys(Users), S0#state{watch = After})
            end
    end;
obey(<<"unwatch">>, Order, #state{watch = Watch} = S) ->
    Users = [User || {User, _} <- accounts(Order)],
    touch(Users, S#state{watch = mod_pushkeeper_watch:remove(Users, Watch)}).

telling(Account) ->
    #telling{full = mod_pushkeeper_xml:attr(<<"content">>, Account) == <<"full">>,
             contacts = mod_pushkeeper_xml:attr(<<"contacts">>, Account) == <<"true">>}.

accounts(Order) ->
    [{User, It} || #xmlel{name = <<"account">>} = It <- mod_pushkeeper_xml:children(Order),
                   User <- [mod_pushkeeper_xml:attr(<<"user">>, It)], User /= undefined].

%% Tells the sessions, through the table, of users who may be watched now or no longer. The sessions of an account that
%% became watched are described anew, now with their stanzas.
touch(Users, #state{name = Name, watch = Watch} = S) ->
    Watched = mod_pushkeeper_watch:users(Watch),
    lists:foldl(fun(User, Acc) ->
                        Before = ets:member(Name, {watched, User}),
                        case Watched of
                            #{User := Telling} ->
                                ets:insert(Name, {{watched, User}, Telling}),
                                case Before of true -> Acc; false -> became_watched(User, Acc) end;
                            _ -> ets:delete(Name, {watched, User}), Acc
                        end
                end, S, Users).

became_watched(_, #state{link = undefined} = S) -> S;
became_watched(User, #state{link = #link{ref = Ref}, sessions = Sessions} = S) ->
    [case Sessions of
         #{Sid := #seen{who = #who{pid = Pid}}} -> ejabberd_c2s:cast(Pid, {mod_pushkeeper, {describe, Ref, watched}})
     end || Sid <- sids(User, S), may_report(Sid, S)],
    S.

%%% The window of a hibernated session ---------------------------------------------------------------------------------

window(_, Iq, #state{link = undefined} = S) -> mod_pushkeeper_iq:not_linked(Iq), S;
window(Order, Iq, #state{options = Options} = S) ->
    [Sid, User, Resource, Since] =
        [mod_pushkeeper_xml:attr(Name, Order) || Name <- [<<"sid">>, <<"user">>, <<"resource">>, <<"since">>]],
    case seconds(mod_pushkeeper_xml:attr(<<"seconds">>, Order)) of
        Seconds when is_number(Seconds), Seconds >= 0, User /= undefined, Resource /= undefined ->
            case process_of(Sid, User, Resource, S) of
                none ->
                    Error = mod_pushkeeper_iq:failure(cancel, 'item-not-found', <<"There is no such session">>),
                    mod_pushkeeper_iq:refuse(Iq, Error),
                    S;
                Pid ->
                    Ref = make_ref(),
                    %% Only 0 ends a session, so what is less than a second is one.
                    Whole = ceil(min(Seconds, maps:get(max_timeout, Options))),
                    ejabberd_c2s:cast(Pid, {mod_pushkeeper, {window, Ref, self(), Sid, Since, Whole}}),
                    S#state{orders = (S#state.orders)#{Ref => {Iq, monitor(process, Pid)}}}
            end;
        _ -> mod_pushkeeper_iq:refuse(Iq, mod_pushkeeper_iq:failure(modify, 'bad-request', <<"Which session?">>)), S
    end.

seconds(undefined) -> undefined;
seconds(Text) ->
    try binary_to_integer(Text)
    catch error:badarg ->
            try binary_to_float(Text) catch error:badarg -> undefined end
    end.

%% A session of another node is asked there.
process_of(Sid, User, Resource, #state{host = Host, sessions = Sessions}) ->
    case Sessions of
        #{Sid := #seen{who = #who{user = User, resource = Resource, pid = Pid}}} -> Pid;
        _ ->
            Elsewhere = [Pid || other_nodes() /= [], {_, Pid} <- ejabberd_sm:get_session_sids(User, Host, Resource),
                                node(Pid) /= node()],
            case Elsewhere of
                [] -> none;
                _ -> lists:last(Elsewhere)
            end
    end.

window_answered(Ref, Answer, #state{orders = Orders} = S) ->
    case maps:take(Ref, Orders) of
        {{Iq, Monitor}, Rest} ->
            demonitor(Monitor, [flush]),
            case Answer of
                {ok, #xmlel{attrs = Attrs} = Session, #who{sid = Sid, pid = Pid}} ->
                    mod_pushkeeper_iq:answer(Iq, Session#xmlel{attrs = [{<<"xmlns">>, ?NS_PUSHKEEPER} | Attrs]}),
                    S#state{orders = Rest, stretched = (S#state.stretched)#{Sid => Pid}};
                {error, Condition, Text} ->
                    mod_pushkeeper_iq:refuse(Iq, mod_pushkeeper_iq:failure(cancel, Condition, Text)),
                    S#state{orders = Rest}
            end;
        error -> S
    end.

%%% Publishing for pushkeeper ------------------------------------------------------------------------------------------

relay(_, Iq, #state{link = undefined} = S) -> mod_pushkeeper_iq:not_linked(Iq), S;
relay(Order, Iq, #state{host = Host, name = Name, options = Options, relays = Relays} = S) ->
    Within = maps:get(relay_timeout, Options) * 1000,
    S#state{relays = mod_pushkeeper_relay:publish(Order, Iq, {Host, Name, Within}, Relays)}.

%%% Registrations ------------------------------------------------------------------------------------------------------

register(_, _, _, Iq, _, #state{link = undefined} = S) -> mod_pushkeeper_iq:unavailable(Iq), S;
register(#who{sid = Sid, user = User}, Description, {Element, Bytes}, Iq, Enables, #state{asking = Asking} = S0) ->
    case maps:get(Sid, Asking, 0) of
        Count when Count >= ?REGISTRATIONS_PER_SESSION ->
            mod_pushkeeper_iq:refuse(Iq, mod_pushkeeper_iq:failure(wait, 'resource-constraint',
                                                                 <<"Too many registrations at once">>)),
            S0;
        Count ->
            Registration = #registration{sid = Sid, user = User, enables = Enables, iq = Iq},
            S1 = S0#state{asking = Asking#{Sid => Count + 1}},
            %% Its events come after its description.
            S2 = case may_report(Sid, S1) of
                     true -> S1;
                     false -> mark_described(Sid, push(with_token(Description, S1), S1))
                 end,
            S3 = case Enables of
                     true -> touch([User], S2#state{watch = mod_pushkeeper_watch:ask(User, S2#state.watch)});
                     false -> S2
                 end,
            case S3#state.link of
                undefined -> refused(Registration, S3);
                _ -> push(#event{element = Element, bytes = Bytes, registration = Registration}, S3)
            end
    end.

refused(#registration{iq = Iq} = Registration, S) ->
    mod_pushkeeper_iq:unavailable(Iq),
    settled(Registration, false, S).

settled(#registration{sid = Sid, user = User, enables = Enables}, Accepted, #state{asking = Asking} = S0) ->
    Left = case Asking of
               #{Sid := Count} when Count > 1 -> Asking#{Sid := Count - 1};
               _ -> maps:remove(Sid, Asking)
           end,
    S1 = S0#state{asking = Left},
    case Enables of
        true -> touch([User], S1#state{watch = mod_pushkeeper_watch:settle(User, Accepted, S1#state.watch)});
        false -> S1
    end.

registration_answered(Answer, Ref, #registration{iq = Iq} = Registration, S0) ->
    {Same, S1} = case S0#state.link of
                     #link{ref = Ref, asked = Asked} = Link -> {true, S0#state{link = Link#link{asked = Asked - 1}}};
                     _ -> {false, S0}
                 end,
    case {Answer, for_client(Answer)} of
        {#iq{type = result}, _} ->
            mod_pushkeeper_iq:answer(Iq),
            settled(Registration, true, S1);
        {_, {yes, Error}} ->
            #iq{from = From, to = To, id = Id} = Iq,
            ejabberd_router:route(#iq{type = error, id = Id, from = To, to = From, sub_els = [Error]}),
            settled(Registration, false, S1);
        _ ->
            S2 = refused(Registration, S1),
            case Same of
                true -> unlink(no_result(Answer, S2), S2);
                false -> S2
            end
    end.

%% An error that is for the client says so; the client does not see that.
for_client(#iq{type = error} = Answer) ->
    case mod_pushkeeper_iq:error_element(Answer) of
        #xmlel{children = Children} = Error ->
            {Marks, Rest} = lists:partition(fun(#xmlel{name = <<"refused">>} = It) ->
                                                    mod_pushkeeper_xml:ns(It, <<>>) == ?NS_PUSHKEEPER;
                                               (_) -> false
                                            end, Children),
            case Marks of
                [] -> no;
                _ -> {yes, Error#xmlel{children = Rest}}
            end;
        none -> no
    end;
for_client(_) -> no.
