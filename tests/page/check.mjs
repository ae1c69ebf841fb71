// The example page's scripts, run against a browser and a converse.js made of straw. Needs node, and nothing else:
//
//     node --test tests/page/check.mjs
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import vm from "node:vm";

const file = (name) => readFileSync(new URL("../../docs/webpush/" + name, import.meta.url), "utf8");

// A builder as Strophe's: c() goes down, up() goes up, t() writes text.
function $iq(attributes) {
  const root = { name: "iq", attributes, children: [], text: "" };
  const path = [root];
  const builder = {
    root,
    c: (name, attributes = {}) => {
      const node = { name, attributes, children: [], text: "" };
      path.at(-1).children.push(node);
      path.push(node);
      return builder;
    },
    t: (text) => ((path.at(-1).text += text), builder),
    up: () => (path.pop(), builder),
  };
  return builder;
}

const fields = (x) => Object.fromEntries(x.children.map((field) => [field.attributes.var, field.children[0].text]));

// An answer with a form, as far as push.js looks at it.
function answer(values) {
  const field = ([name, text]) => ({ getAttribute: () => name, querySelector: () => ({ textContent: text }) });
  return { querySelectorAll: () => Object.entries(values).map(field) };
}

function browser({ permission = "granted", key = "BAECAw", replies = {} } = {}) {
  const world = { sent: [], handed: [], listeners: {}, shown: [], subscriptions: 0, unsubscribed: 0 };
  const subscription = (serverKey) => ({
    endpoint: "https://push.example.net/p/" + ++world.subscriptions,
    options: { applicationServerKey: Uint8Array.from(serverKey).buffer },
    getKey: (name) => Uint8Array.from(name === "auth" ? [251, 255] : [4, 62]).buffer,
    unsubscribe: async () => (world.unsubscribed++, (world.subscription = null), true),
  });
  world.subscription = null;
  world.resubscribe = (serverKey) => (world.subscription = subscription(serverKey));
  const pushManager = {
    getSubscription: async () => world.subscription,
    subscribe: async (options) => {
      assert.equal(options.userVisibleOnly, true);
      return world.resubscribe(options.applicationServerKey);
    },
  };
  const storage = new Map();
  const api = {
    sendIQ: async ({ root }) => {
      world.sent.push(root);
      const payload = root.children[0];
      const reply = replies[payload.attributes.node] ?? replies[payload.name];
      return reply ? reply() : answer({});
    },
    settings: { set: (name, value) => world.handed.push([name, value]) },
    listen: { on: (name, heard) => (world.listeners[name] = heard) },
  };
  world.converse = {
    env: { $iq },
    plugins: { add: (name, plugin) => ((world.plugin = plugin), assert.equal(name, "pushkeeper")) },
  };
  const globals = {
    atob, btoa, crypto, Uint8Array,
    localStorage: { getItem: (name) => storage.get(name) ?? null, setItem: (name, value) => storage.set(name, value) },
    navigator: { serviceWorker: { register: async (at) => (world.worker = at), ready: Promise.resolve({ pushManager }) } },
    Notification: { permission, requestPermission: async () => permission },
  };
  world.page = vm.runInNewContext(file("push.js") + "; pushkeeper", globals);
  const settings = { service: "push.example.org", key, worker: "sw.js" };
  world.page.install(world.converse, settings, (text) => world.shown.push(text));
  world.login = (jid) => {
    world.plugin._converse = { session: { get: () => jid }, api };
    world.plugin.initialize();
    world.listeners.userSessionInitialized();
    return world.listeners.connected();
  };
  return world;
}

const registered = () => answer({ jid: "push.example.org", node: "n-1", secret: "s-1" });
const replies = { "register-push-webpush": registered };

test("a click registers this browser, enables it, and hands it to converse.js", async () => {
  const world = browser({ replies });
  await world.login("romeo@example.org");
  assert.deepEqual(world.sent, []);
  await world.page.on();
  assert.equal(world.worker, "sw.js");
  const [register, enable] = world.sent;
  assert.deepEqual({ ...register.attributes }, { type: "set", to: "push.example.org" });
  const command = register.children[0];
  const attributes = { xmlns: "http://jabber.org/protocol/commands", node: "register-push-webpush", action: "execute" };
  assert.deepEqual({ ...command.attributes }, attributes);
  const { "device-id": device, ...rest } = fields(command.children[0]);
  assert.deepEqual(rest, { endpoint: "https://push.example.net/p/1", p256dh: "BD4", auth: "-_8" });
  assert.match(device, /^[A-Za-z0-9_-]{22}$/);
  const element = enable.children[0];
  assert.deepEqual({ ...element.attributes }, { xmlns: "urn:xmpp:push:0", jid: "push.example.org", node: "n-1" });
  const options = { FORM_TYPE: "http://jabber.org/protocol/pubsub#publish-options", secret: "s-1" };
  assert.deepEqual(fields(element.children[0]), options);
  const server = { jid: "push.example.org", node: "n-1", secret: "s-1" };
  assert.equal(JSON.stringify(world.handed.at(-1)), JSON.stringify(["push_app_servers", [server]]));
});

test("each account has its own node, and gets it back when it logs in again", async () => {
  const world = browser({ replies });
  await world.login("romeo@example.org");
  await world.page.on();
  await world.login("juliet@example.org");
  assert.equal(JSON.stringify(world.handed.at(-1)), '["push_app_servers",[]]');
  assert.equal(world.page.server(), undefined);
  await world.login("romeo@example.org");
  assert.equal(world.page.server().node, "n-1");
  assert.equal(world.sent.length, 2, "nothing is registered anew");
});

