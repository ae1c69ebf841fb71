%% What nobody can see in a stanza itself: whether its sender is a contact of the account, and whether what a room sends
%% is the account's own message.
%%
%% Rooms are remembered in the state of the session that entered them, and are in a table for the account's other
%% sessions; all of it runs in the processes of sessions and senders.
-module(mod_pushkeeper_facts).

-export([ended/1, forget/2, meet/1, new/1, presence_received/2, presence_sent/2, tell/5]).

-include("xmpp.hrl").
-include("mod_pushkeeper.hrl").

%% Of one session. The one that was entered first makes room.
-define(ROOMS, 64).
%% How long the names of a roster may be used to say that somebody is not among them, in milliseconds; of how many
%% accounts.
-define(MOMENT, 2000).
-define(ROSTERS, 1000).
%% ` contact='false'`.
-define(MARK_BYTES, 16).

%% A nick, the one that was asked for, whether the room has said so, and which of those entered it was.
-record(room, {nick :: binary(), wanted :: binary() | undefined, confirmed = false :: boolean(),
               at :: non_neg_integer()}).

-type state() :: map().

%% The tables, which belong to the calling process.
-spec new(binary()) -> ok.
new(Host) ->
    _ = ets:new(rooms(Host), [named_table, public, bag, {read_concurrency, true}]),
    _ = ets:new(rosters(Host), [named_table, public, set, {read_concurrency, true}]),
    ok.

rooms(Host) -> gen_mod:get_module_proc(Host, mod_pushkeeper_rooms).

rosters(Host) -> gen_mod:get_module_proc(Host, mod_pushkeeper_rosters).

