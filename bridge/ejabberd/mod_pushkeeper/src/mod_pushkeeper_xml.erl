%% Elements, numbers and times as mod_pushkeeper writes them.
-module(mod_pushkeeper_xml).

-export([attr/2, children/1, cut/2, escaped_length/1, int/1, is_writable/1, ns/2, size/1, stamp/0, text/1]).

-include("xmpp.hrl").

%% XML reserves these for itself: no element of theirs can be written so that every parser takes it.
-define(RESERVED(Ns),
        Ns == <<"http://www.w3.org/XML/1998/namespace">>; Ns == <<"http://www.w3.org/2000/xmlns/">>).

%% The two digits of a number.
-define(TWO(Number), ((Number) div 10 + $0), ((Number) rem 10 + $0)).

-spec int(integer()) -> binary().
int(Number) -> integer_to_binary(Number).

%% XEP-0082, in milliseconds.
-spec stamp() -> binary().
stamp() ->
    Now = erlang:system_time(millisecond),
    Milli = Now rem 1000,
    {{Year, Month, Day}, {Hour, Minute, Second}} = calendar:system_time_to_universal_time(Now div 1000, second),
    <<(integer_to_binary(Year))/binary, $-, ?TWO(Month), $-, ?TWO(Day), $T, ?TWO(Hour), $:, ?TWO(Minute), $:,
      ?TWO(Second), $., (Milli div 100 + $0), ?TWO(Milli rem 100), $Z>>.

-spec attr(binary(), xmlel()) -> binary() | undefined.
attr(Name, #xmlel{attrs = Attrs}) ->
    case lists:keyfind(Name, 1, Attrs) of
        {_, Value} -> Value;
        false -> undefined
    end.

-spec children(xmlel()) -> [xmlel()].
children(#xmlel{children = Children}) -> [Child || #xmlel{} = Child <- Children].

%% The namespace of an element in one of this namespace.
-spec ns(xmlel(), binary()) -> binary().
ns(Element, Outer) ->
    case attr(<<"xmlns">>, Element) of
        undefined -> Outer;
        Ns -> Ns
    end.

%% Whether an element can be written as it is: not with a prefix, whose declaration may be anywhere, and in no
%% namespace that XML keeps for itself.
-spec is_writable(xmlel()) -> boolean().
is_writable(#xmlel{name = Name} = Element) ->
    not has_prefix(Name) andalso not is_reserved(attr(<<"xmlns">>, Element)).

has_prefix(<<$:, _/binary>>) -> true;
has_prefix(<<_, Rest/binary>>) -> has_prefix(Rest);
has_prefix(<<>>) -> false.

is_reserved(Ns) when ?RESERVED(Ns) -> true;
is_reserved(_) -> false.

%% The text of an element; `blank` if there is none to speak of.
-spec text(xmlel()) -> binary() | blank.
text(#xmlel{children = []}) -> blank;
text(#xmlel{children = [{xmlcdata, Text}]}) when is_binary(Text) ->
    case is_blank(Text) of
        true -> blank;
        false -> Text
    end;
text(#xmlel{children = Children}) ->
    case iolist_to_binary([Text || {xmlcdata, Text} <- Children]) of
        <<>> -> blank;
        Text ->
            case is_blank(Text) of
                true -> blank;
                false -> Text
            end
    end.

is_blank(<<C, Rest/binary>>) when C == $\s; C == $\n; C == $\r; C == $\t -> is_blank(Rest);
is_blank(Rest) -> Rest == <<>>.

%% Cuts UTF-8 text to at most so many bytes.
-spec cut(binary(), non_neg_integer()) -> binary().
cut(Text, Bytes) when byte_size(Text) =< Bytes -> Text;
cut(Text, Bytes) -> binary:part(Text, 0, start_of_character(Text, Bytes)).

start_of_character(Text, At) ->
    case binary:at(Text, At) of
        Byte when Byte >= 16#80, Byte < 16#C0, At > 0 -> start_of_character(Text, At - 1);
        _ -> At
    end.

-spec escaped_length(binary()) -> non_neg_integer().
escaped_length(Text) -> escaped_length(Text, 0).

escaped_length(<<C, Rest/binary>>, Length) when C == $&; C == $' ; C == $" -> escaped_length(Rest, Length + 6);
escaped_length(<<C, Rest/binary>>, Length) when C == $<; C == $> -> escaped_length(Rest, Length + 4);
escaped_length(<<_, Rest/binary>>, Length) -> escaped_length(Rest, Length + 1);
escaped_length(<<>>, Length) -> Length.

%% How many bytes it is on the wire, or some more.
-spec size(xmlel()) -> non_neg_integer().
size(#xmlel{name = Name, attrs = Attrs, children = Children}) ->
    2 * byte_size(Name) + 5
        + lists:sum([byte_size(Key) + 4 + escaped_length(Value) || {Key, Value} <- Attrs])
        + lists:sum([size_of(Child) || Child <- Children]).

size_of({xmlcdata, Text}) -> escaped_length(Text);
size_of(Element) -> ?MODULE:size(Element).
