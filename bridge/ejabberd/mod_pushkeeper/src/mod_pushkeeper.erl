%% Tells pushkeeper, an external component, what happens to the sessions and messages of this host, and obeys its few
%% orders. The namespace is described in docs/signals.md of pushkeeper.
%%
%% It reports facts and decides nothing. Every handler that only observes is guarded: whatever goes wrong in it ends the
%% link, never the host's own work. While it is not linked the host behaves as if this module were not there.
%%
%% This file is the module of ejabberd: its options and hooks, and what comes of accounts and from the component.
%% mod_pushkeeper_c2s is what runs in sessions, mod_pushkeeper_messages what runs where messages are. All they do is
%% describe and cast; mod_pushkeeper_server does the rest. For ejabberd 23.01 to 26.x.
-module(mod_pushkeeper).
-behaviour(gen_mod).

-export([start/2, stop/1, reload/3, depends/2, mod_opt_type/1, mod_options/1, mod_doc/0]).
-export([add_hooks/1, after_stop/2, delete_hooks/1, observe/4, options/1, take_registrations/1]).
-export([component_gone/2, decode_iq_subel/1, disco/5, order/1, registration/1, user_removed/2]).

-include("xmpp.hrl").
-include("mod_pushkeeper.hrl").

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
    [{c2s_session_opened, Host, mod_pushkeeper_c2s, opened, 60},
     %% After everybody who might set the window.
     {c2s_session_pending, Host, mod_pushkeeper_c2s, hibernated, 60},
     {c2s_session_resumed, Host, mod_pushkeeper_c2s, resumed, 60},
     {c2s_copy_session, Host, mod_pushkeeper_c2s, copied, 60},
     %% Before mod_stream_mgmt (50), which sends what is unacknowledged on its way again.
     {c2s_terminated, Host, mod_pushkeeper_c2s, terminated, 40},
     %% After mod_stream_mgmt (50), so that the stanza is counted when we see it.
     {c2s_handle_send, Host, mod_pushkeeper_c2s, sent_to, 60},
     %% Before mod_stream_mgmt (50), which lets nobody else see an acknowledgement.
     {c2s_authenticated_packet, Host, mod_pushkeeper_c2s, came_from, 40},
     {c2s_handle_cast, Host, mod_pushkeeper_c2s, cast, 40},
     {c2s_presence_in, Host, mod_pushkeeper_c2s, presence_received, 60},
     {store_mam_message, Host, mod_pushkeeper_messages, archived, 110},
     %% After mod_offline (50), which says whether it has it.
     {offline_message_hook, Host, mod_pushkeeper_messages, offline, 60},
     {bounce_sm_packet, Host, mod_pushkeeper_messages, bounced, 60},
     {disco_sm_features, Host, ?MODULE, disco, 60},
     {remove_user, Host, ?MODULE, user_removed, 60},
     {component_disconnected, global, ?MODULE, component_gone, 60}].

-spec add_hooks(binary()) -> ok.
add_hooks(Host) ->
    [ejabberd_hooks:add(Hook, On, Module, Function, Priority) || {Hook, On, Module, Function, Priority} <- hooks(Host)],
    gen_iq_handler:add_iq_handler(ejabberd_local, Host, ?NS_PUSHKEEPER, ?MODULE, order),
    take_registrations(Host).

-spec delete_hooks(binary()) -> ok.
delete_hooks(Host) ->
    %% component_disconnected is everybody's.
    [ejabberd_hooks:delete(Hook, On, Module, Function, Priority)
     || {Hook, On, Module, Function, Priority} <- hooks(Host),
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
            ejabberd_hooks:add(c2s_handle_cast, Host, mod_pushkeeper_c2s, cast, 40),
            [ejabberd_c2s:cast(Pid, {mod_pushkeeper, own_window}) || Pid <- Sessions],
            receive after ?GIVE_BACK_WITHIN -> ok end,
            is_loaded(Host, ?MODULE) orelse ejabberd_hooks:delete(c2s_handle_cast, Host, mod_pushkeeper_c2s, cast, 40),
            ok
    end.

%% What only observes changes nothing when it fails, and its failure ends the link.
-spec observe(binary(), atom(), Result, fun(() -> Result)) -> Result.
observe(Host, Place, Unchanged, Fun) ->
    try Fun()
    catch
        Class:Reason:Stack ->
            say(Host, {fault, {Place, Reason}, io_lib:format("~p: ~p:~p ~p", [Place, Class, Reason, Stack])}),
            Unchanged
    end.

say(Host, What) -> mod_pushkeeper_server:say(Host, What).

%%% Accounts, and the component ----------------------------------------------------------------------------------------

user_removed(User, Server) ->
    Host = jid:nameprep(Server),
    observe(Host, user_removed, ok,
            fun() ->
                    Name = jid:nodeprep(User),
                    case mod_pushkeeper_server:watched(Host, Name) of
                        none -> ok;
                        _ ->
                            Element = mod_pushkeeper_messages:event(<<"user-deleted">>, Name, [], []),
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
