//! Chance, handed in. Nodes and secrets come from here.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::domain::ids::Node;
use crate::domain::secret::Secret;

/// A source of random bytes: the system's generator in production, a seeded one in tests.
pub struct Dice(Box<Fill>);

type Fill = dyn FnMut(&mut [u8]) + Send;

impl Dice {
    /// Draws from `fill`, which must fill the whole slice.
    pub fn new(fill: impl FnMut(&mut [u8]) + Send + 'static) -> Self {
        Self(Box::new(fill))
    }

    /// A node nobody can guess: 144 bits, in 24 characters that need no escaping anywhere.
    pub fn node(&mut self) -> Node {
        Node::new(self.text::<18>())
    }

    /// A secret nobody can guess: 192 bits.
    pub fn secret(&mut self) -> Secret {
        Secret::new(self.text::<24>())
    }

    /// A name that is not used again.
    pub fn token(&mut self) -> Arc<str> {
        self.text::<12>().into()
    }

    /// What makes two seals to one key different: 96 bits.
    pub fn nonce(&mut self) -> [u8; 12] {
        let mut bytes = [0; 12];
        (self.0)(&mut bytes);
        bytes
    }

    /// A number from 0 to 1, 1 excluded.
    pub fn fraction(&mut self) -> f64 {
        let mut bytes = [0; 4];
        (self.0)(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }

    fn text<const N: usize>(&mut self) -> String {
        let mut bytes = [0; N];
        (self.0)(&mut bytes);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }
}

impl std::fmt::Debug for Dice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dice(..)")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Dice that count: every draw is different and foreseeable.
    pub(crate) fn counting() -> Dice {
        let mut draws = 0_u16;
        Dice::new(move |bytes| {
            draws += 1;
            let pattern = draws.to_le_bytes().into_iter().cycle();
            bytes.iter_mut().zip(pattern).for_each(|(byte, drawn)| *byte = drawn);
        })
    }

    #[test]
    fn nodes_and_secrets_hold_all_the_bits_that_were_drawn() {
        let mut dice = counting();
        assert_eq!(dice.node().as_str(), BASE64_URL_SAFE_NO_PAD.encode([1, 0].repeat(9)));
        assert_eq!(dice.secret().reveal(), BASE64_URL_SAFE_NO_PAD.encode([2, 0].repeat(12)));
    }
}
