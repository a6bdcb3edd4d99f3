//! A server under another address.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Forwards connections until it is dropped. Those that are open then stay open.
pub(crate) struct Forwarder {
    address: (&'static str, u16),
    has_ended: Arc<AtomicBool>,
}

pub(crate) fn forward(address: (&'static str, u16), server: &str) -> Forwarder {
    let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("{address:?}: {error}"));
    let (server, has_ended) = (server.to_owned(), Arc::new(AtomicBool::new(false)));
    let ended = Arc::clone(&has_ended);
    thread::spawn(move || {
        for client in listener.incoming() {
            if ended.load(Ordering::SeqCst) {
                break;
            }
            if let (Ok(client), Ok(server)) = (client, TcpStream::connect(&server)) {
                let _ = both_ways(&client, &server);
            }
        }
    });
    Forwarder { address, has_ended }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.has_ended.store(true, Ordering::SeqCst);
        // It waits for a connection.
        let _ = TcpStream::connect(self.address);
    }
}

fn both_ways(client: &TcpStream, server: &TcpStream) -> io::Result<()> {
    let pairs = [(client.try_clone()?, server.try_clone()?), (server.try_clone()?, client.try_clone()?)];
    for (mut from, mut to) in pairs {
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    Ok(())
}