%% `<stanza/>` with the shape of a stanza and what is to be said of it, and its size in bytes.
-spec tell(xmlel(), binary(), binary(), telling(), non_neg_integer() | undefined) -> {xmlel(), pos_integer()}.
tell(#xmlel{name = Name} = Stanza, User, Host, #telling{full = Full} = Telling, Number) ->
    {#xmlel{attrs = Attrs} = Told, Bytes} =
        mod_pushkeeper_shape:shape(Stanza, <<User/binary, $@, Host/binary>>, Full, Number),
    case Name == <<"message">> andalso mark(mod_pushkeeper_xml:attr(<<"type">>, Stanza), Stanza, User, Host, Telling) of
        {_, _} = Mark -> {Told#xmlel{attrs = [Mark | Attrs]}, Bytes + ?MARK_BYTES};
        _ -> {Told, Bytes}
    end.

mark(<<"groupchat">>, Stanza, User, Host, _) -> is_own(Stanza, User, Host) andalso {<<"own">>, <<"true">>};
mark(<<"error">>, _, _, _, _) -> false;
mark(_, Stanza, User, Host, #telling{contacts = true}) ->
    case is_contact(Stanza, User, Host) of
        unknown -> false;
        Is -> {<<"contact">>, atom_to_binary(Is, utf8)}
    end;
mark(_, _, _, _, _) -> false.

%%% Rooms --------------------------------------------------------------------------------------------------------------

%% A session sent a presence: to a room by its nick, or, when it goes away, to all.
-spec presence_sent(presence(), state()) -> state().
presence_sent(#presence{type = available, to = #jid{lresource = Nick} = To}, State) when Nick /= <<>> ->
    enter(place(To), Nick, State);
presence_sent(#presence{type = unavailable, to = #jid{luser = User, lserver = Host, lresource = <<>>}},
              #{jid := #jid{luser = User, lserver = Host}} = State) -> leave_all(State);
presence_sent(#presence{type = unavailable, to = #jid{lresource = Nick} = To}, State) when Nick /= <<>> ->
    leave(place(To), State);
presence_sent(_, State) -> State.

%% A session got a presence: rooms tell the nick that one really has, and of the end.
-spec presence_received(presence(), state()) -> state().
presence_received(#presence{from = #jid{lresource = Nick} = From, type = Type} = Presence,
                  #{pushkeeper := #{rooms := Rooms}} = State) ->
    Place = place(From),
    case Rooms of
        #{Place := Room} when Type == error -> refused(Nick, Place, Room, State);
        #{Place := Room} when Nick /= <<>>, Type == available orelse Type == unavailable ->
            {IsSelf, NewNick} = occupant(Presence),
            told(Type, IsSelf, Nick, NewNick, Place, Room, State);
        _ -> State
    end;
presence_received(_, State) -> State.

told(available, true, Nick, _, Place, Room, State) -> confirm(Nick, Place, Room, State);
told(unavailable, IsSelf, Nick, NewNick, Place, #room{nick = Own, wanted = Wanted} = Room, State)
  when NewNick /= undefined ->
    case IsSelf orelse Nick == Own andalso NewNick == Wanted of
        true -> confirm(NewNick, Place, Room, State);
        false -> State
    end;
told(unavailable, IsSelf, Nick, _, Place, #room{nick = Own}, State) when IsSelf; Nick == Own -> leave(Place, State);
told(_, _, _, _, _, _, State) -> State.

refused(Nick, Place, #room{wanted = Wanted} = Room, State)
  when Wanted /= undefined, Nick == Wanted orelse Nick == <<>> ->
    put_room(Place, Room#room{wanted = undefined}, State);
refused(Nick, Place, #room{nick = Own, confirmed = false}, State) when Nick == Own; Nick == <<>> -> leave(Place, State);
refused(_, _, _, State) -> State.

%% Whether it is oneself (status 110), and the new nick (status 303).
occupant(Presence) ->
    case xmpp:get_subtag(Presence, #muc_user{}) of
        #muc_user{status_codes = Codes, items = Items} ->
            New = case {lists:member(303, Codes), Items} of
                      {true, [#muc_item{nick = Nick} | _]} -> prepared(Nick);
                      _ -> undefined
                  end,
            {lists:member(110, Codes), New};
        _ -> {false, undefined}
    end.

prepared(Nick) ->
    case jid:resourceprep(Nick) of
        error -> undefined;
        Prepared -> Prepared
    end.

place(#jid{luser = User, lserver = Domain}) -> {User, Domain}.

%% Another nick holds from the moment that the room says so: somebody else may have it.
enter(Place, Nick, #{pushkeeper := Memory} = State) ->
    case maps:get(rooms, Memory, #{}) of
        #{Place := #room{nick = Nick} = Room} -> put_room(Place, Room#room{wanted = undefined}, State);
        #{Place := Room} -> put_room(Place, Room#room{wanted = Nick}, State);
        Rooms ->
            Entered = maps:get(entered, Memory, 0),
            Roomy = case map_size(Rooms) >= ?ROOMS of
                        true -> leave(oldest(Rooms), State);
                        false -> State
                    end,
            table(insert, Place, Nick, State),
            Counted = mod_pushkeeper_session:remember(entered, Entered + 1, Roomy),
            put_room(Place, #room{nick = Nick, at = Entered}, Counted)
    end;
%% It is met later, and asked for the presences that it sent.
enter(_, _, State) -> State.

oldest(Rooms) ->
    [{_, Place} | _] = lists:sort([{At, Place} || {Place, #room{at = At}} <- maps:to_list(Rooms)]),
    Place.

confirm(Nick, Place, #room{nick = Before} = Room, State) ->
    Nick == Before orelse begin table(delete_object, Place, Before, State), table(insert, Place, Nick, State) end,
    put_room(Place, Room#room{nick = Nick, wanted = undefined, confirmed = true}, State).

put_room(Place, Room, #{pushkeeper := Memory} = State) ->
    mod_pushkeeper_session:remember(rooms, (maps:get(rooms, Memory, #{}))#{Place => Room}, State).

leave(Place, #{pushkeeper := #{rooms := Rooms}} = State) ->
    case maps:take(Place, Rooms) of
        {#room{nick = Nick}, Rest} ->
            table(delete_object, Place, Nick, State),
            mod_pushkeeper_session:remember(rooms, Rest, State);
        error -> State
    end;
leave(_, State) -> State.

leave_all(State) ->
    ended(State),
    case State of
        #{pushkeeper := #{rooms := _}} -> mod_pushkeeper_session:remember(rooms, undefined, State);
        _ -> State
    end.

%% A session is over, and with it its rooms.
-spec ended(state()) -> ok.
ended(#{pushkeeper := #{rooms := Rooms}} = State) ->
    maps:foreach(fun(Place, #room{nick = Nick}) -> table(delete_object, Place, Nick, State) end, Rooms);
ended(_) -> ok.

%% A session whose process ended without a word.
-spec forget(binary(), binary()) -> ok.
forget(Host, Sid) ->
    ets:match_delete(rooms(Host), {'_', '_', Sid}),
    ok.

table(Action, Place, Nick, #{lserver := Host, jid := #jid{luser = User}, pushkeeper := #{sid := Sid}}) ->
    ets:Action(rooms(Host), {{User, Place}, Nick, Sid}).

%% A session that was there before this instance of the module: the host keeps to whom it sent presence. One room by two
%% nicks is a nick that was changed, and only what is remembered of it tells in which direction.
-spec meet(state()) -> state().
meet(#{pres_a := Sent, pushkeeper := Memory} = State) ->
    Known = maps:get(rooms, Memory, #{}),
    Nicks = lists:foldl(fun({User, Domain, Nick}, Acc) ->
                                maps:update_with({User, Domain}, fun(Others) -> [Nick | Others] end, [Nick], Acc)
                        end, #{}, [It || {_, _, Nick} = It <- gb_sets:to_list(Sent), Nick /= <<>>]),
    Kept = maps:filter(fun(Place, #room{nick = Nick}) -> lists:member(Nick, maps:get(Place, Nicks, [])) end, Known),
    Met = mod_pushkeeper_session:remember(rooms, Kept, State),
    maps:foreach(fun(Place, #room{nick = Nick}) -> table(insert, Place, Nick, Met) end, Kept),
    maps:fold(fun(Place, [Nick], Acc) when not is_map_key(Place, Kept) -> enter(Place, Nick, Acc);
                 (_, _, Acc) -> Acc
              end, Met, Nicks);
meet(State) -> State.

is_own(Stanza, User, Host) ->
    case decoded(mod_pushkeeper_xml:attr(<<"from">>, Stanza)) of
        #jid{lresource = Nick} = From when Nick /= <<>> ->
            try ets:lookup(rooms(Host), {User, place(From)}) of
                Rows -> lists:keymember(Nick, 2, Rows)
            catch
                error:badarg -> false
            end;
        _ -> false
    end.

decoded(undefined) -> none;
decoded(Text) ->
    try jid:decode(Text)
    catch _:_ -> none
    end.

%%% Contacts -----------------------------------------------------------------------------------------------------------

is_contact(Stanza, User, Host) ->
    #xmlel{} = Message = carried(Stanza, <<User/binary, $@, Host/binary>>),
    Type = mod_pushkeeper_xml:attr(<<"type">>, Message),
    case decoded(mod_pushkeeper_xml:attr(<<"from">>, Message)) of
        _ when Type == <<"groupchat">>; Type == <<"error">> -> unknown;
        #jid{luser = User, lserver = Host} -> true;
        none -> unknown;
        From ->
            try is_item(From, User, Host)
            catch _:_ -> unknown
            end
    end.

%% What a carbon carries. One that the account itself did not send is none.
carried(Stanza, Account) ->
    Forwarded = [Message || mod_pushkeeper_xml:attr(<<"from">>, Stanza) == Account,
                            #xmlel{name = Name} = Carbon <- mod_pushkeeper_xml:children(Stanza),
                            Name == <<"received">> orelse Name == <<"sent">>,
                            mod_pushkeeper_xml:attr(<<"xmlns">>, Carbon) == <<"urn:xmpp:carbons:2">>,
                            #xmlel{name = <<"forwarded">>} = Forward <- mod_pushkeeper_xml:children(Carbon),
                            #xmlel{name = <<"message">>} = Message <- mod_pushkeeper_xml:children(Forward)],
    case Forwarded of
        [] -> Stanza;
        [Message | _] -> Message
    end.

%% One item is cheap, and what almost everybody is who writes. Only of an item without a subscription, a request and a
%% group does it say the same as of a stranger: then the whole roster is read. Strangers may write often: its names are
%% kept for a moment.
is_item(From, User, Host) ->
    case ejabberd_hooks:run_fold(roster_get_jid_info, Host, {none, none, []}, [User, Host, From]) of
        {none, Ask, []} when Ask == none; Ask == in ->
            Contact = jid:tolower(jid:remove_resource(From)),
            case is_among_names(Contact, kept_names(User, Host)) of
                maybe -> is_among(Contact, read_names(User, Host));
                Is -> Is
            end;
        _ -> true
    end.

%% As hashes: a table gives a binary out without copying it.
kept_names(User, Host) ->
    Now = erlang:monotonic_time(millisecond),
    case ets:lookup(rosters(Host), User) of
        [{_, Until, Names}] when Now < Until -> Names;
        _ -> none
    end.

is_among_names(_, none) -> maybe;
is_among_names(_, unknown) -> unknown;
is_among_names(Contact, Hashes) -> has_hash(erlang:phash2(Contact, 16#100000000), Hashes).

has_hash(Hash, <<Hash:32, _/binary>>) -> maybe;
has_hash(Hash, <<_:32, Rest/binary>>) -> has_hash(Hash, Rest);
has_hash(_, <<>>) -> false.

is_among(_, unknown) -> unknown;
is_among(Contact, Names) -> lists:member(Contact, Names).

read_names(User, Host) ->
    Names = names(User, Host),
    Hashes = case Names of
                 unknown -> unknown;
                 _ -> << <<(erlang:phash2(Name, 16#100000000)):32>> || Name <- Names >>
             end,
    Table = rosters(Host),
    ets:info(Table, size) < ?ROSTERS orelse ets:delete_all_objects(Table),
    ets:insert(Table, {User, erlang:monotonic_time(millisecond) + ?MOMENT, Hashes}),
    Names.

names(User, Host) ->
    case gen_mod:is_loaded(Host, mod_roster)
        andalso ejabberd_hooks:run_fold(roster_get, Host, [], [{User, Host}]) of
        false -> unknown;
        %% It says the same when it could not be read.
        [] ->
            case (gen_mod:db_mod(Host, mod_roster)):get_roster(User, Host) of
                {ok, _} -> [];
                _ -> unknown
            end;
        Items -> [jid:tolower(jid:remove_resource(Jid)) || #roster_item{jid = Jid} <- Items]
    end.
