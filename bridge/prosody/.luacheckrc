-- What Prosody gives to a module.
std = "lua54c"
codes = true
max_line_length = 130
ignore = { "431", "432" }
read_globals = {
	"prosody",
	"module.host", "module.reloading",
	"module.add_timer", "module.get_option_number", "module.get_option_period", "module.get_option_string",
	"module.hook", "module.hook_global", "module.hook_object_event", "module.log", "module.require", "module.send",
}
globals = { "module.save", "module.restore", "module.unload" }
