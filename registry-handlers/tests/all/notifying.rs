//! Everybody is told, with real commands.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::{Scene, settled, setup, shell, until};
use processes::{Processes, Signal};
use registry_handlers::{Handlers, NotifySpec, OnFirst, Pending};
use tokio::sync::watch;

#[tokio::test]
async fn a_burst_over_two_files_makes_one_notification() {
    let scene = Scene::new();
    scene.list(&["first"]);
    let log = scene.path("runs");
    let files = [scene.file("a.json", &["app"]), scene.file("b.json", &["app"])];
    let pipeline = scene.start(&files, &[shell("app", &format!("echo run >>{}", log.display()))]);
    settled(&pipeline).await;
    let (before, began) = (scene.read("runs").lines().count(), Instant::now());
    for count in 0..20 {
        scene.list(&[&format!("member-{count}")]);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // One, unless the machine is so slow that the burst outlasts it.
    let windows = usize::try_from(began.elapsed().as_millis()).expect("it was short") / 200 + 1;
    settled(&pipeline).await;
    assert_eq!(scene.read("b.json"), r#"["member-19"]"#);
    let runs = scene.read("runs").lines().count() - before;
    assert!((1..=windows + 1).contains(&runs), "{runs} runs in {windows} windows");
}

#[tokio::test]
async fn a_failure_is_repeated_until_it_succeeds() {
    let scene = Scene::new();
    scene.list(&["a"]);
    let log = scene.path("runs");
    let script = format!("echo run >>{0}; echo broken >&2; test $(wc -l <{0}) -ge 3", log.display());
    let pipeline = scene.start(&[scene.file("db.json", &["app"])], &[shell("app", &script)]);
    let failed = until("a failure", || pipeline.status(), |status| status.notifications[0].attempts > 0).await;
    let notify = &failed.notifications[0];
    assert_eq!(notify.pending, [scene.path("db.json")]);
    assert!(notify.error.as_ref().unwrap().contains("sh exited with code 1: broken"), "{notify:?}");
    settled(&pipeline).await;
    let notify = pipeline.status().notifications.remove(0);
    assert_eq!((notify.runs, notify.attempts, notify.error), (3, 0, None));
}

/// A server that refuses what it is told to read, as nginx does after HUP: whoever sent the signal hears nothing.
#[tokio::test]
async fn what_was_refused_after_the_signal_is_notified_again_until_it_is_applied() {
    let scene = Scene::new();
    scene.list(&["a"]);
    let signals = Arc::new(Mutex::new(0));
    let mut setup = setup();
    let (log, from, to) = (Arc::clone(&signals), scene.path("db.json"), scene.path("in-use"));
    // The third one is accepted.
    setup.child = Some(Arc::new(move |_| {
        let mut log = log.lock().unwrap();
        *log += 1;
        if *log == 3 { fs::copy(&from, &to).map(drop).map_err(|error| error.to_string()) } else { Ok(()) }
    }));
    let mut reload = NotifySpec::signal("reload", "hup");
    reload.on_first = Some(OnFirst::Run);
    reload.retry = registry_handlers::Retry::new(Duration::from_millis(20), Duration::from_millis(20));
    let script = format!("echo look >>{}/looks; cmp db.json in-use", scene.directory.path().display());
    let script = format!("cd {} && {script}", scene.directory.path().display());
    reload.verify = Some(["sh", "-c", &script].map(ToOwned::to_owned).into());
    reload.verify_within = Duration::from_millis(400);
    let pipeline =
        Handlers::new(&[scene.file("db.json", &["reload"])], &[reload], setup).unwrap().start(&scene.memberships);
    let refused = until("a failure", || pipeline.status(), |status| status.notifications[0].attempts > 0).await;
    let notify = &refused.notifications[0];
    assert!(notify.unverified && notify.pending == [scene.path("db.json")] && !refused.is_settled(), "{notify:?}");
    let error = notify.error.as_ref().unwrap();
    assert!(error.starts_with("written and notified, but not applied: `verify` says: sh"), "{error}");
    settled(&pipeline).await;
    let notify = pipeline.status().notifications.remove(0);
    assert_eq!((notify.runs, notify.unverified, notify.error), (3, false, None));
    assert_eq!(*signals.lock().unwrap(), 3, "it was told again after it was applied");
    let looks = scene.read("looks").lines().count();
    assert!(looks > 3, "within its time it is looked again, without notifying: {looks}");
}

/// While what was written is not applied, a change is told at once.
#[tokio::test]
async fn newer_content_ends_the_waiting_for_the_older() {
    let scene = Scene::new();
    scene.list(&["bad"]);
    let mut app = shell("app", &format!("cp {0}/db.json {0}/in-use", scene.directory.path().display()));
    let script = format!("grep good {}/in-use", scene.directory.path().display());
    app.verify = Some(["sh", "-c", &script].map(ToOwned::to_owned).into());
    app.verify_within = Duration::from_hours(1);
    let pipeline = scene.start(&[scene.file("db.json", &["app"])], &[app]);
    until("a look", || pipeline.status(), |status| status.notifications[0].unverified).await;
    scene.list(&["good"]);
    settled(&pipeline).await;
    assert_eq!(scene.read("in-use"), r#"["good"]"#);
}

#[tokio::test]
async fn a_command_that_hangs_is_killed_with_its_group_and_holds_up_nobody() {
    let scene = Scene::new();
    scene.list(&["a"]);
    let (pid, told) = (scene.path("pid"), scene.path("told"));
    let mut hangs = shell("hangs", &format!("sleep 1000 & echo $! >{}; wait", pid.display()));
    // Time enough for all that it must not hold up.
    hangs.timeout = Duration::from_secs(5);
    hangs.retry = registry_handlers::Retry::new(Duration::from_mins(1), Duration::from_mins(1));
    let files = [scene.file("a.json", &["hangs"]), scene.file("b.json", &["good"])];
    let pipeline = scene.start(&files, &[hangs, shell("good", &format!("echo told >>{}", told.display()))]);
    let grandchild = until("the command", || scene.read("pid"), |text| text.ends_with('\n')).await;
    scene.list(&["b"]);
    until("the other file's reader", || scene.read("told"), |text| text.lines().count() == 2).await;
    assert_eq!(pipeline.status().notifications[0].runs, 0, "the first one still hangs");
    let status = until("its end", || pipeline.status(), |status| status.notifications[0].runs == 1).await;
    assert!(status.notifications[0].error.as_ref().unwrap().contains("took longer than 5s"), "{status:?}");
    assert_eq!(scene.read("a.json"), r#"["b"]"#);
    let proc = format!("/proc/{}", grandchild.trim());
    until("the end of the grandchild", || fs::exists(&proc).unwrap(), |alive| !alive).await;
}

#[tokio::test]
async fn a_flood_is_cut() {
    let scene = Scene::new();
    scene.list(&["a"]);
    let mut flood = NotifySpec::exec("flood", ["yes"]);
    flood.timeout = Duration::from_millis(500);
    let pipeline = scene.start(&[scene.file("db.json", &["flood"])], &[flood]);
    let before = resident();
    let status = until("its end", || pipeline.status(), |status| status.notifications[0].runs == 1).await;
    let error = status.notifications[0].error.clone().unwrap();
    assert!(error.len() < 1000 && error.contains("y\\ny"), "{error}");
    assert!(resident() < before + 32 * 1024, "the output is kept in memory");
}

/// In KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn a_command_gets_the_model_and_no_credentials() {
    let scene = Scene::new();
    scene.list(&["10.0.0.9:3306", "b"]);
    let (env, input) = (scene.path("env"), scene.path("input"));
    let script = format!("cat >{}; env >{}", input.display(), env.display());
    let mut setup = setup();
    // Every test process has a HOME; it stands for a credential here.
    setup.processes = setup.processes.with_environment([("HOME", None::<&str>)]);
    let handlers = Handlers::new(&[scene.file("db.json", &["app"])], &[shell("app", &script)], setup).unwrap();
    let pipeline = handlers.start(&scene.memberships);
    settled(&pipeline).await;
    let dest = scene.path("db.json");
    let model: serde_json::Value = serde_json::from_str(&scene.read("input")).unwrap();
    assert_eq!(model["schema"], 1);
    assert_eq!(model["files"][0], dest.to_str().unwrap());
    assert_eq!(model["clusters"]["db"][0]["port"], 3306);
    let env = scene.read("env");
    for line in [
        "CLUSTER_CONTROL_EVENT=changed",
        "CLUSTER_CONTROL_CLUSTER=db",
        &format!("CLUSTER_CONTROL_FILE={}", dest.display()),
        "CLUSTER_CONTROL_INDEX=7",
        "CLUSTER_CONTROL_MEMBERS_COUNT=2",
    ] {
        assert!(env.lines().any(|found| found == line), "{line} is not in {env}");
    }
    assert!(std::env::var_os("HOME").is_some());
    assert!(!env.lines().any(|line| line.starts_with("HOME=")), "{env}");
}

#[tokio::test]
async fn a_signal_waits_for_the_child_and_is_repeated() {
    let scene = Scene::new();
    scene.list(&["a"]);
    let sent = Arc::new(Mutex::new(Vec::new()));
    let (ready, is_ready) = watch::channel(false);
    let mut setup = setup();
    setup.ready = is_ready;
    let log = Arc::clone(&sent);
    setup.child = Some(Arc::new(move |signal: Signal| {
        let mut log = log.lock().unwrap();
        log.push(signal);
        if log.len() == 1 { Err("the child is gone".to_owned()) } else { Ok(()) }
    }));
    let mut reload = NotifySpec::signal("reload", "hup");
    reload.retry = registry_handlers::Retry::new(Duration::from_millis(20), Duration::from_millis(20));
    let mut handlers = Handlers::new(&[scene.file("db.json", &["reload"])], &[reload], setup).unwrap();
    // The child starts after this and reads the file, so there is nothing to tell.
    handlers.prepare(&scene.memberships).await;
    let pipeline = handlers.start(&scene.memberships);
    settled(&pipeline).await;
    // It may have read the file by now.
    scene.list(&["b"]);
    until("the file", || scene.read("db.json"), |text| text == r#"["b"]"#).await;
    until("the mark", || pipeline.status().notifications[0].pending.len(), |&pending| pending == 1).await;
    assert!(sent.lock().unwrap().is_empty(), "it was told before it was ready");
    ready.send_replace(true);
    settled(&pipeline).await;
    assert_eq!(*sent.lock().unwrap(), [Signal::HUP, Signal::HUP]);
}

#[tokio::test]
async fn on_first_decides_about_what_was_prepared() {
    for (on_first, runs) in [(None, 1), (Some(OnFirst::Run), 1), (Some(OnFirst::Skip), 0)] {
        let scene = Scene::new();
        scene.list(&["a"]);
        let mut told = shell("told", &format!("echo run >>{}", scene.path("runs").display()));
        told.on_first = on_first;
        let mut handlers = Handlers::new(&[scene.file("db.json", &["told"])], &[told], setup()).unwrap();
        handlers.prepare(&scene.memberships).await;
        let pipeline = handlers.start(&scene.memberships);
        settled(&pipeline).await;
        assert_eq!(scene.read("runs").lines().count(), runs, "{on_first:?}");
        scene.list(&["b"]);
        until("the change", || scene.read("runs").lines().count(), |&count| count == runs + 1).await;
    }
}

#[tokio::test]
async fn what_was_pending_survives_a_new_configuration() {
    let scene = Scene::new();
    scene.list(&["a"]);
    let pending = Pending::in_memory();
    let start = |script: &str| {
        let setup = registry_handlers::Setup::new(Processes::start().unwrap(), pending.clone());
        let handlers = Handlers::new(&[scene.file("db.json", &["app"])], &[shell("app", script)], setup).unwrap();
        handlers.start(&scene.memberships)
    };
    let pipeline = start("exit 1");
    until("a failure", || pipeline.status().notifications[0].runs, |&runs| runs > 0).await;
    pipeline.stop().await;
    let pipeline = start("exit 0");
    settled(&pipeline).await;
    let status = pipeline.status();
    assert_eq!((status.notifications[0].runs, status.files[0].writes), (1, 0));
}
