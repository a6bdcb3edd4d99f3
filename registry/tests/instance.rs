//! Instances and their layouts: what was written is read, and what anybody may have written is an error at most.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use registry::{
    Bytes, Codec, Entry, Error, ErrorKind, Health, Index, Instance, Json, MAX_VALUE, Name, NameIsAddress, Raw,
    ValueIsAddress, ValueIsCount,
};

fn entry(name: &str, value: impl Into<Bytes>) -> Entry {
    Entry { name: Name::new(name).unwrap(), value: value.into(), index: Index::new(1, 1) }
}

fn read<C: Codec>(codec: &C, name: &str, value: impl Into<Bytes>) -> Result<C::Item, Error> {
    codec.decode(&entry(name, value))
}

/// An error that a log can hold: it names the entry, is short, and is one line.
fn names(error: &Error, name: &str) -> bool {
    let text = error.to_string();
    let one_line = text.len() < 1500 && !text.chars().any(char::is_control);
    error.kind() == ErrorKind::InvalidInput && text.contains(&format!("the entry {name}: ")) && one_line
}

#[test]
fn json_is_as_documented() {
    let instance = Instance::new("10.0.0.7", 80).unwrap();
    let name = Name::new("a").unwrap();
    assert_eq!(Json.encode(&name, &instance).unwrap(), r#"{"address":"10.0.0.7","port":80}"#);
    let full = r#"{"address":"fe80::1","port":80,"ports":{"metrics":9100},"weight":7,"health":"draining","tags":["a","b"],"metadata":{"k":"v"}}"#;
    let instance = read(&Json, "a", full).unwrap();
    assert_eq!(instance.authority_of("metrics").as_deref(), Some("[fe80::1]:9100"));
    assert_eq!((instance.weight, instance.health, instance.takes_work()), (7, Health::Draining, false));
    assert_eq!(Json.encode(&name, &instance).unwrap(), full);
    let newer = r#"{"address":"db-1.example","port":1,"added later":[{}]}"#;
    assert_eq!(read(&Json, "a", newer).unwrap(), Instance::new("db-1.example", 1).unwrap());
    assert!(!Instance::new("a", 1).unwrap().weight(0).takes_work());
}

#[test]
fn hostile_json_is_an_error_that_names_the_entry() {
    let many = (0..65).map(|n| format!("\"t{n}\"")).collect::<Vec<_>>().join(",");
    let long = "x".repeat(60_000);
    for value in [
        "",
        "null",
        "[]",
        "{",
        "10.0.0.7:80",
        r#"{"address":"10.0.0.7"}"#,
        r#"{"port":80}"#,
        r#"{"address":"10.0.0.7","port":0}"#,
        r#"{"address":"10.0.0.7","port":65536}"#,
        r#"{"address":"10.0.0.7","port":-1}"#,
        r#"{"address":"10.0.0.7","port":"80"}"#,
        r#"{"address":"","port":80}"#,
        r#"{"address":"a b","port":80}"#,
        r#"{"address":"a/../b","port":80}"#,
        r#"{"address":"a\nb","port":80}"#,
        r#"{"address":"user@host","port":80}"#,
        r#"{"address":"300.1.1.1","port":80}"#,
        r#"{"address":"[::1]","port":80}"#,
        r#"{"address":"a","port":80,"weight":1.5}"#,
        r#"{"address":"a","port":80,"weight":65536}"#,
        r#"{"address":"a","port":80,"health":"so so"}"#,
        r#"{"address":"a","port":80,"tags":["\u0000"]}"#,
        r#"{"address":"a","port":80,"tags":[""]}"#,
        r#"{"address":"a","port":80,"ports":{"x":0}}"#,
        r#"{"address":"a","port":80,"ports":{"":1}}"#,
        r#"{"address":"a","port":80,"metadata":{"k":"a\u001b[31m"}}"#,
        r#"{"address":"a","port":80,"address":"b"}"#,
        &format!(r#"{{"address":"a","port":80,"tags":[{many}]}}"#),
        &format!(r#"{{"address":"{long}","port":80}}"#),
        &format!(r#"{{"address":"a","port":"{long}"}}"#),
        &format!(r#"{{"address":"{}a","port":80}}"#, "a.".repeat(127)),
        &"[".repeat(60_000),
        &format!(r#"{{"address":"a","port":80,"x":"{}"}}"#, "x".repeat(MAX_VALUE)),
    ] {
        let error = read(&Json, "web-1", value.to_owned()).expect_err(value);
        assert!(names(&error, "web-1"), "{error:?}");
    }
    assert!(names(&read(&Json, "web-1", &b"\xff\xfe"[..]).unwrap_err(), "web-1"));
}

#[test]
fn an_address_is_read_in_one_way_only() {
    for (text, authority) in
        [("10.0.0.7:80", "10.0.0.7:80"), ("[fe80::1]:80", "[fe80::1]:80"), ("db_1.x:1", "db_1.x:1")]
    {
        assert_eq!(Instance::parse(text, None).unwrap().authority(), authority);
    }
    assert_eq!(Instance::parse("h", Some(3306)).unwrap().authority(), "h:3306");
    assert_eq!(Instance::parse("[::1]", Some(3306)).unwrap().authority(), "[::1]:3306");
    for text in [
        "",
        ":",
        ":80",
        "h:",
        "h:+80",
        "h: 80",
        "h:80 ",
        "h:0",
        "h:65536",
        "h:99999999999",
        "h:80:90",
        "host:container:80",
        "::1:80",
        "[::1",
        "[::1]80",
        "[10.0.0.7]:80",
        "[x]:80",
        "10.1:80",
        "1:80",
        "-h:80",
        "h.:80",
        "h..x:80",
        "é:80",
        "h/x:80",
        "http://h:80",
        "a@b:80",
    ] {
        let error = Instance::parse(text, None).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}: {error}");
    }
}

#[test]
fn foreign_layouts_are_read() {
    let instance = Instance::new("10.0.0.7", 80).unwrap();
    assert_eq!(read(&NameIsAddress::default(), "10.0.0.7:80", "whatever").unwrap(), instance);
    assert_eq!(read(&NameIsAddress::default_port(80), "10.0.0.7", "").unwrap(), instance);
    assert_eq!(read(&ValueIsAddress::default(), "a", "10.0.0.7:80\n").unwrap(), instance);
    assert_eq!(read(&ValueIsAddress::default_port(80), "a", "10.0.0.7").unwrap(), instance);
    assert_eq!((read(&ValueIsCount, "a", "8\n").unwrap(), read(&ValueIsCount, "a", "0").unwrap()), (8, 0));
    assert_eq!(read(&Raw, "a", &b"\xff"[..]).unwrap(), &b"\xff"[..]);
}

#[test]
fn hostile_foreign_values_name_the_entry() {
    for error in [
        read(&NameIsAddress::default(), "node-1", "10.0.0.7:80").unwrap_err(),
        read(&ValueIsAddress::default(), "node-1", "").unwrap_err(),
        read(&ValueIsAddress::default(), "node-1", "h\n:80").unwrap_err(),
        read(&ValueIsAddress::default(), "node-1", &b"\xff:80"[..]).unwrap_err(),
        read(&ValueIsAddress::default(), "node-1", "x".repeat(60_000)).unwrap_err(),
    ] {
        assert!(names(&error, "node-1"), "{error:?}");
    }
    for value in ["", " ", "-1", "+1", "1.0", "0x1", "1 2", "4294967296", "99999999999999999999", "٣", "1\u{0}"] {
        assert!(names(&read(&ValueIsCount, "node-1", value).expect_err(value), "node-1"));
    }
}

#[test]
fn a_layout_refuses_what_it_cannot_hold() {
    let name = Name::new("10.0.0.7:80").unwrap();
    let plain = Instance::new("10.0.0.7", 80).unwrap();
    for item in [
        plain.clone().weight(1),
        plain.clone().health(Health::Draining),
        plain.clone().tag("x"),
        plain.clone().port("x", 1),
        plain.clone().metadata("x", "y"),
    ] {
        assert!(names(&NameIsAddress::default().encode(&name, &item).unwrap_err(), "10.0.0.7:80"), "{item:?}");
        assert!(names(&ValueIsAddress::default().encode(&name, &item).unwrap_err(), "10.0.0.7:80"), "{item:?}");
    }
    let elsewhere = Instance::new("10.0.0.8", 80).unwrap();
    assert!(NameIsAddress::default().encode(&name, &elsewhere).is_err());
    assert!(Json.encode(&name, &plain.clone().tag("\n")).is_err(), "what is made by hand is checked");
    assert!(Json.encode(&name, &plain.port("x", 0)).is_err());
    assert!(Raw.encode(&name, &vec![0; MAX_VALUE + 1].into()).is_err());
    let text = "é".repeat(2048);
    let big = (0..64).fold(elsewhere, |instance, n| instance.metadata(n.to_string(), text.clone()));
    assert!(Json.encode(&name, &big).is_err(), "more than a registry holds");
}

fn hosts() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|address| address.to_string()),
        "[a-z]([a-z0-9_-]{0,20})(\\.[a-z][a-z0-9_-]{0,20}){0,3}",
    ]
}

prop_compose! {
    fn instances()(
        address in hosts(),
        port in 1..=u16::MAX,
        ports in btree_map("[^\\p{Cc}]{1,20}", 1..=u16::MAX, 0..4),
        weight in any::<u16>(),
        health in prop_oneof![Just(Health::Healthy), Just(Health::Draining), Just(Health::Unhealthy)],
        tags in btree_set("[^\\p{Cc}]{1,20}", 0..4),
        metadata in btree_map("[^\\p{Cc}]{1,20}", "[^\\p{Cc}]{0,40}", 0..4),
    ) -> Instance {
        let mut instance = Instance::new(address, port).unwrap().weight(weight).health(health);
        (instance.ports, instance.tags, instance.metadata) = (ports, tags, metadata);
        instance
    }
}

proptest! {
    #[test]
    fn json_comes_back(instance in instances()) {
        let name = Name::new("a").unwrap();
        let value = Json.encode(&name, &instance).unwrap();
        prop_assert_eq!(read(&Json, "a", value.clone()).unwrap(), instance.clone());
        prop_assert_eq!(Json.encode(&name, &instance).unwrap(), value, "equal instances make equal bytes");
    }

    #[test]
    fn addresses_come_back(address in hosts(), port in 1..=u16::MAX, count in any::<u32>()) {
        let instance = Instance::new(address, port).unwrap();
        let name = Name::new(&instance.authority()).unwrap();
        let value = NameIsAddress::default().encode(&name, &instance).unwrap();
        prop_assert_eq!(read(&NameIsAddress::default(), name.as_str(), value).unwrap(), instance.clone());
        let value = ValueIsAddress::default().encode(&name, &instance).unwrap();
        prop_assert_eq!(read(&ValueIsAddress::default(), "a", value).unwrap(), instance);
        prop_assert_eq!(read(&ValueIsCount, "a", ValueIsCount.encode(&name, &count).unwrap()).unwrap(), count);
    }

    #[test]
    fn nothing_panics(value in vec(any::<u8>(), 0..200), text in ".{0,80}", name in "[a-z\\[0-9][a-z0-9.:\\]\\[-]{0,30}") {
        let checked = |read: Result<Instance, Error>| read.map_or(true, |instance| instance.check().is_ok());
        for value in [Bytes::from(value), Bytes::from(text)] {
            prop_assert!(checked(read(&Json, &name, value.clone())));
            prop_assert!(checked(read(&ValueIsAddress::default(), &name, value.clone())));
            prop_assert!(checked(read(&NameIsAddress::default(), &name, value.clone())));
            let _ = read(&ValueIsCount, &name, value);
        }
    }
}
