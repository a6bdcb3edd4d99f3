//! etcd v3: one watch over everything, from the first revision on.

use std::time::Duration;

use etcd_client::{Client, Error, EventType, WatchOptions};
use tokio::time::{sleep, timeout};

use crate::history::{Recorder, What};
use crate::stores::PREFIX;

/// A member of a cluster that says nothing for so long may hang, or be cut off: the next one is asked.
const SILENCE: Duration = Duration::from_secs(2);

pub(super) async fn follow(endpoints: String, recorder: Recorder) {
    let mut last = 0;
    for endpoint in endpoints.split(',').cycle() {
        // The server is killed and started again at will: the same revision follows, for nothing is compacted that was
        // not read. If it were, the marks would not be found.
        let _ = read(endpoint, &mut last, &recorder).await;
        sleep(Duration::from_millis(50)).await;
    }
}

async fn read(endpoint: &str, last: &mut i64, recorder: &Recorder) -> Result<(), Error> {
    let options = WatchOptions::new().with_prefix().with_start_revision(*last + 1);
    let begin = async {
        let mut client = Client::connect([endpoint], None).await?;
        client.watch(format!("{PREFIX}/"), Some(options)).await
    };
    let Ok(opened) = timeout(SILENCE, begin).await else { return Ok(()) };
    let mut stream = opened?;
    while let Ok(response) = timeout(SILENCE, stream.message()).await {
        let Some(response) = response? else { return Ok(()) };
        for event in response.events() {
            let Some(pair) = event.kv() else { continue };
            let key = String::from_utf8_lossy(pair.key());
            let key = key.strip_prefix(PREFIX).unwrap_or(&key).to_owned();
            let position = pair.mod_revision().unsigned_abs();
            recorder.record(match event.event_type() {
                EventType::Put => What::Put {
                    position,
                    key,
                    created: pair.create_revision().unsigned_abs(),
                    value: String::from_utf8_lossy(pair.value()).into_owned(),
                },
                EventType::Delete => What::Remove { position, key },
            });
            *last = pair.mod_revision();
        }
    }
    Ok(())
}
