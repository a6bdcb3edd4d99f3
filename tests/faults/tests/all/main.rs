//! The instruments themselves: a proxy that does not break connections, or a checker that is never angry, would let
//! everything pass.

mod checker;
mod proxy;
