//! Files and notifications as they are written in TOML, and what is refused.

use std::time::Duration;

use processes::Processes;
use registry_handlers::{
    ErrorKind, FileKind, FileSpec, Handlers, NotifyKind, NotifySpec, Pending, Setup, Shape, WriteMethod,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    file: Vec<FileSpec>,
    #[serde(default)]
    notify: Vec<NotifySpec>,
}

fn load(text: &str) -> Result<Handlers, String> {
    let Configuration { file, notify } = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut setup = Setup::new(Processes::start().unwrap(), Pending::in_memory());
    setup.child = Some(std::sync::Arc::new(|_| Ok(())));
    Handlers::new(&file, &notify, setup).map_err(|error| {
        assert_eq!(error.kind(), ErrorKind::Config);
        error.to_string()
    })
}

#[test]
fn the_vocabulary_is_understood() {
    let text = r#"
        [[notify]]
        name = "reload-app"
        kind = "signal"
        signal = "HUP"
        min_interval = "5s"
        on_first = "skip"

        [[notify]]
        name = "nginx"
        kind = "exec"
        argv = ["nginx", "-s", "reload"]
        timeout = "30s"
        retry = { base = "1s", max = "1m" }

        [[notify]]
        name = "web"
        kind = "http"
        url = "http://127.0.0.1:1/hook"

        [[file]]
        kind = "json"
        watch = ["redis"]
        dest = "/run/app/redis.json"
        shape = "host_port"
        mode = "0640"
        group = "root"
        notify = ["reload-app", "web"]

        [[file]]
        kind = "nginx"
        watch = ["mysql", "redis"]
        dest = "/etc/nginx/upstreams.conf"
        check = ["nginx", "-t", "-c", "{src}"]
        write = "inplace"
        on_empty = "render"
        min_members = 1
        window = "1s"
        notify = ["nginx"]

        [[file]]
        kind = "hosts"
        watch = ["mysql"]
        dest = "/etc/hosts"
        block = "cluster-control"
    "#;
    let parsed: Configuration = toml::from_str(text).unwrap();
    assert_eq!((parsed.file[0].kind, parsed.file[0].shape), (FileKind::Json, Some(Shape::HostPort)));
    assert_eq!((parsed.file[1].write, parsed.file[1].window), (WriteMethod::Inplace, Duration::from_secs(1)));
    assert_eq!(parsed.file[0].window, Duration::from_millis(200));
    assert_eq!((parsed.notify[2].kind, parsed.notify[2].timeout), (NotifyKind::Http, Duration::from_secs(30)));
    let handlers = load(text).unwrap();
    assert_eq!(handlers.clusters().into_iter().collect::<Vec<_>>(), ["mysql", "redis"]);
}

#[test]
fn what_is_wrong_is_named() {
    let file = |rest: &str| format!("[[file]]\nkind = \"json\"\nwatch = [\"db\"]\ndest = \"/tmp/x\"\n{rest}");
    let notify = |rest: &str| format!("[[notify]]\nname = \"app\"\n{rest}");
    for (text, said) in [
        (file("colour = 1"), "colour"),
        (file("mode = 640"), "expected a string"),
        (file("mode = \"999\""), "is not a mode"),
        (file("window = \"200\""), "is not a duration"),
        (file("notify = [\"app\"]"), "there is no notification \"app\" (there is: none)"),
        (file("src = \"/x\""), "`src` is only for files of kind `template`"),
        (file("block = \"x\""), "`block` is only for files of kind `hosts`"),
        (file("owner = \"nobody-has-this-name\""), "there is no user"),
        (file("check = []"), "`check` is empty"),
        (file("check = [\"true\"]"), "must have {src}"),
        (file(&file("")), "is written by two entries"),
        (file("").replace("[\"db\"]", "[]"), "`watch` is empty"),
        (file("").replace("json", "nginx").replace("\"db\"", "\"d b\""), "cannot stand in"),
        (file("").replace("json", "template"), "needs `src`"),
        (notify("kind = \"signal\""), "`signal` is missing"),
        (notify("kind = \"signal\"\nsignal = \"HOP\""), "is not a signal"),
        (notify("kind = \"exec\""), "`argv` is missing"),
        (notify("kind = \"exec\"\nargv = [\"\"]"), "is empty"),
        (notify("kind = \"exec\"\nargv = [\"x\"]\nurl = \"http://x\""), "`url` does not belong"),
        (notify("kind = \"http\"\nurl = \"ftp://x\""), "http and https are known"),
        (notify("kind = \"exec\"\nargv = [\"x\"]\ntimeout = \"0s\""), "`timeout`"),
        (notify("kind = \"signal\"\nsignal = \"HUP\"\nverify = []"), "`verify` is missing"),
        (notify("kind = \"signal\"\nsignal = \"HUP\"\nverify = [\"\"]"), "the program in `verify` is empty"),
        (notify("kind = \"exec\"\nargv = [\"x\"]\nverify_within = \"0s\""), "`verify_within`"),
        (
            notify(&format!("kind = \"exec\"\nargv = [\"x\"]\n{}", notify("kind = \"exec\"\nargv = [\"x\"]"))),
            "two notifications",
        ),
    ] {
        let Err(error) = load(&text) else { panic!("accepted: {text}") };
        assert!(error.contains(said), "{text}\nsaid: {error}\nnot:  {said}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let mut http = NotifySpec::http("web", "http://user:hunter2@x/?token=hunter2");
    http.argv = Some(vec!["hunter2".into()]);
    assert!(!format!("{http:?}").contains("hunter2"));
}
