//! What is told beside a message: whether its sender is a contact of the account, and whether what a room sends is the
//! account's own message.

use crate::client::Client;
use crate::rig::{Event, Keeper, THIRD, chat, host, host_with, online, wanted};
use crate::server::{HOST, PASSWORD, Server, Wanted};

const MUC: &str = "<x xmlns='http://jabber.org/protocol/muc'/>";

/// `contact` and `own` of the stanza that an event carries; empty for what it has not.
fn marks(event: &Event) -> (String, String) {
    let stanza = event.element.children().find(|it| it.name() == "stanza").expect("a stanza");
    let attr = |name| stanza.attr(name).unwrap_or_default().to_owned();
    (attr("contact"), attr("own"))
}

/// What an event of this name says of the sender of this message.
async fn contact(keeper: &mut Keeper, name: &str, id: &str) -> String {
    let event = keeper.event(id, |it| it.name() == name && it.ids() == [id]).await;
    let (contact, own) = marks(&event);
    assert_eq!(own, "", "{}", event.text());
    contact
}

async fn sent(client: &mut Client, stanza: &str) {
    client.send(stanza).await;
    client.acknowledge_all().await;
}

async fn roster(client: &mut Client, item: &str) {
    let answer = client.iq("set", None, &format!("<query xmlns='jabber:iq:roster'><item {item}/></query>")).await;
    assert_eq!(answer.attr("type"), Some("result"), "{}", String::from(&answer));
}

/// A message from a user of another server.
async fn from_afar(third: &Keeper, user: &str, to: &str, kind: &str, id: &str) {
    let error = if kind == "error" { "<error type='cancel'/>" } else { "" };
    third
        .send(&format!(
            "<message from='{user}@{THIRD}/x' to='{to}' type='{kind}' id='{id}'><body>b</body>{error}</message>"
        ))
        .await;
}

async fn a_sender_is_a_contact_while_the_roster_has_an_item_of_him() {
    let host = host(&[]).await;
    let mut keeper = Keeper::connect(&host).await;
    let state = keeper.link(&["alice contacts", "bob"], "token").await;
    assert_eq!(state.attr("facts"), Some("contacts own"));
    let third = Keeper::connect_as(&host, THIRD).await;
    let mut alice = online(&host, "alice", "laptop").await;
    let mut bob = online(&host, "bob", "desk").await;
    let to = format!("alice@{HOST}");

    roster(&mut alice, &format!("jid='friend@{THIRD}'")).await;
    // An item of which nothing else can be said than of a stranger.
    roster(&mut alice, &format!("jid='bob@{HOST}'")).await;
    sent(&mut bob, &chat(&format!("{to}/laptop"), "bob", "Hello")).await;
    assert_eq!(contact(&mut keeper, "archived", "bob").await, "true");
    from_afar(&third, "stranger", &to, "chat", "stranger").await;
    assert_eq!(contact(&mut keeper, "archived", "stranger").await, "false");
    from_afar(&third, "friend", &to, "normal", "friend").await;
    assert_eq!(contact(&mut keeper, "archived", "friend").await, "true");
    sent(&mut alice, &chat(&to, "self", "Hello")).await;
    assert_eq!(contact(&mut keeper, "archived", "self").await, "true", "the account itself is one");
    from_afar(&third, "friend", &to, "groupchat", "room").await;
    assert_eq!(contact(&mut keeper, "offline", "room").await, "", "a room is none");
    sent(&mut alice, &chat(&format!("bob@{HOST}"), "to-bob", "Hello")).await;
    assert_eq!(contact(&mut keeper, "archived", "to-bob").await, "", "nobody asked for that");
    roster(&mut alice, &format!("jid='bob@{HOST}' subscription='remove'")).await;
    sent(&mut bob, &chat(&to, "after", "Hello")).await;
    assert_eq!(contact(&mut keeper, "archived", "after").await, "false", "he was removed");

    // An account that nobody is logged in to has a roster, too.
    alice.close().await;
    keeper.next("end").await;
    from_afar(&third, "friend", &to, "chat", "offline-friend").await;
    assert_eq!(contact(&mut keeper, "offline", "offline-friend").await, "true");
    from_afar(&third, "stranger", &to, "chat", "offline-stranger").await;
    assert_eq!(contact(&mut keeper, "offline", "offline-stranger").await, "false");
    keeper.watch(&["alice"]).await;
    from_afar(&third, "friend", &to, "chat", "unasked").await;
    assert_eq!(contact(&mut keeper, "offline", "unasked").await, "", "nobody asks any more");
    assert_eq!(host.errors(), Vec::<String>::new());
}

