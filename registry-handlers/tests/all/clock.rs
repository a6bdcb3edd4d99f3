//! Waiting times, with a clock that only moves when everybody waits.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Scene, setup};
use registry_handlers::{Handlers, NotifySpec, Pipeline, Retry};
use tokio::time::{Instant, sleep};

type Times = Arc<Mutex<Vec<Duration>>>;

/// A signal that fails so many times, and when it was sent.
fn start(scene: &Scene, failures: usize, change: impl FnOnce(&mut NotifySpec)) -> (Pipeline, Times) {
    let times = Times::default();
    let (log, began) = (Arc::clone(&times), Instant::now());
    let mut setup = setup();
    setup.child = Some(Arc::new(move |_| {
        let mut log = log.lock().unwrap();
        log.push(began.elapsed());
        if log.len() <= failures { Err("not yet".to_owned()) } else { Ok(()) }
    }));
    let mut spec = NotifySpec::signal("app", "HUP");
    change(&mut spec);
    let handlers = Handlers::new(&[scene.file("db.json", &["app"])], &[spec], setup).unwrap();
    (handlers.start(&scene.memberships), times)
}

/// Waits between the times.
fn waits(times: &Times) -> Vec<Duration> {
    times.lock().unwrap().windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect()
}

#[tokio::test(start_paused = true)]
async fn failures_are_repeated_with_growing_waits_up_to_a_limit() {
    let scene = Scene::new();
    scene.list(&["a"]);
    let (pipeline, times) = start(&scene, 9, |_| {});
    sleep(Duration::from_mins(10)).await;
    assert!(pipeline.status().is_settled());
    let waits = waits(&times);
    assert_eq!(waits.len(), 9);
    for (wait, step) in waits.iter().zip([1, 2, 4, 8, 16, 32, 60, 60, 60]) {
        let step = Duration::from_secs(step);
        let settle = Duration::from_millis(50);
        assert!(*wait >= step / 2 && *wait <= step + settle, "{wait:?} is not the step of {step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn new_content_is_told_without_waiting_for_the_next_attempt() {
    let scene = Scene::new();
    scene.list(&["a"]);
    let hour = Duration::from_hours(1);
    let (pipeline, times) = start(&scene, 1, |spec| spec.retry = Retry::new(Duration::from_secs(1), hour));
    sleep(Duration::from_millis(100)).await;
    assert_eq!(times.lock().unwrap().len(), 1);
    scene.list(&["b"]);
    sleep(Duration::from_millis(1100)).await;
    assert_eq!(times.lock().unwrap().len(), 2);
    assert!(pipeline.status().is_settled());
}

#[tokio::test(start_paused = true)]
async fn the_first_change_is_told_at_once_and_the_others_after_the_interval() {
    let scene = Scene::new();
    scene.list(&["a"]);
    let (pipeline, times) = start(&scene, 0, |spec| spec.min_interval = Duration::from_secs(5));
    sleep(Duration::from_millis(100)).await;
    assert_eq!(times.lock().unwrap().len(), 1, "the first one does not wait");
    for count in 0..40 {
        scene.list(&[&format!("m{count}")]);
        sleep(Duration::from_millis(300)).await;
    }
    sleep(Duration::from_secs(10)).await;
    assert!(pipeline.status().is_settled());
    let waits = waits(&times);
    assert!((2..=4).contains(&waits.len()), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait >= Duration::from_secs(5)), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn changes_within_a_window_are_one_write() {
    let scene = Scene::new();
    scene.list(&["a"]);
    let (pipeline, _) = start(&scene, 0, |_| {});
    sleep(Duration::from_secs(1)).await;
    assert_eq!(pipeline.status().files[0].writes, 1);
    scene.list(&["b"]);
    sleep(Duration::from_millis(10)).await;
    assert_eq!(scene.read("db.json"), r#"["b"]"#, "the first change is taken up at once");
    for count in 0..15 {
        scene.list(&[&format!("m{count}")]);
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(pipeline.status().files[0].writes, 2, "the window is still open");
    sleep(Duration::from_millis(100)).await;
    assert_eq!(pipeline.status().files[0].writes, 3);
    assert_eq!(scene.read("db.json"), r#"["m14"]"#);
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_told_once_when_it_is_over() {
    let scene = Scene::new();
    scene.list(&["a"]);
    let (pipeline, times) = start(&scene, 0, |_| {});
    sleep(Duration::from_secs(1)).await;
    assert_eq!(times.lock().unwrap().len(), 1);
    for count in 0..20 {
        scene.list(&[&format!("m{count}")]);
        sleep(Duration::from_millis(5)).await;
    }
    sleep(Duration::from_secs(1)).await;
    assert!(pipeline.status().is_settled());
    assert_eq!(pipeline.status().files[0].writes, 3, "at once and at the end of the window");
    assert_eq!(times.lock().unwrap().len(), 2, "once for all of it");
}

#[tokio::test(start_paused = true)]
async fn endless_changes_do_not_put_a_notification_off_for_ever() {
    let scene = Scene::new();
    scene.list(&["a"]);
    let (_pipeline, times) = start(&scene, 0, |_| {});
    for count in 0..500 {
        scene.list(&[&format!("m{count}")]);
        sleep(Duration::from_millis(20)).await;
    }
    let count = times.lock().unwrap().len();
    assert!((8..=50).contains(&count), "{count} notifications in ten seconds");
}
