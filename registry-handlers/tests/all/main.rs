//! The whole way, with real files, commands, mounts and sockets. One program, so that it is linked once.

mod clock;
mod configuration;
mod disks;
mod following;
mod notifying;
mod support;
