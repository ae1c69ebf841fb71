"""The conversation of the demo, with stock clients (slixmpp): a phone that goes away and comes back, and somebody who
writes to it.

Reads from the environment what demo/run has set up; ends with 0 when the phone has read the message that it was woken
for, and pushkeeper has logged what it decided meanwhile.
"""

import asyncio
import inspect
import logging
import os
import re
import signal
import socket
import struct
import sys
import time
from xml.etree import ElementTree

# It says at import which of its parts could be faster.
logging.getLogger("slixmpp").setLevel(logging.ERROR)

import slixmpp  # noqa: E402
from slixmpp.xmlstream.handler import Waiter  # noqa: E402
from slixmpp.xmlstream.matcher import MatchXPath  # noqa: E402

SERVICE = "push.localhost"
PLUGINS = ["xep_0004", "xep_0030", "xep_0050", "xep_0198", "xep_0199"]
PATIENCE = float(os.environ.get("DEMO_PATIENCE", "20"))

# What pushkeeper logs.
DECISION = "pushkeeper::decisions"
STRETCHED = "may be resumed for .* nobody woke"
PUSHED = "stub: the phone"
SHORTENED = "may be resumed for .* was woken"


async def conversation():
    phone = Client("alice@localhost/phone", os.environ["ALICE_PASSWORD"])
    await within("the phone is online", phone.online())
    stage("phone: alice@localhost is online, and its session can be resumed (XEP-0198)")

    info = await within("the service answers", phone["xep_0030"].get_info(jid=SERVICE, timeout=PATIENCE))
    if ("pubsub", "push") not in {identity[:2] for identity in info["disco_info"]["identities"]}:
        raise Failed(f"{SERVICE} does not say that it is a push service")
    stage(f"phone: {SERVICE} is a push service (pubsub/push)")

    node, secret = await within("the device is registered", register(phone))
    stage(f"phone: registered its device by the command register-push-fcm, got node {node[:4]}… and a secret")

    info = await within("the server answers", phone["xep_0030"].get_info(jid="alice@localhost", timeout=PATIENCE))
    if "urn:xmpp:push:0" not in info["disco_info"]["features"]:
        raise Failed("the server does not say that it can push: the bridge is not linked")
    await within("push is enabled", enable(phone, node, secret))
    stage("phone: enabled push at its server, with that node and secret (XEP-0357); the bridge handed it over")

    writer = Client("bob@localhost/desk", os.environ["BOB_PASSWORD"])
    await within("the writer is online", writer.online())
    log = Log()

    await within("the server has our acknowledgement", phone.acknowledge())
    phone.lose_connection()
    stage("phone: acknowledged everything, and lost its TCP connection")
    await within("the keeper stretches the session", log.decision(STRETCHED))

    writer.send_message(mto="alice@localhost", mbody="Are you there?", mtype="chat")
    sent = time.time()
    stage("writer: bob@localhost wrote to alice@localhost")

    line = await within("the push", log.line(PUSHED))
    stage(f"pushkeeper: pushed, {time.time() - sent:.3f} s after the message (it waits 1 s for more):")
    show(line)
    await within("the keeper shortens the session", log.decision(SHORTENED))

    came = phone.next_message()
    await within("the phone is back on its session", phone.resume())
    stage("phone: woken, and back on the same session (XEP-0198 resumption)")
    message = await within("the message", came)
    stage(f"phone: reads: {message['body']!r}")
    if message["body"] != "Are you there?":
        raise Failed("that is not what was written")

    for client in (writer, phone):
        client.disconnect()
        await within("the clients are gone", client.disconnected)


async def register(phone):
    """What Conversations does: one command with token and device id; the answer names node and secret."""
    form = phone["xep_0004"].make_form("submit")
    form.add_field(var="token", value="a-token-of-the-demo")
    form.add_field(var="android-id", value="92afd7a91cdba9a0")
    answer = await phone["xep_0050"].send_command(SERVICE, "register-push-fcm", payload=form, timeout=PATIENCE)
    if answer["command"]["status"] != "completed":
        raise Failed(f"the command is {answer['command']['status']}, not completed")
    values = answer["command"]["form"]["values"]
    return values["node"], values["secret"]


async def enable(phone, node, secret):
    """XEP-0357 §5; the form travels back to the push service with every publish."""
    form = phone["xep_0004"].make_form("submit")
    form.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#publish-options")
    form.add_field(var="secret", value=secret)
    element = ElementTree.Element("{urn:xmpp:push:0}enable", jid=SERVICE, node=node)
    element.append(form.xml)
    iq = phone.make_iq_set()
    iq.append(element)
    await iq.send(timeout=PATIENCE)


