%% Whose sessions and messages are told: the list in force and the one under construction.
-module(mod_pushkeeper_watch).

-export([add/2, ask/2, build/3, complete/1, is_watched/2, new/0, remove/2, settle/3, users/1]).
-export_type([watch/0]).

-include("xmpp.hrl").
-include("mod_pushkeeper.hrl").

%% Why an account is watched: a list named it, or its `<enable/>` is on its way (so many times).
-record(entry, {named = false :: boolean(), telling = #telling{} :: telling(), asking = 0 :: non_neg_integer()}).
-record(watch, {force = #{} :: entries(), building = #{} :: entries(), name :: binary() | undefined}).

-type entries() :: #{binary() => #entry{}}.
%% A user, and how the messages are told.
-type account() :: {binary(), telling()}.
-opaque watch() :: #watch{}.

-spec new() -> watch().
new() -> #watch{}.

%% Who is watched, and how.
-spec users(watch()) -> #{binary() => telling()}.
users(#watch{force = Force}) -> maps:map(fun(_, #entry{telling = Telling}) -> Telling end, Force).

-spec is_watched(binary(), watch()) -> boolean().
is_watched(User, #watch{force = Force}) -> maps:is_key(User, Force).

%% Accounts of a list under construction. Those whose `<enable/>` is on its way are ours to keep until its answer.
-spec build(binary(), [account()], watch()) -> watch().
build(Name, Accounts, #watch{name = Name, building = Building} = Watch) ->
    Watch#watch{building = name(Accounts, Building)};
build(Name, Accounts, #watch{force = Force} = Watch) ->
    Asking = maps:map(fun(_, #entry{asking = Times}) -> #entry{asking = Times} end,
                      maps:filter(fun(_, #entry{asking = Times}) -> Times > 0 end, Force)),
    Watch#watch{name = Name, building = name(Accounts, Asking)}.

%% The list under construction is in force now.
-spec complete(watch()) -> watch().
complete(#watch{building = Building}) -> #watch{force = Building}.

%% Accounts without a list: for the one in force and for one under construction.
-spec add([account()], watch()) -> watch().
add(Accounts, Watch) -> both(fun(Entries) -> name(Accounts, Entries) end, Watch).

-spec remove([binary()], watch()) -> watch().
remove(Users, Watch) ->
    Unname = fun(User, Entries) -> change(User, Entries, fun(It) -> It#entry{named = false} end) end,
    both(fun(Entries) -> lists:foldl(Unname, Entries, Users) end, Watch).

%% An `<enable/>` of this user is on its way.
-spec ask(binary(), watch()) -> watch().
ask(User, Watch) ->
    both(fun(Entries) ->
                 #entry{asking = Times} = Entry = maps:get(User, Entries, #entry{}),
                 Entries#{User => Entry#entry{asking = Times + 1}}
         end, Watch).

%% It was answered.
-spec settle(binary(), boolean(), watch()) -> watch().
settle(User, Accepted, Watch) ->
    both(fun(Entries) ->
                 Known = case Accepted of
                             true -> maps:merge(#{User => #entry{}}, Entries);
                             false -> Entries
                         end,
                 change(User, Known, fun(#entry{named = Named, asking = Times} = It) ->
                                             It#entry{named = Named orelse Accepted, asking = max(0, Times - 1)}
                                     end)
         end, Watch).

both(Fun, #watch{force = Force, building = Building, name = Name} = Watch) ->
    Watch#watch{force = Fun(Force), building = if Name == undefined -> Building; true -> Fun(Building) end}.

name(Accounts, Entries) ->
    lists:foldl(fun({User, Telling}, Acc) ->
                        Entry = maps:get(User, Acc, #entry{}),
                        Acc#{User => Entry#entry{named = true, telling = Telling}}
                end, Entries, Accounts).

%% Whom nothing holds any more is not watched.
change(User, Entries, Fun) ->
    case Entries of
        #{User := Entry} ->
            case Fun(Entry) of
                #entry{named = false, asking = 0} -> maps:remove(User, Entries);
                Changed -> Entries#{User := Changed}
            end;
        _ -> Entries
    end.