async fn of_a_carbon_the_sender_of_the_message_inside_counts() {
    let host = host(&[]).await;
    let mut keeper = Keeper::linked(&host, &["alice contacts"]).await;
    let third = Keeper::connect_as(&host, THIRD).await;
    let mut phone = online(&host, "alice", "phone").await;
    let mut laptop = online(&host, "alice", "laptop").await;
    roster(&mut laptop, &format!("jid='friend@{THIRD}'")).await;
    phone.iq("set", None, "<enable xmlns='urn:xmpp:carbons:2'/>").await;
    phone.acknowledge_all().await;
    phone.lose_connection();
    keeper.next("hibernate").await;

    let desk = format!("alice@{HOST}/laptop");
    from_afar(&third, "friend", &desk, "chat", "from-friend").await;
    from_afar(&third, "stranger", &desk, "chat", "from-stranger").await;
    laptop.wait_for("the stranger's message", |it| it.attr("id") == Some("from-stranger")).await;
    sent(&mut laptop, &chat(&format!("stranger@{THIRD}"), "to-stranger", "Hello")).await;
    // A stranger's message that looks like a carbon is a stranger's.
    let forged = format!(
        "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' \
         from='friend@{THIRD}/x' to='alice@{HOST}' id='inside' type='chat'><body>b</body></message></forwarded></received>"
    );
    third
        .send(&format!("<message from='stranger@{THIRD}/x' to='alice@{HOST}/phone' id='forged'>{forged}</message>"))
        .await;
    for (id, expected) in
        [("from-friend", "true"), ("from-stranger", "false"), ("to-stranger", "true"), ("forged", "false")]
    {
        let named = |text: &str| [format!("id='{id}'"), format!("id=\"{id}\"")].iter().any(|it| text.contains(it));
        let queued = keeper.event(id, |it| it.name() == "queued" && named(&it.text())).await;
        assert_eq!(marks(&queued), (expected.to_owned(), String::new()), "{id}: {}", queued.text());
    }
}

/// A third server's component that plays rooms, and what the bridge says of their messages.
struct Rooms {
    component: Keeper,
    keeper: Keeper,
    said: u32,
}

impl Rooms {
    async fn new(host: &Server) -> Self {
        let keeper = Keeper::linked(host, &["alice"]).await;
        Self { component: Keeper::connect_as(host, THIRD).await, keeper, said: 0 }
    }

    /// Says something under this nick; whether it is told as the account's own.
    async fn is_own(&mut self, to: &str, event: &str, room: &str, nick: &str) -> bool {
        self.said += 1;
        let id = format!("said-{}", self.said);
        let message = format!(
            "<message from='{room}@{THIRD}/{nick}' to='{to}' type='groupchat' id='{id}'><body>b</body></message>"
        );
        self.component.send(&message).await;
        let event = self.keeper.event(&id, |it| it.name() == event && it.ids() == [&*id]).await;
        let (contact, own) = marks(&event);
        assert!(contact.is_empty() && (own.is_empty() || own == "true"), "{}", event.text());
        own == "true"
    }

    /// What nobody got who is online: the account was told all the same.
    async fn of_account(&mut self, room: &str, nick: &str) -> bool {
        self.is_own(&format!("alice@{HOST}"), "offline", room, nick).await
    }

    /// The room says something of an occupant, to alice's phone.
    async fn presence(&self, room: &str, nick: &str, kind: &str, inside: &str) {
        let kind = if kind.is_empty() { String::new() } else { format!(" type='{kind}'") };
        let presence =
            format!("<presence from='{room}@{THIRD}/{nick}' to='alice@{HOST}/phone'{kind}>{inside}</presence>");
        self.component.send(&presence).await;
    }
}

fn occupant(nick: Option<&str>, codes: &[u32]) -> String {
    let nick = nick.map_or(String::new(), |nick| format!(" nick='{nick}'"));
    let codes: String = codes.iter().map(|code| format!("<status code='{code}'/>")).collect();
    format!(
        "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='participant'{nick}/>{codes}</x>"
    )
}

/// Waits for what the room says of an occupant.
async fn heard(client: &mut Client, room: &str, nick: &str, kind: Option<&str>) {
    let from = format!("{room}@{THIRD}/{nick}");
    let is_it =
        |it: &minidom::Element| it.name() == "presence" && (it.attr("from"), it.attr("type")) == (Some(&from), kind);
    client.wait_for("the room's presence", is_it).await;
}

