//! Elections, and those who only watch them.

use std::time::Duration;

use registry_core::conformance::Gate;
use registry_recipes::{Election, Leader, Observer};
use tokio::time::{Instant, timeout};

use super::support::Place;
use super::{SHORT, dir, election, until_there_are};

async fn next(observer: &mut Observer) -> Option<Leader> {
    let told = timeout(Duration::from_mins(1), observer.next()).await.expect("told in time");
    told.expect("it goes on").expect("no error")
}

fn value(leader: Option<&Leader>) -> Option<String> {
    leader.map(|leader| String::from_utf8_lossy(&leader.value).into_owned())
}

pub(crate) async fn everybody_knows_who_leads(place: Place) {
    let mut observer = election(&place).observe();
    assert_eq!(next(&mut observer).await, None);
    assert_eq!(election(&place).leader().await.expect("asked"), None);
    let first = election(&place).campaign("first").await.expect("elected");
    let told = next(&mut observer).await.expect("somebody leads");
    assert_eq!((told.value.as_ref(), told.token), (b"first".as_ref(), first.token()));
    assert_eq!(election(&place).leader().await.expect("asked"), Some(told));
    first.proclaim("elsewhere").await.expect("told");
    let told = next(&mut observer).await;
    assert_eq!(value(told.as_ref()).as_deref(), Some("elsewhere"));
    assert_eq!(told.expect("somebody leads").token, first.token(), "the term goes on");
    first.resign().await.expect("resigned");
    assert_eq!(next(&mut observer).await, None);
}

pub(crate) async fn resigning_hands_over_at_once(place: Place) {
    let mut waits = Vec::new();
    let mut leading = election(&place).campaign("0").await.expect("elected");
    for number in 1..4 {
        let candidate = election(&place);
        let campaign = tokio::spawn(async move { candidate.campaign(number.to_string()).await });
        until_there_are(&place, 2).await;
        let resigned = Instant::now();
        leading.resign().await.expect("resigned");
        leading = campaign.await.expect("no panic").expect("elected");
        waits.push(resigned.elapsed());
    }
    println!("from resigning to the next leader: {waits:?}");
    waits.sort();
    assert!(waits[1] < Duration::from_secs(1), "{waits:?}");
}

pub(crate) async fn a_leader_that_dies_is_followed_in_its_time_to_live(place: Place) {
    let (gate, ttl) = (Gate::new(place.connect()), place.ttl(SHORT));
    let leading = Election::new(gate.clone(), dir()).ttl(ttl).campaign("first").await.expect("elected");
    let candidate = election(&place);
    let campaign = tokio::spawn(async move { candidate.campaign("second").await });
    until_there_are(&place, 2).await;
    gate.close();
    let died = Instant::now();
    leading.lost().await;
    let stopped = died.elapsed();
    campaign.await.expect("no panic").expect("elected");
    let followed = died.elapsed();
    println!("the old leader stopped after {stopped:?}, the next one led after {followed:?}");
    // What the registry promises, and a second for a busy machine.
    let latest = place.gone_after(ttl) + Duration::from_secs(1);
    assert!(stopped < followed && followed < latest, "{stopped:?}, {followed:?}");
}

pub(crate) async fn an_observer_that_comes_late_knows_the_leader(place: Place) {
    let leading = election(&place).campaign("first").await.expect("elected");
    let candidate = election(&place);
    let campaign = tokio::spawn(async move { candidate.campaign("second").await });
    until_there_are(&place, 2).await;
    let mut observer = election(&place).observe();
    assert_eq!(value(next(&mut observer).await.as_ref()).as_deref(), Some("first"));
    drop(leading);
    assert_eq!(value(next(&mut observer).await.as_ref()).as_deref(), Some("second"));
    let second = campaign.await.expect("no panic").expect("elected");
    assert!(second.held());
}
