%% What pushkeeper may have missed: messages that were archived or went offline while it was not there to hear of them,
%% or that it had heard of so shortly before a crash that it may have forgotten them.
-module(mod_pushkeeper_missed).

-export([answered/2, describe/2, fact/4, forget/1, has_overflowed/1, lose/2, lose_recent/1, merge/2, new/0, users/1]).
-export_type([fact/0, missed/0]).

-include("xmpp.hrl").

-define(ACCOUNTS, 10000).
-define(KEYS, 10).
-define(SECONDS, 30).
%% The longest attribute of a key.
-define(VALUE_BYTES, 256).

%% One such message: whose it is, the key that names it for good (as attributes of its `<key/>`), its `<stanza/>` and
%% the size of that.
-record(fact, {user :: binary(), key :: [{binary(), binary()}], shape :: xmlel(), bytes :: pos_integer()}).
%% What an account missed: how many, and the facts of the newest ten, the newest first.
-record(record, {count = 0 :: non_neg_integer(), facts = [] :: [#fact{}]}).
%% `recent` is what was answered lately, by the second, the newest first.
-record(missed, {users = #{} :: #{binary() => #record{}}, overflow = false :: boolean(),
                 recent = [] :: [{integer(), #{binary() => #record{}}}]}).

-opaque fact() :: #fact{}.
-opaque missed() :: #missed{}.

-spec new() -> missed().
new() -> #missed{}.

%% `ArchiveId`: where it was archived, if it was.
-spec fact(binary(), xmlel(), binary() | undefined, {xmlel(), pos_integer()}) -> fact().
fact(User, Stanza, ArchiveId, {Shape, Bytes}) ->
    #fact{user = User, key = key(Stanza, ArchiveId), shape = Shape, bytes = Bytes}.

%% Cut as the shapes are: strangers choose how long an id is, and ten keys must fit into one event.
key(Stanza, ArchiveId) ->
    [{Name, mod_pushkeeper_xml:cut(Value, ?VALUE_BYTES)} || {Name, Value} <- whole_key(Stanza, ArchiveId)].

whole_key(Stanza, ArchiveId) ->
    From = case mod_pushkeeper_xml:attr(<<"from">>, Stanza) of undefined -> <<>>; Sender -> Sender end,
    case {call(Stanza), ArchiveId, mod_pushkeeper_xml:attr(<<"id">>, Stanza)} of
        {Call, _, _} when Call /= undefined ->
            [Bare | _] = binary:split(From, <<"/">>),
            [{<<"call">>, <<"true">>}, {<<"from">>, Bare}, {<<"id">>, Call}];
        {_, _, _} when ArchiveId /= undefined -> [{<<"id">>, ArchiveId}];
        {_, _, undefined} -> [];
        {_, _, Id} -> [{<<"from">>, From}, {<<"id">>, Id}]
    end.

call(Stanza) ->
    Proposes = [mod_pushkeeper_xml:attr(<<"id">>, It)
                || #xmlel{name = <<"propose">>} = It <- mod_pushkeeper_xml:children(Stanza),
                   is_jingle(mod_pushkeeper_xml:ns(It, <<>>))],
    case Proposes of
        [] -> undefined;
        [Id | _] -> Id
    end.

is_jingle(<<"urn:xmpp:jingle-message:", _/binary>>) -> true;
is_jingle(_) -> false.

%% Archived, then offline: the same message.
remember(#fact{key = Key} = Fact, #record{count = Count, facts = Facts}) ->
    case Key /= [] andalso lists:keyfind(Key, #fact.key, Facts) of
        false -> #record{count = Count + 1, facts = lists:sublist([Fact | Facts], ?KEYS)};
        _ -> #record{count = Count, facts = lists:keyreplace(Key, #fact.key, Facts, Fact)}
    end.

-spec lose(fact(), missed()) -> missed().
lose(#fact{user = User} = Fact, #missed{users = Users} = Missed) ->
    case Users of
        #{User := Record} -> Missed#missed{users = Users#{User := remember(Fact, Record)}};
        _ when map_size(Users) >= ?ACCOUNTS -> Missed#missed{overflow = true};
        _ -> Missed#missed{users = Users#{User => remember(Fact, #record{})}}
    end.

%% What was answered may have been forgotten in a crash: it is kept for a while.
-spec answered([fact()], missed()) -> missed().
answered(Facts, #missed{recent = Recent} = Missed) ->
    Second = erlang:monotonic_time(second),
    Kept = lists:takewhile(fun({At, _}) -> At >= Second - ?SECONDS end, Recent),
    {Bucket, Rest} = case Kept of
                         [{Second, Users} | Older] -> {Users, Older};
                         _ -> {#{}, Kept}
                     end,
    case Facts of
        [] -> Missed#missed{recent = Kept};
        _ ->
            Filled = lists:foldl(fun(#fact{user = User} = Fact, Acc) ->
                                         Acc#{User => remember(Fact, maps:get(User, Acc, #record{}))}
                                 end, Bucket, Facts),
            Missed#missed{recent = [{Second, Filled} | Rest]}
    end.

%% What was answered lately is lost as well.
-spec lose_recent(missed()) -> missed().
lose_recent(#missed{recent = Recent} = Missed) ->
    lists:foldl(fun({_, Users}, Acc) -> maps:fold(fun lose_record/3, Acc, Users) end,
                Missed#missed{recent = []}, lists:reverse(Recent)).

lose_record(User, #record{count = Count, facts = Facts}, Missed) ->
    #missed{users = Users} = Merged = lists:foldr(fun lose/2, Missed, Facts),
    case Users of
        #{User := #record{count = Now} = Record} ->
            Merged#missed{users = Users#{User := Record#record{count = Now + Count - length(Facts)}}};
        _ -> Merged
    end.

%% What another instance of the module had.
-spec merge(missed(), missed()) -> missed().
merge(#missed{users = Users, overflow = Overflow}, Missed) ->
    Merged = maps:fold(fun lose_record/3, Missed, Users),
    Merged#missed{overflow = Overflow orelse Merged#missed.overflow}.

-spec users(missed()) -> [binary()].
users(#missed{users = Users}) -> maps:keys(Users).

-spec has_overflowed(missed()) -> boolean().
has_overflowed(#missed{overflow = Overflow}) -> Overflow.

%% A snapshot told it all.
-spec forget(missed()) -> missed().
forget(#missed{recent = Recent}) -> #missed{recent = Recent}.

%% How many messages a user missed, and the children of its `<missed/>`: the keys, the oldest first, and the newest
%% message.
-spec describe(binary(), missed()) -> {pos_integer(), [xmlel()]} | nothing.
describe(User, #missed{users = Users}) ->
    case Users of
        #{User := #record{count = Count, facts = [#fact{shape = Newest} | _] = Facts}} ->
            Keys = [#xmlel{name = <<"key">>, attrs = Key} || #fact{key = Key} <- lists:reverse(Facts)],
            {Count, Keys ++ [Newest]};
        _ -> nothing
    end.