async fn enter(client: &mut Client, room: &str, nick: &str, inside: &str) {
    sent(client, &format!("<presence to='{room}@{THIRD}/{nick}'>{inside}</presence>")).await;
}

async fn leave(client: &mut Client, to: &str) {
    sent(client, &format!("<presence type='unavailable'{to}/>")).await;
}

async fn a_message_from_a_room_is_own_while_a_session_is_in_it_by_that_nick() {
    let host = host(&[]).await;
    let mut rooms = Rooms::new(&host).await;
    let mut phone = online(&host, "alice", "phone").await;
    assert!(!rooms.of_account("tea", "Al").await, "nobody is there yet");
    enter(&mut phone, "tea", "Al", MUC).await;
    assert!(rooms.of_account("tea", "Al").await);
    assert!(!rooms.of_account("tea", "Bob").await, "somebody else");
    assert!(!rooms.of_account("coffee", "Al").await, "another room");

    // Another nick holds when the room says so.
    enter(&mut phone, "tea", "Alice", "").await;
    assert_eq!([rooms.of_account("tea", "Al").await, rooms.of_account("tea", "Alice").await], [true, false]);
    rooms.presence("tea", "Al", "unavailable", &occupant(Some("Alice"), &[303, 110])).await;
    rooms.presence("tea", "Alice", "", &occupant(None, &[110])).await;
    heard(&mut phone, "tea", "Alice", None).await;
    assert_eq!([rooms.of_account("tea", "Al").await, rooms.of_account("tea", "Alice").await], [false, true]);

    // One that is somebody else's does not.
    enter(&mut phone, "tea", "Bob", "").await;
    rooms.presence("tea", "Bob", "error", "<error type='cancel'/>").await;
    heard(&mut phone, "tea", "Bob", Some("error")).await;
    assert_eq!([rooms.of_account("tea", "Alice").await, rooms.of_account("tea", "Bob").await], [true, false]);

    // A room that gives another nick than the one that was asked for; others who come and go change nothing.
    enter(&mut phone, "coffee", "Al", MUC).await;
    rooms.presence("coffee", "al-2", "", &occupant(None, &[110, 210])).await;
    rooms.presence("coffee", "Al", "", &occupant(None, &[])).await;
    rooms.presence("coffee", "Al", "unavailable", &occupant(None, &[])).await;
    heard(&mut phone, "coffee", "Al", Some("unavailable")).await;
    assert_eq!([rooms.of_account("coffee", "Al").await, rooms.of_account("coffee", "al-2").await], [false, true]);

    // Who is not let in is not there, and who is put out is there no more.
    enter(&mut phone, "club", "Al", MUC).await;
    rooms.presence("club", "Al", "error", "<error type='auth'/>").await;
    heard(&mut phone, "club", "Al", Some("error")).await;
    assert!(!rooms.of_account("club", "Al").await);
    rooms.presence("coffee", "al-2", "unavailable", &occupant(None, &[110, 307])).await;
    heard(&mut phone, "coffee", "al-2", Some("unavailable")).await;
    assert!(!rooms.of_account("coffee", "al-2").await);

    // A stranger who says that somebody is in his room puts nobody there.
    rooms.presence("trap", "Al", "", &occupant(None, &[110])).await;
    heard(&mut phone, "trap", "Al", None).await;
    assert!(!rooms.of_account("trap", "Al").await);

    leave(&mut phone, &format!(" to='tea@{THIRD}/Alice'")).await;
    assert!(!rooms.of_account("tea", "Alice").await);
    enter(&mut phone, "tea", "Al", MUC).await;
    leave(&mut phone, "").await;
    assert!(!rooms.of_account("tea", "Al").await, "it went away from everybody");
    enter(&mut phone, "tea", "Al", MUC).await;
    assert!(rooms.of_account("tea", "Al").await);
    phone.close().await;
    rooms.keeper.event("the end", |it| it.name() == "end" && it.attr("resource") == "phone").await;
    assert!(!rooms.of_account("tea", "Al").await, "the session is over");
    assert_eq!(host.errors(), Vec::<String>::new());
}

