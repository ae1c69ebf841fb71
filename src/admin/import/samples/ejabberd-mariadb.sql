/*M!999999\- enable the sandbox mode */ 
-- MariaDB dump 10.19  Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)
--
-- Host: localhost    Database: x
-- ------------------------------------------------------
-- Server version	10.11.19-MariaDB-0+deb12u1

/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET @OLD_CHARACTER_SET_RESULTS=@@CHARACTER_SET_RESULTS */;
/*!40101 SET @OLD_COLLATION_CONNECTION=@@COLLATION_CONNECTION */;
/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;

--
-- Table structure for table `push_session`
--

DROP TABLE IF EXISTS `push_session`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `push_session` (
  `username` varchar(191) NOT NULL,
  `server_host` varchar(191) NOT NULL,
  `timestamp` bigint(20) NOT NULL,
  `service` varchar(191) NOT NULL,
  `node` varchar(191) NOT NULL,
  `xml` text NOT NULL,
  PRIMARY KEY (`server_host`,`username`,`timestamp`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `push_session`
--

LOCK TABLES `push_session` WRITE;
/*!40000 ALTER TABLE `push_session` DISABLE KEYS */;
INSERT INTO `push_session` VALUES
('alice','b.example',1795384411385191,'push.example.net','node-1','<x type=\'submit\' xmlns=\'jabber:x:data\'><field var=\'FORM_TYPE\'><value>http://jabber.org/protocol/pubsub#publish-options</value></field><field var=\'secret\'><value>it&quot;s\n&lt;&amp;\\x </value></field></x>'),
('alice','b.example',1795384413000002,'push.example.net','node-2','<x type=\'submit\' xmlns=\'jabber:x:data\'><field var=\'FORM_TYPE\'><value>http://jabber.org/protocol/pubsub#publish-options</value></field><field var=\'secret\'><value>it&apos;s Üé</value></field></x>'),
('bob','b.example',1795384412000001,'push@example.net/r','n ~ é',''),
('carol','b.example',1795384414000002,'b.example','node-3','');
/*!40000 ALTER TABLE `push_session` ENABLE KEYS */;
UNLOCK TABLES;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;

/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;
/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;
/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
/*!40101 SET CHARACTER_SET_RESULTS=@OLD_CHARACTER_SET_RESULTS */;
/*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION */;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;

-- Dump completed
