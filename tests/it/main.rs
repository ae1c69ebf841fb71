//! Everything that needs no other program on the machine: one binary, linked once.

mod layers;
