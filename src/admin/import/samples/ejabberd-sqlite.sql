PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE push_session (
    username text NOT NULL,
    timestamp bigint NOT NULL,
    service text NOT NULL,
    node text NOT NULL,
    xml text NOT NULL
);
INSERT INTO push_session VALUES('alice',1795384411385191,'push.example.net','node-1',replace('<x type=''submit'' xmlns=''jabber:x:data''><field var=''FORM_TYPE''><value>http://jabber.org/protocol/pubsub#publish-options</value></field><field var=''secret''><value>it&quot;s\n&lt;&amp;\x </value></field></x>','\n',char(10)));
INSERT INTO push_session VALUES('bob',1795384412000001,'push@example.net/r','n ~ é','');
INSERT INTO push_session VALUES('alice',1795384413000002,'push.example.net','node-2','<x type=''submit'' xmlns=''jabber:x:data''><field var=''FORM_TYPE''><value>http://jabber.org/protocol/pubsub#publish-options</value></field><field var=''secret''><value>it&apos;s Üé</value></field></x>');
INSERT INTO push_session VALUES('carol',1795384414000002,'b.example','node-3','');
COMMIT;
