--
-- PostgreSQL database dump
--

\restrict PwsQ5y1vbNBvFPLLMextIrLaXVlIl2pLgsunt5HDNKxwpVThIKHsy7mLFwkLS4r

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: prosody; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.prosody (
    host text NOT NULL,
    "user" text NOT NULL,
    store text NOT NULL,
    key text NOT NULL,
    type text NOT NULL,
    value text NOT NULL
);


ALTER TABLE public.prosody OWNER TO postgres;

--
-- Data for Name: prosody; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.prosody (host, "user", store, key, type, value) FROM stdin;
localhost	alice	cloud_notify	third.localhost<node "1" é	json	{"language":"en","options":{"name":"x","attr":{"type":"submit","xmlns":"jabber:x:data"},"__array":[{"name":"field","attr":{"var":"FORM_TYPE","xmlns":"jabber:x:data"},"__array":[{"name":"value","attr":{"xmlns":"jabber:x:data"},"__array":["http://jabber.org/protocol/pubsub#publish-options"]}]},{"name":"field","attr":{"var":"secret","xmlns":"jabber:x:data"},"__array":[{"name":"value","attr":{"xmlns":"jabber:x:data"},"__array":["it's \\"1\\" \\\\n é&<"]}]}]},"timestamp":1795385656,"jid":"third.localhost","node":"node \\"1\\" é","resource":"phone"}
localhost	alice	cloud_notify	third.localhost<node-2	json	{"language":"en","timestamp":1795385656,"jid":"third.localhost","node":"node-2","resource":"tablet"}
\.


--
-- PostgreSQL database dump complete
--

\unrestrict PwsQ5y1vbNBvFPLLMextIrLaXVlIl2pLgsunt5HDNKxwpVThIKHsy7mLFwkLS4r

