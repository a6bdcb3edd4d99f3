//! Files follow members, with real files and real commands.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::{Scene, settled, setup, shell, until};
use registry_handlers::{FileKind, Handlers, OnEmpty, Outcome};
use tokio::time::sleep;

#[tokio::test]
async fn a_burst_makes_few_writes_and_the_last_change_counts() {
    let scene = Scene::new();
    scene.list(&["first"]);
    let pipeline = scene.start(&[scene.file("db.json", &[])], &[]);
    settled(&pipeline).await;
    let (before, began) = (pipeline.status().files[0].writes, Instant::now());
    for count in 0..500 {
        scene.list(&[&format!("member-{count}")]);
        if count % 10 == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    }
    let windows = began.elapsed().as_millis() / 200 + 1;
    until("the last change", || scene.read("db.json"), |text| text == r#"["member-499"]"#).await;
    let writes = u128::from(pipeline.status().files[0].writes - before);
    assert!(writes <= windows + 1, "{writes} writes in {windows} windows");
}

#[tokio::test]
async fn a_reader_never_sees_half_a_file() {
    let scene = Scene::new();
    let mut spec = scene.file("db.json", &[]);
    spec.window = Duration::from_millis(1);
    let pipeline = scene.start(&[spec], &[]);
    let path = scene.path("db.json");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let reader = std::thread::spawn(move || {
        let mut seen = std::collections::BTreeSet::new();
        while stopped.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
            let Ok(bytes) = fs::read(&path) else { continue };
            let names: Vec<String> = serde_json::from_slice(&bytes).expect("a whole file");
            assert_eq!(names.len(), 300);
            seen.insert(names[0].clone());
        }
        seen.len()
    });
    for round in 0..40 {
        let names: Vec<_> = (0..300).map(|count| format!("r{round}-{count:0>60}")).collect();
        scene.list(&names.iter().map(String::as_str).collect::<Vec<_>>());
        settled(&pipeline).await;
    }
    drop(stop);
    let seen = reader.join().expect("every read was whole");
    assert!(seen > 5, "the reader has seen {seen} versions only");
}

