%% The shape of a stanza: what of it may leave the host. Who and what kind, never a text, a reason or a URL; and never
%% more of it than the limits of the namespace allow, whatever a stranger sends.
-module(mod_pushkeeper_shape).

-export([is_call/1, is_of_call/1, shape/4]).

-include("xmpp.hrl").

-define(NS_CLIENT_NAME, <<"jabber:client">>).
-define(NS_STANZA_ID, <<"urn:xmpp:sid:0">>).
-define(NS_HINTS_NAME, <<"urn:xmpp:hints">>).
-define(NS_NICK_NAME, <<"http://jabber.org/protocol/nick">>).
-define(NS_REFERENCE, <<"urn:xmpp:reference:0">>).
-define(JINGLE_MESSAGE, "urn:xmpp:jingle-message:").

-define(LEVELS, 8).
-define(CHILDREN, 32).
-define(ELEMENTS, 128).
-define(BYTES, 4096).
-define(VALUE_BYTES, 256).
%% What is needed for ` xmlns='jabber:client'`, and for `<stanza n='…'></stanza>`.
-define(NAMESPACE_BYTES, 22).
-define(FRAME, 40).

-define(IS_STANZA(Name), (Name == <<"message">> orelse Name == <<"presence">> orelse Name == <<"iq">>)).

