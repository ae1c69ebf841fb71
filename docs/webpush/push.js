// Registers this browser with pushkeeper, and has converse.js enable it (XEP-0357). One node for each browser and
// account; nothing is shared. No library but converse.js.
"use strict";

const pushkeeper = (() => {
  const COMMANDS = "http://jabber.org/protocol/commands";
  const FORM = "jabber:x:data";
  const PUSH = "urn:xmpp:push:0";
  const OPTIONS = "http://jabber.org/protocol/pubsub#publish-options";

  let converse, settings, changed, plugin;

  // What is remembered of an account: {device, endpoint, server: {jid, node, secret}}.
  const place = (account) => "pushkeeper " + settings.service + " " + account;
  const load = (account) => JSON.parse(localStorage.getItem(place(account)) || "{}");
  const save = (account, record) => localStorage.setItem(place(account), JSON.stringify(record));

  // The bare JID that is logged in.
  function account() {
    if (!plugin) return undefined;
    const { session, bare_jid } = plugin._converse;
    return (session && session.get("bare_jid")) || bare_jid;
  }

  // What converse.js is to enable for it.
  function server() {
    const jid = account();
    return jid && load(jid).server;
  }

  function bytes(base64url) {
    const text = atob(base64url.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(text, (c) => c.charCodeAt(0));
  }

  function base64url(buffer) {
    const text = String.fromCharCode(...new Uint8Array(buffer));
    return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }

  // The browser's subscription, made with our key: one that was made with another is of no use.
  async function subscribe() {
    await navigator.serviceWorker.register(settings.worker);
    const { pushManager } = await navigator.serviceWorker.ready;
    const old = await pushManager.getSubscription();
    if (old && base64url(old.options.applicationServerKey) === settings.key) return old;
    if (old) await old.unsubscribe();
    return pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes(settings.key) });
  }

  // An ad-hoc command (XEP-0050) with its form filled in; resolves to the fields of the answer.
  async function command(name, fields) {
    const { $iq } = converse.env;
    const iq = $iq({ type: "set", to: settings.service })
      .c("command", { xmlns: COMMANDS, node: name, action: "execute" })
      .c("x", { xmlns: FORM, type: "submit" });
    for (const [name, value] of Object.entries(fields)) {
      iq.c("field", { var: name }).c("value").t(value).up().up();
    }
    const answer = await plugin._converse.api.sendIQ(iq).catch(refused);
    const found = {};
    for (const field of answer.querySelectorAll("field")) {
      const value = field.querySelector("value");
      if (value) found[field.getAttribute("var")] = value.textContent;
    }
    return found;
  }

  // converse.js rejects with the error stanza, or with null if no answer came.
  function refused(stanza) {
    const error = stanza && stanza.querySelector && stanza.querySelector("error > *");
    throw new Error(error ? error.tagName : "no answer");
  }

  function enable({ jid, node, secret }) {
    const { $iq } = converse.env;
    const iq = $iq({ type: "set" }).c("enable", { xmlns: PUSH, jid, node }).c("x", { xmlns: FORM, type: "submit" });
    iq.c("field", { var: "FORM_TYPE" }).c("value").t(OPTIONS).up().up();
    iq.c("field", { var: "secret" }).c("value").t(secret);
    return plugin._converse.api.sendIQ(iq).catch(refused);
  }

  function disable({ jid, node }) {
    const { $iq } = converse.env;
    return plugin._converse.api.sendIQ($iq({ type: "set" }).c("disable", { xmlns: PUSH, jid, node })).catch(refused);
  }

  // Tells pushkeeper where this browser is reached. Again for the same device, the node stays as it was.
  async function register(jid) {
    const subscription = await subscribe();
    const record = load(jid);
    record.device = record.device || base64url(crypto.getRandomValues(new Uint8Array(16)));
    const answer = await command("register-push-webpush", {
      endpoint: subscription.endpoint,
      p256dh: base64url(subscription.getKey("p256dh")),
      auth: base64url(subscription.getKey("auth")),
      "device-id": record.device,
    });
    if (!answer.jid || !answer.node || !answer.secret) throw new Error("an answer without jid, node and secret");
    record.server = { jid: answer.jid, node: answer.node, secret: answer.secret };
    record.endpoint = subscription.endpoint;
    save(jid, record);
    hand(jid);
    return record.server;
  }

  // From now on, converse.js enables it by itself whenever it connects.
  function hand(jid) {
    const { server } = load(jid);
    plugin._converse.api.settings.set("push_app_servers", server ? [server] : []);
  }

  // By a click only: asks for permission, registers, enables.
  async function on() {
    if ((await Notification.requestPermission()) !== "granted") throw new Error("notifications are not allowed");
    const jid = account();
    await enable(await register(jid));
    changed();
  }

  async function off() {
    const jid = account();
    const { device, server } = load(jid);
    if (!server) return;
    await disable(server);
    await command("unregister-push-webpush", { "device-id": device });
    // The subscription itself stays: another account may use it.
    save(jid, { device });
    hand(jid);
    changed();
  }

  // Browsers renew subscriptions now and then; then pushkeeper must be told.
  async function refresh() {
    const jid = account();
    const { server, endpoint } = load(jid);
    if (!server || Notification.permission !== "granted") return;
    const subscription = await subscribe();
    if (subscription.endpoint !== endpoint) await register(jid);
  }

  // Before converse.initialize. `onchange` hears whenever there is something new to show.
  function install(library, chosen, onchange) {
    [converse, settings, changed] = [library, chosen, onchange || (() => undefined)];
    converse.plugins.add("pushkeeper", {
      initialize() {
        plugin = this;
        const { api } = this._converse;
        // Early: before converse.js looks what it is to enable.
        api.listen.on("userSessionInitialized", () => hand(account()));
        api.listen.on("connected", () => {
          hand(account());
          changed();
          return refresh().catch((error) => changed("That failed: " + error.message));
        });
      },
    });
  }

  return { install, on, off, server, account };
})();
