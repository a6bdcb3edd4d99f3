//! What must hold for an answer of Couchbase and for the address of a node.

use reqwest::Url;

use super::address::Base;
use super::rest::{names, rebalancing};

/// # Panics
/// When that does not hold.
pub(crate) fn answer(body: &[u8]) {
    if let Ok(nodes) = names(body) {
        for name in &nodes.names {
            assert!(!name.contains(',') && name.contains('@'), "{name:?}");
        }
        let cut = body.trim_ascii_end().len() - 1;
        assert!(names(&body[..cut]).is_err(), "a part of the answer is taken for the whole");
    }
    if let Ok(Err(why)) = rebalancing(body) {
        assert!(why.len() <= body.len() * 3);
    }
    let configured = Url::parse("https://couchbase.invalid:18091/").expect("a valid URL");
    let Some(address) = std::str::from_utf8(body).ok() else { return };
    if let Ok(base) = Base::of(&configured, address) {
        let url = base.at("/pools/default");
        // The password goes there: to the host that the address shows, and nothing else of the URL is the address's.
        assert_eq!((url.scheme(), url.path(), url.query(), url.fragment()), ("https", "/pools/default", None, None));
        assert!(url.username().is_empty() && url.password().is_none());
        // An IPv6 address can be written in many ways.
        let shown = address.to_ascii_lowercase().contains(&base.host().to_ascii_lowercase());
        assert!(shown || base.host().parse::<std::net::Ipv6Addr>().is_ok(), "{address:?} leads to {url}");
    }
}