%% `<stanza/>` with the shape of a stanza, and its size in bytes. `Account` is the bare JID of whose it is; `Full` keeps
%% the text of its body; `Number` is the stanza's in the session.
-spec shape(xmlel(), binary(), boolean(), non_neg_integer() | undefined) -> {xmlel(), pos_integer()}.
shape(Stanza, Account, Full, Number) ->
    Room = ?BYTES - ?NAMESPACE_BYTES,
    {#xmlel{attrs = Attrs} = Shape, Left} =
        try
            {Whole, {_, Rest}} = whole(Stanza, ?NS_CLIENT_NAME, 1, Full, {?ELEMENTS, Room}),
            {Whole, Rest}
        catch
            throw:too_much -> cut(Stanza, Account, Full, Room)
        end,
    Named = Shape#xmlel{attrs = [{<<"xmlns">>, ?NS_CLIENT_NAME} | lists:keydelete(<<"xmlns">>, 1, Attrs)]},
    Numbered = [{<<"n">>, mod_pushkeeper_xml:int(Number)} || Number /= undefined],
    {#xmlel{name = <<"stanza">>, attrs = Numbered, children = [Named]}, ?BYTES - Left + ?FRAME}.

%% Whether a message is one of XEP-0353.
-spec is_call(xmlel()) -> boolean().
is_call(Stanza) ->
    lists:any(fun(Child) -> is_jingle_message(mod_pushkeeper_xml:ns(Child, <<>>)) end,
              mod_pushkeeper_xml:children(Stanza)).

%% Whether this child of a message makes it one.
-spec is_of_call(xmlel() | xmpp_element()) -> boolean().
is_of_call(Child) -> is_jingle_message(xmpp:get_ns(Child)).

is_jingle_message(<<?JINGLE_MESSAGE, _/binary>>) -> true;
is_jingle_message(_) -> false.

%%% What may stay of an element ----------------------------------------------------------------------------------------

%% Those attributes that may leave the host, and how many bytes they take.
attributes(#xmlel{name = Name, attrs = Attrs}, Ns, Limit) ->
    Stanza = Ns == ?NS_CLIENT_NAME andalso ?IS_STANZA(Name),
    kept(Attrs, Stanza, Ns, Limit, [], 0).

kept([{Key, Value} | Rest], Stanza, Ns, Limit, Kept, Bytes) ->
    case is_kept(Key, Stanza, Ns) of
        true ->
            Cut = mod_pushkeeper_xml:cut(Value, Limit),
            Size = byte_size(Key) + 4 + mod_pushkeeper_xml:escaped_length(Cut),
            kept(Rest, Stanza, Ns, Limit, [{Key, Cut} | Kept], Bytes + Size);
        false -> kept(Rest, Stanza, Ns, Limit, Kept, Bytes)
    end;
kept([], _, _, _, Kept, Bytes) -> {lists:reverse(Kept), Bytes}.

is_kept(<<"xmlns">>, _, _) -> true;
is_kept(<<"from">>, _, _) -> true;
is_kept(<<"to">>, _, _) -> true;
is_kept(<<"type">>, _, _) -> true;
is_kept(<<"id">>, _, _) -> true;
is_kept(_, true, _) -> false;
is_kept(<<"by">>, _, _) -> true;
is_kept(<<"jid">>, _, _) -> true;
is_kept(<<"node">>, _, _) -> true;
is_kept(<<"code">>, _, _) -> true;
is_kept(<<"status">>, _, _) -> true;
is_kept(<<"stamp">>, _, _) -> true;
is_kept(<<"media">>, _, _) -> true;
is_kept(<<"rid">>, _, _) -> true;
is_kept(Key, _, ?NS_REFERENCE) -> Key == <<"uri">> orelse Key == <<"begin">> orelse Key == <<"end">>;
is_kept(_, _, _) -> false.

%% Whether the text itself may leave the host, for an account that is watched with content='full'.
is_content(<<"body">>, ?NS_CLIENT_NAME) -> true;
is_content(<<"nick">>, ?NS_NICK_NAME) -> true;
is_content(_, _) -> false.

%%% A stanza that keeps all limits: what almost every one goes through -------------------------------------------------

whole(#xmlel{name = Name} = Source, Outer, Level, Full, {Elements, Bytes}) ->
    Ns = mod_pushkeeper_xml:ns(Source, Outer),
    {Attrs, Size} = attributes(Source, Ns, ?VALUE_BYTES),
    Children = [Child || Child <- mod_pushkeeper_xml:children(Source), mod_pushkeeper_xml:is_writable(Child)],
    Text = case mod_pushkeeper_xml:text(Source) of
               blank -> [];
               Whole when Full -> [{xmlcdata, case is_content(Name, Ns) of true -> Whole; false -> <<"*">> end}];
               _ -> [{xmlcdata, <<"*">>}]
           end,
    Left = Bytes - Size - 2 * byte_size(Name) - 5
        - lists:sum([mod_pushkeeper_xml:escaped_length(It) || {xmlcdata, It} <- Text]),
    if Elements == 0; Left < 0; Level > ?LEVELS; length(Children) > ?CHILDREN -> throw(too_much);
       true -> ok
    end,
    {Shapes, Rest} = lists:mapfoldl(fun(Child, Room) -> whole(Child, Ns, Level + 1, Full, Room) end,
                                    {Elements - 1, Left}, Children),
    {#xmlel{name = Name, attrs = Attrs, children = Text ++ Shapes}, Rest}.

%%% A stanza that passes a limit: breadth-first, what matters first ----------------------------------------------------

-record(node, {name :: binary(), attrs :: [{binary(), binary()}], text = blank :: binary() | blank,
               kids = [] :: [pos_integer()]}).
%% An element that was taken and whose children come later; `done` are those that came already.
-record(open, {id :: pos_integer(), source :: xmlel(), ns :: binary(), level :: pos_integer(), done = [] :: [xmlel()]}).
-record(work, {nodes = #{} :: #{pos_integer() => #node{}}, left = ?ELEMENTS :: non_neg_integer(),
               bytes :: integer(), full :: boolean()}).

cut(Stanza, Account, Full, Room) ->
    {Root, W0} = take(Stanza, ?NS_CLIENT_NAME, none, 1, #work{bytes = Room, full = Full}),
    #open{ns = Ns} = Root,
    First = [Child || Child <- mod_pushkeeper_xml:children(Stanza), comes_first(Child, Ns, Account)],
    {Line, W1} = lists:foldl(fun(Child, Acc) -> take_first(Child, Root, Acc) end, {[], W0}, First),
    W2 = lists:foldl(fun(Open, W) -> content(Open, ?BYTES div 8, W) end, W1, lists:reverse(Line)),
    Queue = queue:from_list([Root#open{done = First} | lists:reverse(Line)]),
    #work{nodes = Nodes, bytes = Left} = breadth_first(Queue, W2),
    {build(Root#open.id, Nodes), Left}.

%% Children of a stanza that come before all others when something must go.
comes_first(#xmlel{name = Name} = Child, Outer, Account) ->
    case mod_pushkeeper_xml:ns(Child, Outer) of
        ?NS_STANZA_ID -> Name == <<"stanza-id">> andalso mod_pushkeeper_xml:attr(<<"by">>, Child) == Account;
        ?NS_CLIENT_NAME -> Name == <<"body">>;
        ?NS_HINTS_NAME -> true;
        Ns -> Name == <<"encrypted">> orelse is_jingle_message(Ns)
    end.

take_first(#xmlel{name = Name} = Child, Root, {Line, W0}) ->
    case take(Child, Root#open.ns, Root, 2, W0) of
        {none, W1} -> {Line, W1};
        {#open{ns = Ns} = Open, W1} ->
            Payloads = [It || Name == <<"encrypted">>,
                              #xmlel{name = <<"payload">>} = It <- mod_pushkeeper_xml:children(Child)],
            case Payloads of
                [] -> {[Open | Line], W1};
                [Payload | _] ->
                    case take(Payload, Ns, Open, 3, W1) of
                        {none, W2} -> {[Open | Line], W2};
                        {Inner, W2} -> {[Inner, Open#open{done = [Payload]} | Line], W2}
                    end
            end
    end.

breadth_first(Queue, W0) ->
    case queue:out(Queue) of
        {empty, _} -> W0;
        {{value, #open{level = ?LEVELS}}, Rest} -> breadth_first(Rest, W0);
        {{value, #open{source = Source, ns = Ns, level = Level, done = Done} = Parent}, Rest} ->
            Children = mod_pushkeeper_xml:children(Source) -- Done,
            {Queue1, W1} = lists:foldl(
                             fun(Child, {Q, W}) ->
                                     case take(Child, Ns, Parent, Level + 1, W) of
                                         {none, W2} -> {Q, W2};
                                         {Open, W2} -> {queue:in(Open, Q), content(Open, 0, W2)}
                                     end
                             end, {Rest, W0}, Children),
            breadth_first(Queue1, W1)
    end.

%% Takes an element, without its children, if there is room.
take(#xmlel{name = Name} = Source, Outer, Parent, Level, #work{nodes = Nodes, left = Left, bytes = Bytes} = W) ->
    Ns = mod_pushkeeper_xml:ns(Source, Outer),
    {Attrs, Size} = case attributes(Source, Ns, ?VALUE_BYTES) of
                        {_, Much} when Parent == none, Much > ?BYTES div 2 -> attributes(Source, Ns, 80);
                        Kept -> Kept
                    end,
    Needed = Size + 2 * byte_size(Name) + 6,
    Fits = Left > 0 andalso Needed =< Bytes andalso mod_pushkeeper_xml:is_writable(Source)
        andalso (Parent == none orelse length((maps:get(Parent#open.id, Nodes))#node.kids) < ?CHILDREN),
    case Fits of
        false -> {none, W};
        true ->
            Id = map_size(Nodes) + 1,
            Text = case mod_pushkeeper_xml:text(Source) of blank -> blank; _ -> <<"*">> end,
            Nodes1 = Nodes#{Id => #node{name = Name, attrs = Attrs, text = Text}},
            Nodes2 = case Parent of
                         none -> Nodes1;
                         #open{id = Above} ->
                             maps:update_with(Above, fun(#node{kids = Kids} = It) -> It#node{kids = [Id | Kids]} end,
                                              Nodes1)
                     end,
            {#open{id = Id, source = Source, ns = Ns, level = Level},
             W#work{nodes = Nodes2, left = Left - 1, bytes = Bytes - Needed}}
    end.

%% Puts in the text itself where it may leave the host, as much as fits beside `Reserve`.
content(#open{id = Id, source = #xmlel{name = Name} = Source, ns = Ns}, Reserve,
        #work{nodes = Nodes, bytes = Bytes, full = true} = W) ->
    case is_content(Name, Ns) andalso mod_pushkeeper_xml:text(Source) of
        Text when is_binary(Text) ->
            Cut = shorten(mod_pushkeeper_xml:cut(Text, max(Bytes - Reserve, 1)), Bytes - Reserve),
            Set = maps:update_with(Id, fun(Node) -> Node#node{text = Cut} end, Nodes),
            W#work{nodes = Set, bytes = Bytes - mod_pushkeeper_xml:escaped_length(Cut) + 1};
        _ -> W
    end;
content(_, _, W) -> W.

shorten(Text, Limit) ->
    case byte_size(Text) =< 1 orelse mod_pushkeeper_xml:escaped_length(Text) =< Limit of
        true -> Text;
        false -> shorten(mod_pushkeeper_xml:cut(Text, byte_size(Text) div 2), Limit)
    end.

build(Id, Nodes) ->
    #node{name = Name, attrs = Attrs, text = Text, kids = Kids} = maps:get(Id, Nodes),
    Shapes = [build(Kid, Nodes) || Kid <- lists:reverse(Kids)],
    #xmlel{name = Name, attrs = Attrs, children = [{xmlcdata, Text} || Text /= blank] ++ Shapes}.
