//! Everything that needs no host: one binary, so it links once.

#[cfg(test)]
mod layers;
#[cfg(test)]
mod store;
