// The service worker: what pushkeeper sent arrives here, decrypted by the browser, even when no page is open.
"use strict";

// What a push says (docs/webpush.md): class and account always; channel, count, sender, nickname, body, encrypted and iv
// only where the operator's rules let them through.
function read(event) {
  try {
    return event.data.json();
  } catch {
    return { class: "important", account: "" };
  }
}

// One notification for each conversation that we can tell apart: a later one replaces it.
function tag(said) {
  return [said.class === "call" || said.class === "ended" ? "call" : "message", said.account, said.channel || said.sender || ""].join(" ");
}

function words(said) {
  if (said.class === "call") return { title: "Incoming call", body: said.sender || "" };
  const who = said.nickname || said.sender;
  const count = said.count > 1 ? said.count + " new messages" : "New message";
  return { title: who || count, body: said.body || (who ? count : "") };
}

async function close(of) {
  for (const notification of await self.registration.getNotifications()) {
    if (notification.tag.startsWith(of)) notification.close();
  }
}

async function pushed(said) {
  switch (said.class) {
    case "call":
    case "important": {
      const { title, body } = words(said);
      const call = said.class === "call";
      const options = { body, tag: tag(said), renotify: true, requireInteraction: call, data: { account: said.account } };
      return self.registration.showNotification(title, options);
    }
    // These come only if the operator has set `silent`.
    case "ended":
      return close("call " + said.account);
    case "clear":
      return close("message " + said.account);
    default:
      return undefined;
  }
}

// To the page that is open, or to a new one.
async function clicked(notification) {
  notification.close();
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const open = pages.find((page) => page.url.startsWith(self.registration.scope));
  return open ? open.focus() : self.clients.openWindow(self.registration.scope);
}

self.addEventListener("push", (event) => event.waitUntil(pushed(read(event))));
self.addEventListener("notificationclick", (event) => event.waitUntil(clicked(event.notification)));
