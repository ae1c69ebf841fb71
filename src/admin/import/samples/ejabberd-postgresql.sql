--
-- PostgreSQL database dump
--

\restrict qw2uqAd8dbfd6eGbRoHObIV3w7XNcko0U4H9iBE6y6oj6LYPctIDUi2IbJPRuoA

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
-- Name: push_session; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.push_session (
    username text NOT NULL,
    server_host text NOT NULL,
    "timestamp" bigint NOT NULL,
    service text NOT NULL,
    node text NOT NULL,
    xml text NOT NULL
);


ALTER TABLE public.push_session OWNER TO postgres;

--
-- Data for Name: push_session; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.push_session (username, server_host, "timestamp", service, node, xml) FROM stdin;
alice	b.example	1795384411385191	push.example.net	node-1	<x type='submit' xmlns='jabber:x:data'><field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field><field var='secret'><value>it&quot;s\n&lt;&amp;\\x </value></field></x>
bob	b.example	1795384412000001	push@example.net/r	n ~ é	
alice	b.example	1795384413000002	push.example.net	node-2	<x type='submit' xmlns='jabber:x:data'><field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field><field var='secret'><value>it&apos;s Üé</value></field></x>
carol	b.example	1795384414000002	b.example	node-3	
\.


--
-- Name: push_session push_session_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.push_session
    ADD CONSTRAINT push_session_pkey PRIMARY KEY (server_host, username, "timestamp");


--
-- PostgreSQL database dump complete
--

\unrestrict qw2uqAd8dbfd6eGbRoHObIV3w7XNcko0U4H9iBE6y6oj6LYPctIDUi2IbJPRuoA

