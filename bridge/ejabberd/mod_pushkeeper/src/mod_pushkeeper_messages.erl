%% What is told of the messages of an account. It runs where they are: in the processes of sessions and of senders.
-module(mod_pushkeeper_messages).

-export([archived/7, archived/8, bounced/1, event/4, offline/1, received/2, sent/2]).

-import(mod_pushkeeper, [observe/4]).
-import(mod_pushkeeper_server, [say/2]).

-include("xmpp.hrl").
-include("mod_pushkeeper.hrl").

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

%% A call that a session of the account got; one that was archived was told as such.
-spec received(xmpp_element() | xmlel(), map()) -> ok.
received(#message{type = Type, meta = Meta} = Message, #{lserver := Host, jid := #jid{luser = User}})
  when Type /= error ->
    case is_call(Message) of
        true when not is_map_key(mam_archived, Meta), not is_map_key(sm_copy, Meta), not is_map_key(carbon_copy, Meta),
                  not is_map_key(mgmt_is_resent, Meta) ->
            observe(Host, received, ok, fun() -> call(Host, User, Message, []) end);
        _ -> ok
    end;
received(_, _) -> ok.

%% A call of our own.
-spec sent(message(), map()) -> ok.
sent(#message{type = Type} = Message, #{lserver := Host, jid := #jid{luser = User} = From}) when Type /= error ->
    case is_call(Message) of
        true ->
            Own = xmpp:set_from(Message, From),
            observe(Host, sent, ok, fun() -> call(Host, User, Own, [{<<"sent">>, <<"true">>}]) end);
        false -> ok
    end;
sent(_, _) -> ok.

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
    Element = event(Name, User, Attrs, [Shape]),
    say(Host, {message, {Element, Size + mod_pushkeeper_xml:size(Element#xmlel{children = []})}, Fact}).

%% An event of an account.
-spec event(binary(), binary(), [{binary(), binary()}], [xmlel()]) -> xmlel().
event(Name, User, Attrs, Children) ->
    Stamped = [{<<"stamp">>, mod_pushkeeper_xml:stamp()}, {<<"user">>, User} | Attrs],
    #xmlel{name = Name, attrs = Stamped, children = Children}.