class Log:
    """pushkeeper's log, from now on."""

    def __init__(self):
        self.path = os.environ["DEMO_LOG"]
        self.offset = os.path.getsize(self.path)

    async def line(self, pattern):
        """The next line that fits; those before it are not looked at again, but what was decided is shown."""
        while True:
            with open(self.path, "rb") as log:
                log.seek(self.offset)
                for line in log:
                    if not line.endswith(b"\n"):
                        break
                    self.offset += len(line)
                    text = re.sub(r"\x1b\[[0-9;]*m", "", line.decode("utf-8", "replace")).strip()
                    if re.search(pattern, text):
                        return text
                    if DECISION in text:
                        show(text)
            await asyncio.sleep(0.01)

    async def decision(self, pattern):
        """The next decision that fits."""
        line = await self.line(f"{DECISION}.*{pattern}")
        stage("pushkeeper: decided:")
        show(line)


def show(line):
    print(f"             {line}", flush=True)


class Client(slixmpp.ClientXMPP):
    """A stock client that trusts the demo's own certificate."""

    def __init__(self, jid, password):
        super().__init__(jid, password)
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        self.ca_certs = os.path.join(os.environ["DEMO_DIR"], "localhost.crt")
        self.resumable = asyncio.get_running_loop().create_future()
        self.add_event_handler("sm_enabled", self.on_resumable)
        self.add_event_handler("session_resumed", self.on_resumable)
        self.add_event_handler("failed_all_auth", self.on_refused)

    async def online(self):
        await self.come()
        self.send_presence()

    async def resume(self):
        """Comes back; slixmpp goes on with the session that it had."""
        session = self["xep_0198"].sm_id
        self.resumable = asyncio.get_running_loop().create_future()
        await self.come()
        if self["xep_0198"].sm_id != session:
            raise Failed("the session could not be resumed: it is a new one")

    def next_message(self):
        """A future of the next message with a text."""
        came = asyncio.get_running_loop().create_future()

        def on_message(message):
            if message["body"] and not came.done():
                came.set_result(message)

        self.add_event_handler("message", on_message)
        return came

    async def come(self):
        host, port = "127.0.0.1", int(os.environ["DEMO_C2S_PORT"])
        # COMPAT slixmpp before 1.9 takes the address as one argument.
        if "address" in inspect.signature(self.connect).parameters:
            self.connect(address=(host, port))
        else:
            self.connect(host, port)
        await self.resumable

    def on_resumable(self, _event):
        if not self.resumable.done():
            self.resumable.set_result(None)

    def on_refused(self, _event):
        if not self.resumable.done():
            self.resumable.set_exception(Failed(f"the server refuses the password of {self.boundjid.bare}"))

    async def acknowledge(self):
        """Tells the server that everything came; its own acknowledgement shows that it has read ours."""
        answer = Waiter("ack", MatchXPath("{urn:xmpp:sm:3}a"))
        self.register_handler(answer)
        self["xep_0198"].send_ack()
        self["xep_0198"].request_ack()
        if await answer.wait(PATIENCE) is False:
            raise Failed("the server does not acknowledge")

    def lose_connection(self):
        """As in a tunnel: the connection is gone, and nobody said good-bye."""
        plain = self.transport.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()


class Failed(Exception):
    """A stage that went wrong; the text says which."""


async def within(what, awaitable):
    try:
        return await asyncio.wait_for(awaitable, PATIENCE)
    except asyncio.TimeoutError:
        raise Failed(f"{what}: not within {PATIENCE:.0f} s") from None
    except slixmpp.exceptions.IqTimeout:
        raise Failed(f"{what}: no answer within {PATIENCE:.0f} s") from None
    except slixmpp.exceptions.IqError as error:
        raise Failed(f"{what}: refused, {error.etype}/{error.condition} {error.text}") from None


def stage(text):
    print(f"[{time.time() - float(os.environ['DEMO_STARTED']):7.3f} s] {text}", flush=True)


def main():
    if sys.argv[1:] == ["--check"]:
        for plugin in PLUGINS:
            __import__(f"slixmpp.plugins.{plugin}")
        return 0
    # Ctrl-C ends us at once and without a word, demo/run cleans up: asyncio would show a traceback, or miss it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        asyncio.run(conversation())
        return 0
    except Failed as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
