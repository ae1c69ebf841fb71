%% Questions and answers of mod_pushkeeper.
-module(mod_pushkeeper_iq).

-export([answer/1, answer/2, condition/1, failure/3, error_element/1, first/1, forbidden/1, not_linked/1, refusal/2,
         refuse/2, unavailable/1, unlinked/2]).

-include("xmpp.hrl").
-include("mod_pushkeeper.hrl").

-spec answer(iq()) -> ok.
answer(Iq) -> ejabberd_router:route(xmpp:make_iq_result(Iq)).

-spec answer(iq(), xmlel()) -> ok.
answer(Iq, Element) -> ejabberd_router:route(xmpp:make_iq_result(Iq, Element)).

-spec refuse(iq(), stanza_error()) -> ok.
refuse(Iq, Error) -> ejabberd_router:route(refusal(Iq, Error)).

%% Without what was asked: it may be large, and what no parser takes.
-spec refusal(iq(), stanza_error()) -> iq().
refusal(Iq, Error) -> xmpp:make_error(Iq#iq{sub_els = []}, Error).

-spec failure(atom(), atom(), binary()) -> stanza_error().
failure(Type, Condition, Text) -> #stanza_error{type = Type, reason = Condition, text = xmpp:mk_text(Text)}.

-spec forbidden(iq()) -> iq().
forbidden(Iq) -> refusal(Iq, failure(auth, forbidden, <<"Only the owner, or the configured component">>)).

-spec not_linked(iq()) -> ok.
not_linked(Iq) -> unlinked(Iq, <<"Not linked">>).

%% There is no link, or there can be none; which bridge says so. ejabberd would write that before the condition, which
%% comes first (RFC 6120, 8.3.2).
-spec unlinked(iq(), binary()) -> ok.
unlinked(Iq, Text) ->
    Unlinked = #xmlel{name = <<"unlinked">>, attrs = [{<<"xmlns">>, ?NS_PUSHKEEPER}, {<<"bridge">>, ?VERSION}]},
    #xmlel{children = Children} = Error = xmpp:encode(failure(cancel, 'unexpected-request', Text), ?NS_CLIENT),
    Answer = xmpp:make_iq_result(Iq),
    ejabberd_router:route(Answer#iq{type = error, sub_els = [Error#xmlel{children = Children ++ [Unlinked]}]}).

%% What a client is told while there is nobody to register with.
-spec unavailable(iq()) -> ok.
unavailable(Iq) ->
    refuse(Iq, failure(wait, 'service-unavailable', <<"Push notifications are not available at the moment">>)).

%% The element in an iq.
-spec first(iq()) -> xmlel().
first(#iq{sub_els = [#xmlel{} = Element | _]}) -> Element;
first(#iq{sub_els = [Element | _]}) -> xmpp:encode(Element).

%% The `<error/>` of an error answer, as it came.
-spec error_element(iq()) -> xmlel() | none.
error_element(#iq{sub_els = Children}) ->
    Encoded = [case Child of #xmlel{} -> Child; _ -> xmpp:encode(Child, ?NS_CLIENT) end || Child <- Children],
    case [Child || #xmlel{name = <<"error">>} = Child <- Encoded] of
        [] -> none;
        [Error | _] -> Error
    end.

%% The condition of an error, for the log and for decisions: its type and its name.
-spec condition(xmlel() | none) -> {binary(), binary()}.
condition(none) -> {<<"cancel">>, <<"undefined-condition">>};
condition(#xmlel{} = Error) ->
    Type = case mod_pushkeeper_xml:attr(<<"type">>, Error) of undefined -> <<"cancel">>; It -> It end,
    Names = [Name || #xmlel{name = Name} = Child <- mod_pushkeeper_xml:children(Error), Name /= <<"text">>,
                     mod_pushkeeper_xml:ns(Child, <<>>) == ?NS_STANZAS],
    {Type, case Names of [] -> <<"undefined-condition">>; [Name | _] -> Name end}.