#[tokio::test]
async fn what_is_equal_is_not_written() {
    let scene = Scene::new();
    scene.list(&["a", "b"]);
    fs::write(scene.path("db.json"), r#"["a","b"]"#).unwrap();
    let pipeline = scene.start(
        &[scene.file("db.json", &["never"])],
        &[shell("never", &format!("echo >{}", scene.path("told").display()))],
    );
    settled(&pipeline).await;
    scene.list(&["b", "a"]);
    scene.memberships.replace("db", &crate::support::members(&["a", "b"]));
    settled(&pipeline).await;
    assert_eq!(pipeline.status().files[0].writes, 0);
    pipeline.stop().await;
    assert_eq!(crate::support::names(scene.directory.path()), ["db.json"]);
}

#[tokio::test]
async fn an_empty_list_keeps_the_file_and_a_missing_file_is_made() {
    let scene = Scene::new();
    scene.list(&[]);
    let pipeline = scene.start(&[scene.file("db.json", &[])], &[]);
    until("the first file", || scene.read("db.json"), |text| text == "[]").await;
    scene.list(&["a"]);
    until("the member", || scene.read("db.json"), |text| text == r#"["a"]"#).await;
    scene.list(&[]);
    let status = until("the guard", || pipeline.status(), |status| status.files[0].held.is_some()).await;
    assert_eq!(status.files[0].held.as_deref(), Some("db has no members: its last members are kept"));
    assert_eq!(scene.read("db.json"), r#"["a"]"#);
    pipeline.stop().await;

    // The same after a restart, which remembers no members.
    let pipeline = scene.start(&[scene.file("db.json", &[])], &[]);
    until("the guard", || pipeline.status(), |status| status.files[0].held.is_some()).await;
    assert_eq!(scene.read("db.json"), r#"["a"]"#);
    pipeline.stop().await;

    let mut spec = scene.file("db.json", &[]);
    spec.on_empty = OnEmpty::Render;
    let pipeline = scene.start(&[spec], &[]);
    until("the empty list", || scene.read("db.json"), |text| text == "[]").await;
    pipeline.stop().await;
}

#[tokio::test]
async fn a_refused_content_is_not_put_in_place_and_not_checked_twice() {
    let scene = Scene::new();
    scene.list(&["good"]);
    let mut spec = scene.file("db.json", &["told"]);
    let log = scene.path("checks");
    let script = format!("cat {{src}} >>{}; echo why-not >&2; ! grep -q bad {{src}}", log.display());
    spec.check = Some(vec!["sh".into(), "-c".into(), script]);
    let pipeline = scene.start(&[spec], &[shell("told", &format!("echo told >>{}", scene.path("told").display()))]);
    settled(&pipeline).await;
    assert_eq!(scene.read("told").lines().count(), 1);

    scene.list(&["bad"]);
    let status = until("the refusal", || pipeline.status(), |status| status.files[0].error.is_some()).await;
    let error = status.files[0].error.clone().unwrap();
    assert!(error.contains("the check refused the new content (sh exited with code 1): why-not"), "{error}");
    assert_eq!(scene.read("db.json"), r#"["good"]"#);
    // Nothing but a change of the content has it checked again: a member's value is not in this file.
    let mut same = crate::support::members(&["bad"]);
    same.entries[0].value = "other".into();
    scene.memberships.replace("db", &same);
    until("the second attempt", || pipeline.status(), |status| status.files[0].attempts == 2).await;
    assert_eq!(scene.read("checks"), r#"["good"]["bad"]"#);

    scene.list(&["better"]);
    settled(&pipeline).await;
    assert_eq!(scene.read("db.json"), r#"["better"]"#);
    assert_eq!(scene.read("told").lines().count(), 2);
    pipeline.stop().await;
    assert_eq!(crate::support::names(scene.directory.path()), ["checks", "db.json", "told"], "no candidate is left");
}

#[tokio::test]
async fn a_check_that_hangs_is_ended() {
    let scene = Scene::new();
    scene.list(&["a"]);
    let mut spec = scene.file("db.json", &[]);
    spec.check = Some(vec!["sh".into(), "-c".into(), "sleep 1000; : {src}".into()]);
    spec.check_timeout = Duration::from_millis(100);
    let pipeline = scene.start(&[spec], &[]);
    let status = until("the end of the check", || pipeline.status(), |status| status.files[0].error.is_some()).await;
    assert!(status.files[0].error.as_ref().unwrap().contains("took too long"), "{status:?}");
    assert!(!scene.path("db.json").exists());
}

#[tokio::test]
async fn a_template_that_fails_says_where_and_keeps_the_file() {
    let scene = Scene::new();
    scene.list(&["10.0.0.1:80"]);
    fs::write(scene.path("app.j2"), "# members\n{% for m in members %}\n{{ m.host }}:{{ m.port }}\n{% endfor %}\n")
        .unwrap();
    let mut spec = scene.file("app.conf", &[]);
    (spec.kind, spec.src) = (FileKind::Template, Some(scene.path("app.j2")));
    let pipeline = scene.start(&[spec], &[]);
    until("the file", || scene.read("app.conf"), |text| text == "# members\n10.0.0.1:80\n").await;
    scene.list(&["no-address"]);
    let status = until("the error", || pipeline.status(), |status| status.files[0].error.is_some()).await;
    let error = status.files[0].error.clone().unwrap();
    assert!(error.contains("app.j2:3: undefined value") && error.contains("m.host"), "{error}");
    assert_eq!(scene.read("app.conf"), "# members\n10.0.0.1:80\n");
}

#[tokio::test]
async fn prepare_writes_once_and_says_what_it_did() {
    let scene = Scene::new();
    scene.list(&["a"]);
    let mut other = scene.file("web.json", &[]);
    other.watch = vec!["web".into()];
    let mut few = scene.file("few.json", &[]);
    few.min_members = 2;
    let nowhere = scene.file("no/where.json", &[]);
    let files = [scene.file("db.json", &[]), other, few, nowhere];
    let mut handlers = Handlers::new(&files, &[], setup()).unwrap();
    assert_eq!(handlers.clusters().into_iter().collect::<Vec<_>>(), ["db", "web"]);
    let prepared = handlers.prepare(&scene.memberships).await;
    assert_eq!(prepared[0].result, Ok(Outcome::Written));
    assert_eq!(prepared[1].result, Ok(Outcome::Waiting));
    assert_eq!(
        prepared[2].result,
        Ok(Outcome::Held("db has 1 member: fewer than 2, the file is kept as it is".into()))
    );
    assert!(prepared[3].result.as_ref().unwrap_err().to_string().contains("does not exist"));
    assert_eq!(handlers.prepare(&scene.memberships).await[0].result, Ok(Outcome::Same));
    assert_eq!(crate::support::names(scene.directory.path()), ["db.json"]);
    scene.memberships.replace("web", &crate::support::members(&["w"]));
    let preview = handlers.preview(&scene.memberships).await;
    assert_eq!(preview[1].1, Ok(Some(br#"["w"]"#.to_vec())));
    assert!(!scene.path("web.json").exists());

    // What could not be done before is done later, once it can.
    let pipeline = handlers.start(&scene.memberships);
    until("the other cluster", || scene.read("web.json"), |text| text == r#"["w"]"#).await;
    fs::create_dir(scene.path("no")).unwrap();
    until("the directory", || scene.read("no/where.json"), |text| text == r#"["a"]"#).await;
    pipeline.stop().await;
}

#[tokio::test]
async fn after_stop_nothing_is_written() {
    let scene = Scene::new();
    let pipeline = scene.start(&[scene.file("db.json", &[])], &[]);
    for count in 0..50 {
        scene.list(&[&format!("m{count}")]);
        tokio::task::yield_now().await;
    }
    pipeline.stop().await;
    let at_stop = scene.read("db.json");
    scene.list(&["later"]);
    sleep(Duration::from_millis(300)).await; // longer than a window: it is an absence that is looked for
    assert_eq!(scene.read("db.json"), at_stop);
}
