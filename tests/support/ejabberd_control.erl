%% Runs Erlang expressions that a test sends, in the ejabberd of that test: over a socket in its folder.
-module(ejabberd_control).
-export([start/1]).

%% Returns when it listens.
start(Path) ->
    Options = [binary, {packet, 4}, {active, false}, {ifaddr, {local, Path}}],
    Starter = self(),
    Pid = spawn(fun() ->
                        _ = file:delete(Path),
                        {ok, Listener} = gen_tcp:listen(0, Options),
                        Starter ! {listening, self()},
                        accept(Listener)
                end),
    receive {listening, Pid} -> ok end.

accept(Listener) ->
    {ok, Socket} = gen_tcp:accept(Listener),
    {ok, Text} = gen_tcp:recv(Socket, 0),
    Answer = try {ok, evaluate(binary_to_list(Text))}
             catch Class:Reason:Stack -> {failed, Class, Reason, Stack}
             end,
    ok = gen_tcp:send(Socket, io_lib:format("~0p", [Answer])),
    gen_tcp:close(Socket),
    accept(Listener).

evaluate(Text) ->
    {ok, Tokens, _} = erl_scan:string(Text),
    {ok, Expressions} = erl_parse:parse_exprs(Tokens),
    {value, Value, _} = erl_eval:exprs(Expressions, []),
    Value.
