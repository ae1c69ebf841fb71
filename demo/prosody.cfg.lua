-- The private Prosody of the demo. Everything is in DEMO_DIR, on loopback, and gone when the demo ends.
-- What matters for push is marked; copy those lines into your own configuration.

local dir = ENV_DEMO_DIR

run_as_root = true -- only where the demo itself was started by root
data_path = dir .. "/prosody-data"
pidfile = dir .. "/prosody.pid"
log = { info = dir .. "/prosody.log" }

interfaces = { "127.0.0.1" }
local_interfaces = { "127.0.0.1" }
component_interfaces = { "127.0.0.1" }
c2s_ports = { ENV_DEMO_C2S_PORT }
component_ports = { ENV_DEMO_COMPONENT_PORT }
s2s_ports = {}
c2s_direct_tls_ports = {}
s2s_direct_tls_ports = {}
http_ports = {}
https_ports = {}
modules_disabled = { "s2s" }

authentication = "internal_hashed"
storage = "internal"
certificates = dir
ssl = { key = dir .. "/localhost.key", certificate = dir .. "/localhost.crt" }
c2s_require_encryption = false -- loopback: clients without TLS are welcome too
allow_unencrypted_plain_auth = true

modules_enabled = {
    "roster", "saslauth", "tls", "disco", "presence", "message", "iq", "ping", "posix",
    "carbons", "csi", "csi_simple", "offline", "pep",
    "mam",    -- push: messages are kept for the phone
    "smacks", -- push: a session outlives its TCP connection
}
default_archive_policy = true
plugin_paths = { ENV_DEMO_BRIDGE } -- push: the folder that mod_pushkeeper's folder is in

VirtualHost "localhost"
    modules_enabled = {
        "pushkeeper", -- push: tells pushkeeper what happens, and does as it says; never together with cloud_notify
    }
    pushkeeper_component = "push.localhost"

-- push: pushkeeper is a component of this server
Component "push.localhost"
    component_secret = ENV_DEMO_SECRET
