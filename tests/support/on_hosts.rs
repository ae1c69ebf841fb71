//! One test, two hosts.

/// Makes tests of functions: `both` run on either server, `prosody` and `ejabberd` on that one only.
macro_rules! on_hosts {
    (both: [$($both:ident),* $(,)?] $(, prosody: [$($prosody:ident),* $(,)?])? $(, ejabberd: [$($ejabberd:ident),* $(,)?])? $(,)?) => {
        mod prosody {
            $(#[tokio::test] async fn $both() { crate::server::on(crate::server::Kind::Prosody, super::$both()).await })*
            $($(#[tokio::test] async fn $prosody() { crate::server::on(crate::server::Kind::Prosody, super::$prosody()).await })*)?
        }
        mod ejabberd {
            $(#[tokio::test] async fn $both() { crate::server::on(crate::server::Kind::Ejabberd, super::$both()).await })*
            $($(#[tokio::test] async fn $ejabberd() { crate::server::on(crate::server::Kind::Ejabberd, super::$ejabberd()).await })*)?
        }
    };
}
pub(crate) use on_hosts;
