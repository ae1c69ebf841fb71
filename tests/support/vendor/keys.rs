//! Keys and certificates, made when they are needed: none lies in the tree.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::{fs, io};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p12_keystore::{Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// An RSA key takes long to make; one serves the whole process.
static RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

/// What the servers' certificate is for: where they are, and what they stand in for.
const SERVER_NAMES: [&str; 4] = ["localhost", "127.0.0.1", "push.test", "slow.test"];

/// Everything a stand-in and its clients need.
pub(crate) struct Keys {
    /// The CA that made all certificates, PEM.
    pub(crate) ca_pem: String,
    /// Apple's .p8: a P-256 key.
    pub(crate) p8_pem: String,
    pub(crate) key_id: String,
    pub(crate) team_id: String,
    /// A client certificate with its key, PEM.
    pub(crate) client_pem: String,
    /// The same as PKCS#12.
    pub(crate) client_p12: Vec<u8>,
    pub(crate) client_p12_password: String,
    /// A service account of project `project-1`.
    pub(crate) service_account: String,
    pub(crate) project_id: String,
    pub(crate) client_email: String,
    pub(crate) token_uri: String,
    pub(super) ca_der: CertificateDer<'static>,
    pub(super) server_chain: Vec<CertificateDer<'static>>,
    /// A server's certificate of that CA, PEM, and its key.
    pub(crate) server_pem: String,
    pub(crate) server_key_pem: String,
    server_key: Vec<u8>,
    /// The public half of the .p8, an uncompressed point.
    pub(super) p8_public: Vec<u8>,
    /// The public half of the service account's key, PKCS#1.
    pub(super) rsa_public: Vec<u8>,
}

impl Keys {
    pub(super) fn make(token_uri: &str) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::default();
        ca.distinguished_name.push(DnType::CommonName, "stand-in CA");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_cert = ca.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(ca, ca_key);

        let server_key = KeyPair::generate().unwrap();
        let mut server = CertificateParams::new(SERVER_NAMES.map(str::to_owned)).unwrap();
        server.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        let server_cert = server.signed_by(&server_key, &issuer).unwrap();

        let client_key = KeyPair::generate().unwrap();
        let mut client = CertificateParams::new(Vec::new()).unwrap();
        client.distinguished_name.push(DnType::CommonName, "Apple Push Services: org.example.chat");
        client.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        let client_cert = client.signed_by(&client_key, &issuer).unwrap();

        let p8 = KeyPair::generate().unwrap();
        let (project_id, client_email) = ("project-1".to_owned(), "push@project-1.example".to_owned());
        let client_p12_password = "open sesame".to_owned();
        Self {
            ca_pem: ca_cert.pem(),
            p8_pem: p8.serialize_pem(),
            key_id: "KEY1234567".into(),
            team_id: "TEAM123456".into(),
            client_pem: client_cert.pem() + &client_key.serialize_pem(),
            client_p12: p12(client_cert.der(), &ca_cert, &client_key, &client_p12_password),
            client_p12_password,
            service_account: service_account(&project_id, &client_email, token_uri),
            project_id,
            client_email,
            token_uri: token_uri.to_owned(),
            ca_der: ca_cert.der().clone(),
            server_chain: vec![server_cert.der().clone()],
            server_pem: server_cert.pem(),
            server_key_pem: server_key.serialize_pem(),
            server_key: server_key.serialize_der(),
            p8_public: p8.public_key_raw().to_vec(),
            rsa_public: RSA.public_key().as_ref().to_vec(),
        }
    }

    /// TLS of another server with the same certificate, which agrees on one of these protocols.
    pub(crate) fn tls(&self, protocols: &[&[u8]]) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let chain = self.server_chain.clone();
        let mut config = builder.with_no_client_auth().with_single_cert(chain, self.server_key()).unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        config
    }

    pub(super) fn server_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.server_key.clone()).into()
    }

    /// Writes `ca.pem`, `server.pem`, `server.key`, `AuthKey.p8`, `client.pem`, `client.p12` and `service-account.json`
    /// into a folder.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        fs::write(folder.join("ca.pem"), &self.ca_pem)?;
        fs::write(folder.join("server.pem"), &self.server_pem)?;
        fs::write(folder.join("server.key"), &self.server_key_pem)?;
        fs::write(folder.join("AuthKey.p8"), &self.p8_pem)?;
        fs::write(folder.join("client.pem"), &self.client_pem)?;
        fs::write(folder.join("client.p12"), &self.client_p12)?;
        fs::write(folder.join("service-account.json"), &self.service_account)
    }
}

fn p12(leaf: &CertificateDer<'_>, ca: &rcgen::Certificate, key: &KeyPair, password: &str) -> Vec<u8> {
    let certificate = |der: &[u8]| Certificate::from_der(der).unwrap();
    let key = PrivateKey::from_der(&key.serialize_der()).unwrap();
    let chain = PrivateKeyChain::new("client", key, [certificate(leaf), certificate(ca.der())]);
    let mut store = KeyStore::new();
    store.add_entry("client", KeyStoreEntry::PrivateKeyChain(chain));
    let writer = store.writer(password).encryption_algorithm(EncryptionAlgorithm::PbeWithHmacSha256AndAes256);
    // Few rounds: this password guards nothing.
    writer.encryption_iterations(1000).mac_iterations(1000).write().unwrap()
}

fn service_account(project: &str, email: &str, token_uri: &str) -> String {
    let der: Pkcs8V1Der<'_> = RSA.as_der().unwrap();
    let text = STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    serde_json::json!({
        "type": "service_account",
        "project_id": project,
        "private_key_id": "rsa-key-1",
        "private_key": pem,
        "client_email": email,
        "token_uri": token_uri,
    })
    .to_string()
}