test("a subscription that the browser renewed, or that another key made, is registered again for the same device", async () => {
  const world = browser({ replies });
  await world.login("romeo@example.org");
  await world.page.on();
  const device = fields(world.sent[0].children[0].children[0])["device-id"];
  world.resubscribe([4, 1, 2, 3]);
  await world.login("romeo@example.org");
  const renewed = fields(world.sent[2].children[0].children[0]);
  assert.deepEqual([renewed.endpoint, renewed["device-id"]], ["https://push.example.net/p/2", device]);
  world.resubscribe([9, 9]);
  await world.login("romeo@example.org");
  assert.equal(world.unsubscribed, 1);
  assert.equal(fields(world.sent[3].children[0].children[0]).endpoint, "https://push.example.net/p/4");
});

test("off disables, unregisters, and leaves converse.js nothing to enable", async () => {
  const world = browser({ replies });
  await world.login("romeo@example.org");
  await world.page.on();
  await world.page.off();
  const [disable, unregister] = world.sent.slice(2).map((iq) => iq.children[0]);
  assert.deepEqual({ ...disable.attributes }, { xmlns: "urn:xmpp:push:0", jid: "push.example.org", node: "n-1" });
  assert.equal(disable.name, "disable");
  assert.equal(unregister.attributes.node, "unregister-push-webpush");
  assert.deepEqual(Object.keys(fields(unregister.children[0])), ["device-id"]);
  assert.equal(JSON.stringify(world.handed.at(-1)), '["push_app_servers",[]]');
});

test("what goes wrong is said", async () => {
  const denied = browser({ permission: "denied", replies });
  await denied.login("romeo@example.org");
  await assert.rejects(denied.page.on(), /notifications are not allowed/);
  const error = { querySelector: () => ({ tagName: "not-allowed" }) };
  const rows = [
    [() => Promise.reject(error), /not-allowed/],
    [() => Promise.reject(null), /no answer/],
    [() => answer({ jid: "push.example.org" }), /an answer without/],
  ];
  for (const [reply, expected] of rows) {
    const world = browser({ replies: { "register-push-webpush": reply } });
    await world.login("romeo@example.org");
    await assert.rejects(world.page.on(), expected);
    assert.equal(world.page.server(), undefined);
  }
});

function worker(open = []) {
  const world = { shown: [], closed: [], listeners: {}, opened: [] };
  const registration = {
    scope: "https://chat.example.org/",
    showNotification: async (title, options) => world.shown.push({ title, ...options }),
    getNotifications: async () => open.map((tag) => ({ tag, close: () => world.closed.push(tag) })),
  };
  const clients = {
    matchAll: async () => world.pages ?? [],
    openWindow: async (url) => world.opened.push(url),
  };
  const self = { registration, clients, addEventListener: (name, heard) => (world.listeners[name] = heard) };
  vm.runInNewContext(file("sw.js"), { self });
  const tell = async (name, event) => {
    let done;
    world.listeners[name]({ ...event, waitUntil: (promise) => (done = promise) });
    await done;
  };
  world.push = (said) => tell("push", { data: { json: () => JSON.parse(said) } });
  world.click = () => tell("notificationclick", { notification: { close: () => world.closed.push("clicked") } });
  return world;
}

test("each class is shown as it deserves", async () => {
  const rows = [
    [{ class: "important", account: "a" }, "New message", ""],
    [{ class: "important", account: "a", count: 3 }, "3 new messages", ""],
    [{ class: "important", account: "a", sender: "j@b", body: "hi" }, "j@b", "hi"],
    [{ class: "important", account: "a", sender: "r@c", nickname: "Ju", count: 2 }, "Ju", "2 new messages"],
    [{ class: "call", account: "a", sender: "j@b" }, "Incoming call", "j@b"],
  ];
  for (const [said, title, body] of rows) {
    const world = worker();
    await world.push(JSON.stringify(said));
    assert.equal(world.shown.length, 1);
    const [shown] = world.shown;
    assert.deepEqual([shown.title, shown.body, shown.requireInteraction], [title, body, said.class === "call"]);
  }
  const broken = worker();
  await broken.push("no JSON");
  assert.equal(broken.shown[0].title, "New message", "every push is shown, even one that we do not understand");
});

test("silent classes show nothing, and take away what is over", async () => {
  const open = ["message a x", "message b x", "call a x"];
  for (const [name, closed] of [["clear", ["message a x"]], ["ended", ["call a x"]], ["unimportant", []]]) {
    const world = worker(open);
    await world.push(JSON.stringify({ class: name, account: "a" }));
    assert.deepEqual([world.shown, world.closed], [[], closed], name);
  }
});

test("a click goes to the page that is open, or opens one", async () => {
  const world = worker();
  await world.click();
  assert.deepEqual(world.opened, ["https://chat.example.org/"]);
  let focused = 0;
  world.pages = [{ url: "https://chat.example.org/x", focus: async () => focused++ }];
  await world.click();
  assert.deepEqual([focused, world.opened.length], [1, 1]);
});

test("the page loads nothing from elsewhere", () => {
  const page = file("index.html");
  const loaded = [...page.matchAll(/(?:src|href)="([^"]*)"/g)].map((match) => match[1]);
  assert.deepEqual(loaded, ["converse/converse.min.css", "converse/converse.min.js", "push.js"]);
  const script = page.match(/<script>([\s\S]*?)<\/script>/)[1];
  assert.doesNotThrow(() => new vm.Script(script));
});
