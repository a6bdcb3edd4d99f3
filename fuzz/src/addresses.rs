//! URLs: they are understood in one way, or refused without their password.

use registry::Environment;
use registry_address::{Address, Scheme, host};

const ETCD: Scheme = Scheme { plain: "etcd", secure: "etcds", port: 2379 };
const ETCD_V2: Scheme = Scheme { plain: "etcd-v2", secure: "etcd-v2s", port: 2379 };
const CANARY: &str = "c4nary5ecret";

/// Text in which the canary is not: a search that is guided by comparisons finds it, and puts it where no secret is.
fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok().filter(|text| !text.contains(&CANARY[..4]))
}

pub(crate) fn address(data: &[u8]) {
    let Some(text) = text(data) else { return };
    // A URL that does not begin as one is shown by nobody, so every input is tried as the rest of one as well.
    for url in [
        text.to_owned(),
        format!("etcd://{text}"),
        format!("etcds://u:{CANARY}@{text}"),
        format!("etcd://u:{CANARY}{text}@h/"),
    ] {
        match Address::parse(&ETCD, &url) {
            Ok(address) => {
                assert!(!format!("{address:?}").contains(CANARY), "{url:?}");
                assert!(!address.endpoints.is_empty());
                for endpoint in &address.endpoints {
                    if let Some(path) = endpoint.strip_prefix("unix:/") {
                        assert!(!path.is_empty() && !path.contains(char::is_control), "{endpoint:?}");
                        continue;
                    }
                    let (_, port) = endpoint.rsplit_once(':').expect("a host and a port");
                    assert!(port.parse::<u16>().is_ok_and(|port| port > 0), "{endpoint:?}");
                    assert!(
                        !host(endpoint).is_empty() && !endpoint.contains(['@', '/', '?', '#', ' ']),
                        "{endpoint:?}"
                    );
                }
                let prefix = &address.prefix;
                assert!(prefix.is_empty() || (prefix.starts_with('/') && !prefix.ends_with('/')), "{prefix:?}");
                let parts = prefix.split('/').skip(1);
                assert!(parts.clone().all(|part| !part.is_empty() && part != "." && part != ".."), "{prefix:?}");
            }
            Err(error) => {
                assert!(!error.to_string().contains(CANARY), "{error}");
                assert!(!error.to_string().contains(char::is_control), "{error:?}");
            }
        }
    }
}

pub(crate) fn consul(data: &[u8]) {
    let Some(text) = text(data) else { return };
    for url in
        [format!("consul://{text}"), format!("consul://:{CANARY}@{text}"), format!("consul://u:{CANARY}{text}@h/")]
    {
        let shown = match registry_consul::Config::from_uri(&registry_consul::CATALOG, &url) {
            Ok(config) => format!("{config:?}"),
            Err(error) => error.to_string(),
        };
        assert!(!shown.contains(CANARY), "{shown}");
    }
}

pub(crate) fn sqlite(data: &[u8]) {
    let text = std::str::from_utf8(data).unwrap_or_default();
    for url in [text.to_owned(), format!("sqlite://{text}"), format!("sqlite:{text}")] {
        if let Err(error) = registry_sqlite::Config::from_uri(&url) {
            assert!(!error.to_string().contains(char::is_control), "{error:?}");
        }
    }
}

/// The variables of other tools: the URL that is made of them is understood, or refused without the password in it.
pub(crate) fn environment(data: &[u8]) {
    let Some(text) = text(data) else { return };
    for (name, value) in [
        ("ETCDCTL_ENDPOINTS", text.to_owned()),
        ("ETCDCTL_ENDPOINTS", format!("https://u:{CANARY}@{text}")),
        ("CONSUL_HTTP_ADDR", text.to_owned()),
        ("CONSUL_HTTP_ADDR", format!("http://u:{CANARY}@{text}")),
    ] {
        let variables = [(name, value.as_str()), ("ETCDCTL_USER", text), ("ETCDCTL_PASSWORD", CANARY)];
        let environment = Environment::new(variables).expect("text");
        assert!(!format!("{environment:?}").contains(CANARY), "{environment:?}");
        for like in [None, Some("etcd-v2://h/prefix"), Some("consul-kv://h/prefix"), Some(text)] {
            let said = match environment.url(like) {
                Ok(None) => continue,
                Err(error) => error.to_string(),
                Ok(Some(url)) if url.starts_with("consul") => {
                    let kv = url.starts_with("consul-kv");
                    let scheme = if kv { &registry_consul::KV } else { &registry_consul::CATALOG };
                    let read = registry_consul::Config::from_uri(scheme, &url);
                    read.map_or_else(|error| error.to_string(), |config| format!("{config:?}"))
                }
                Ok(Some(url)) => {
                    let read = Address::parse(if url.starts_with("etcd-v2") { &ETCD_V2 } else { &ETCD }, &url);
                    read.map_or_else(|error| error.to_string(), |address| format!("{address:?}"))
                }
            };
            assert!(!said.contains(CANARY) && !said.contains(char::is_control), "{said:?}");
        }
    }
}
