%% What the processes of mod_pushkeeper say to each other.

-define(NS_PUSHKEEPER, <<"urn:pushkeeper:host:0">>).
-define(NS_PUSH, <<"urn:xmpp:push:0">>).
-define(VERSION, <<"0.1.0">>).

%% An event cannot be longer; a value is cut.
-define(EVENT_BYTES, 96 * 1024).
-define(MAX_VALUE_BYTES, 256).

%% An event, and at most how many bytes it is.
-type event() :: {xmlel(), pos_integer()}.

%% How the messages of a watched account are told: whether with the text of their bodies, and whether with what the
%% sender is to the account.
-record(telling, {full = false :: boolean(), contacts = false :: boolean()}).
-type telling() :: #telling{}.

%% Which session something is about, as its own process sees it.
-record(who, {sid :: binary(), pid :: pid(), user :: binary(), resource :: binary(),
              state :: binary(), since :: binary()}).
