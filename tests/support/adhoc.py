"""A stock client (slixmpp) that uses ad-hoc commands as a person would, driven by a test: a line of JSON in, a line out.

    adhoc.py PORT JID PASSWORD

    {"op": "discover", "to": JID}                         the commands it offers, in order
    {"op": "info", "to": JID, "node": NODE}               identities and features of one
    {"op": "start", "to": JID, "node": NODE}              begins a command; "fields": {…} fills in a form at once
    {"op": "go", "session": ID, "action": ACTION}         goes on with it; "fields": {…} fills in the form it showed
    {"op": "send", "to": JID, "node": NODE, "action": ACTION, "session": ID, "form": XML}   as it is, no workflow

"start" and "go" are slixmpp's own workflow (xep_0050), and forms are read and filled in by its xep_0004. An answer is
{"status", "session", "node", "how", "notes", "form"}, or {"error": {"type", "condition", "app", "text"}}.
"""

import asyncio
import json
import logging
import sys
from xml.etree import ElementTree

# It says at import which of its parts could be faster.
logging.basicConfig(level=logging.ERROR)
# It waits for no answer that it has a handler for, and is told of the error all the same.
logging.getLogger("asyncio").setLevel(logging.CRITICAL)

import slixmpp  # noqa: E402
from slixmpp.exceptions import IqError  # noqa: E402
from slixmpp.plugins.xep_0004.stanza import Form  # noqa: E402

COMMANDS = "{http://jabber.org/protocol/commands}"
STANZAS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"


class Person(slixmpp.ClientXMPP):
    """Somebody who is online."""

    def __init__(self, jid, password):
        super().__init__(jid, password)
        for plugin in ("xep_0004", "xep_0030", "xep_0050"):
            self.register_plugin(plugin)
        # The test's server listens on loopback only, without TLS.
        self["feature_mechanisms"].unencrypted_plain = True
        self.forms = {}
        self.running = {}
        self.online = asyncio.get_running_loop().create_future()
        self.add_event_handler("session_start", lambda _event: self.online.set_result(None))
        self.add_event_handler("failed_all_auth", lambda _event: self.online.set_exception(SystemExit("refused")))

    async def do(self, asked):
        try:
            return await getattr(self, "op_" + asked.pop("op"))(**asked)
        except IqError as error:
            return refused(error.iq)

    async def op_discover(self, to):
        items = (await self["xep_0050"].get_commands(to))["disco_items"]["substanzas"]
        return {"items": [{"node": item["node"], "name": item["name"], "jid": str(item["jid"])} for item in items]}

    async def op_info(self, to, node):
        info = (await self["xep_0030"].get_info(to, node=node))["disco_info"]
        identities = sorted([category, kind, name] for category, kind, _lang, name in info["identities"])
        return {"identities": identities, "features": sorted(info["features"])}

    async def op_start(self, to, node, fields=None):
        answer, session = self.waiting()
        if fields is not None:
            form = Form()
            form["type"] = "submit"
            for name, value in fields.items():
                form.add_field(var=name, value=value)
            session["payload"] = [form]
        self["xep_0050"].start_command(to, node, session)
        return self.read(await answer, session)

    async def op_go(self, session, action, fields=None):
        known = self.running[session]
        answer, fresh = self.waiting()
        known.update(fresh)
        known["payload"] = None
        if fields is not None:
            form = self.forms[session]
            form.reply()
            form["values"] = fields
            known["payload"] = form
        commands = self["xep_0050"]
        # What its workflow has a name for, by that name.
        if action == "complete":
            commands.complete_command(known)
        elif action == "cancel":
            commands.cancel_command(known)
        else:
            commands.continue_command(known, direction=action)
        return self.read(await answer, known)

    async def op_send(self, to, node, action="execute", session=None, form=None):
        iq = self.Iq()
        iq["type"] = "set"
        iq["to"] = to
        command = ElementTree.SubElement(iq.xml, COMMANDS + "command", {"node": node, "action": action})
        if session is not None:
            command.set("sessionid", session)
        if form is not None:
            command.append(ElementTree.fromstring(form))
        return self.read(await iq.send(timeout=None), None)

    def waiting(self):
        """A future of an answer, and the two handlers of slixmpp's workflow that bring it."""
        answer = asyncio.get_running_loop().create_future()

        def came(iq, session):
            if iq["type"] == "error":
                # As its documentation has it: what failed must be ended by hand.
                self["xep_0050"].terminate_command(session)
            answer.set_result(iq)

        return answer, {"next": came, "error": came}

    def read(self, iq, session):
        if iq["type"] == "error":
            return refused(iq)
        command = iq["command"]
        form = None
        if iq.xml.find(f"{COMMANDS}command/{{jabber:x:data}}x") is not None:
            form = command["form"]
            if session is not None:
                self.forms[command["sessionid"]] = form
        if session is not None:
            self.running[command["sessionid"]] = session
        actions = command.xml.find(COMMANDS + "actions")
        how = command["status"]
        if actions is not None:
            how += ": " + ", ".join(sorted(command["actions"])) + "; " + actions.get("execute", "")
        return {
            "status": command["status"],
            "session": command["sessionid"],
            "node": command["node"],
            "how": how,
            "notes": [list(note) for note in command["notes"]],
            "form": None if form is None else shown(form),
        }


def shown(form):
    fields = form.get_fields()
    columns = form.get_reported()
    return {
        "type": form["type"],
        "title": form["title"],
        "instructions": form["instructions"],
        "fields": {
            name: {
                "type": field["type"],
                "label": field["label"],
                "value": field["value"],
                "required": field["required"],
                "options": [option["value"] for option in field.get_options()],
                "labels": [option["label"] for option in field.get_options()],
            }
            for name, field in fields.items()
        },
        "columns": list(columns),
        "labels": [column["label"] for column in columns.values()],
        "items": form["items"],
    }


def refused(iq):
    error = iq["error"]
    app = [child.tag for child in error.xml if not child.tag.startswith(STANZAS)]
    app = [tag.split("}")[-1] for tag in app]
    return {"error": {"type": error["type"], "condition": error["condition"], "app": app, "text": error["text"]}}


async def main():
    port, jid, password = sys.argv[1:]
    person = Person(jid, password)
    person.connect(address=("127.0.0.1", int(port)), disable_starttls=True, force_starttls=False)
    await person.online
    say({"online": str(person.boundjid)})
    loop = asyncio.get_running_loop()
    # A stdin that ends is a test that has ended.
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        say(await person.do(json.loads(line)))
    person.abort()


def say(answer):
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