async fn a_session_keeps_its_rooms_while_it_hibernates_and_when_it_is_resumed_or_the_bridge_restarts() {
    let host = host(&[]).await;
    let mut rooms = Rooms::new(&host).await;
    let mut phone = online(&host, "alice", "phone").await;
    enter(&mut phone, "tea", "Al", MUC).await;
    let session = phone.lose_connection().expect("a session");
    rooms.keeper.next("hibernate").await;
    let full = format!("alice@{HOST}/phone");
    assert!(rooms.is_own(&full, "queued", "tea", "Al").await);
    assert!(rooms.of_account("tea", "Al").await, "for the account, too");
    // A room may give somebody another nick at any time.
    rooms.presence("tea", "Al", "unavailable", &occupant(Some("Bee"), &[303, 110])).await;
    assert!(!rooms.is_own(&full, "queued", "tea", "Al").await);
    assert!(rooms.is_own(&full, "queued", "tea", "Bee").await);
    rooms.presence("tea", "Bee", "unavailable", &occupant(Some("Al"), &[303, 110])).await;
    assert!(rooms.is_own(&full, "queued", "tea", "Al").await);

    let mut phone = Client::resume(host.c2s_port(), &full, PASSWORD, session).await;
    rooms.keeper.next("resume").await;
    phone.acknowledge_all().await;
    assert!(rooms.of_account("tea", "Al").await);
    host.reload_bridge().await;
    rooms.keeper.link(&["alice"], "after a reload").await;
    assert!(rooms.of_account("tea", "Al").await);
    enter(&mut phone, "coffee", "Al", MUC).await;
    host.take_bridge_away().await;
    leave(&mut phone, &format!(" to='tea@{THIRD}/Al'")).await;
    enter(&mut phone, "milk", "Al", MUC).await;
    host.give_bridge_back().await;
    rooms.keeper.link(&["alice"], "after a while").await;
    assert_eq!(
        [
            rooms.of_account("tea", "Al").await,
            rooms.of_account("coffee", "Al").await,
            rooms.of_account("milk", "Al").await
        ],
        [false, true, true]
    );
    assert_eq!(host.errors(), Vec::<String>::new());
}

async fn of_more_than_64_rooms_the_first_is_forgotten() {
    let host = host(&[]).await;
    let mut rooms = Rooms::new(&host).await;
    let mut phone = online(&host, "alice", "phone").await;
    for n in 0..65 {
        enter(&mut phone, &format!("r{n}"), "Al", MUC).await;
    }
    let own =
        [rooms.of_account("r0", "Al").await, rooms.of_account("r1", "Al").await, rooms.of_account("r64", "Al").await];
    assert_eq!(own, [false, true, true]);
}

/// Enters a room of the host, or takes another nick in it, and waits for what the room says of that.
async fn join(client: &mut Client, room: &str, nick: &str) {
    client.send(&format!("<presence to='{room}/{nick}'>{MUC}</presence>")).await;
    let (me, from) = (client.jid.clone(), format!("{room}/{nick}"));
    let it = [("from", Some(&*from)), ("to", Some(&*me)), ("type", None)];
    let is_it = |come: &minidom::Element| it.iter().all(|&(name, value)| come.attr(name) == value);
    client.wait_for("its own presence in the room", |come| come.name() == "presence" && is_it(come)).await;
}

async fn the_hosts_own_rooms_say_by_which_nick_somebody_is_there() {
    let host = host_with(&Wanted { rooms: true, ..wanted() }).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let room = format!("tea@conference.{HOST}");
    let mut bob = online(&host, "bob", "desk").await;
    let mut phone = online(&host, "alice", "phone").await;
    let mut laptop = online(&host, "alice", "laptop").await;
    join(&mut bob, &room, "Bob").await;
    join(&mut phone, &room, "Al").await;
    join(&mut phone, &room, "Alice").await;
    join(&mut laptop, &room, "Alice").await;
    phone.acknowledge_all().await;
    phone.lose_connection();
    keeper.next("hibernate").await;
    for (client, id, expected) in [(&mut laptop, "mine", "true"), (&mut bob, "his", "")] {
        client.send(&format!("<message to='{room}' type='groupchat' id='{id}'><body>b</body></message>")).await;
        let queued = keeper.event(id, |it| it.name() == "queued" && it.ids() == [id]).await;
        assert_eq!(marks(&queued), (String::new(), expected.to_owned()), "{}", queued.text());
    }
}

crate::on_hosts::on_hosts! {
    both: [
        a_sender_is_a_contact_while_the_roster_has_an_item_of_him,
        of_a_carbon_the_sender_of_the_message_inside_counts,
        a_message_from_a_room_is_own_while_a_session_is_in_it_by_that_nick,
        a_session_keeps_its_rooms_while_it_hibernates_and_when_it_is_resumed_or_the_bridge_restarts,
        of_more_than_64_rooms_the_first_is_forgotten,
        the_hosts_own_rooms_say_by_which_nick_somebody_is_there,
    ],
}
