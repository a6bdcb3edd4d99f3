//! Target 8: who has which part, after a change among many and among real processes.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::Stdio;
use std::time::{Duration, Instant};

use registry::{Batch, Bytes, Change, Entry, Index, Name, Snapshot};
use registry_recipes::partition::measuring::Parts;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::Result;
use crate::bench::Bench;
use crate::harness::{FLOOR, Limit, OURS, Samples, Section, Unit};
use crate::stores::{Kind, Store};

const MEMBERS: usize = 10_000;
/// Of so many members the new part is computed; one process never looks at all of them.
const OBSERVED: usize = 50;
const SOON: Duration = Duration::from_mins(2);

pub(super) async fn measure(bench: &Bench) -> Result<Section> {
    let target =
        "10,000 members and one joins: each member's new part in at most 10 µs; processes that join one by one agree";
    let mut section = Section::new("Partition", target);
    compute(bench, &mut section)?;
    agree(bench, &mut section).await?;
    Ok(section)
}

fn name(number: usize) -> Result<Name> {
    Ok(Name::new(&format!("member-{number:06}"))?)
}

fn entry(number: usize, position: u64) -> Result<Entry> {
    Ok(Entry { name: name(number)?, value: Bytes::from_static(b"3"), index: Index::new(1, position) })
}

/// One change is told to members that are spread over the cluster; beside them a peer that adds up the whole directory.
fn compute(bench: &Bench, section: &mut Section) -> Result<()> {
    let entries = (0..MEMBERS).map(|number| entry(number * 2, 1)).collect::<Result<Vec<_>>>()?;
    let snapshot = Snapshot { entries, index: Index::new(1, 1) };
    let mut observed = Vec::new();
    for number in 0..OBSERVED {
        let own = name(number * 2 * (MEMBERS / OBSERVED))?;
        let mut parts = Parts::new(own.clone(), Index::new(1, 1));
        parts.replace(&snapshot);
        observed.push((own, parts));
    }
    let mut listed: BTreeMap<Name, u64> = snapshot.entries.iter().map(|entry| (entry.name.clone(), 3)).collect();
    let (mut ours, mut peer) = (Samples::default(), Samples::default());
    let mut position = 1;
    for round in 0..bench.rounds(50, 10) {
        bench.listen_for_noise();
        position += 1;
        let joins = entry(round * 2 + 1, position)?;
        listed.insert(joins.name.clone(), 3);
        let batch = Batch { changes: vec![Change::Put(joins)], index: Index::new(1, position) };
        let (mut of_ours, mut of_peer) = (Vec::new(), Vec::new());
        for (own, parts) in &mut observed {
            let begun = Instant::now();
            parts.apply(black_box(&batch));
            let part = black_box(parts.part());
            of_ours.push(begun.elapsed().as_secs_f64() * 1e6);
            let begun = Instant::now();
            let before: u64 = listed.range(..own.clone()).map(|(_, count)| count).sum();
            let counted = black_box((Some(before), listed.values().sum::<u64>()));
            of_peer.push(begun.elapsed().as_secs_f64() * 1e6);
            if part != counted {
                return Err(format!("{own} has the part {part:?}, and {counted:?} when it is counted").into());
            }
        }
        ours.push(of_ours);
        peer.push(of_peer);
    }
    let contestants = [(OURS.into(), ours), ("adding up again (in memory)".into(), peer)];
    section.case("10,000 members, one joins", Unit::Microseconds, Limit::AtMost(10.0), contestants);
    Ok(())
}

/// Real processes join one by one, and after each the parts of all are compared with what the directory holds.
async fn agree(bench: &Bench, section: &mut Section) -> Result<()> {
    let store = Store::start(Kind::EtcdV3).await?;
    let mut client =
        etcd_client::Client::connect([format!("127.0.0.1:{}", store.port().ok_or("a port")?)], None).await?;
    let processes = bench.rounds(50, 8);
    let (mut nodes, mut ours, mut floor): (Vec<Node>, _, _) = (Vec::new(), Samples::default(), Samples::default());
    for number in 0..processes {
        let begun = Instant::now();
        nodes.push(Node::start(bench, &store, number)?);
        let total = u64::try_from(nodes.len())?;
        // All of one worker, and named so that the order of joining is not that of the names.
        let mut ids: Vec<_> = nodes.iter().map(|node| node.id.clone()).collect();
        ids.sort();
        for node in &mut nodes {
            let base = u64::try_from(ids.binary_search(&node.id).map_err(|_| "a node has an id")?)?;
            timeout(SOON, node.becomes((Some(base), total))).await??;
        }
        ours.push(vec![begun.elapsed().as_secs_f64() * 1e3]);
        let begun = Instant::now();
        for node in &nodes {
            // What a peer does at each change, in each of its members.
            let options = etcd_client::GetOptions::new().with_prefix();
            let listed = client.get("/bench/production/", Some(options)).await?;
            let mut ids: Vec<_> = listed.kvs().iter().filter_map(|kv| kv.key_str().ok()?.rsplit('/').next()).collect();
            ids.sort_unstable();
            let base = ids.binary_search(&node.id.as_str()).map_err(|_| "a member is not in the directory")?;
            if node.part != (Some(u64::try_from(base)?), u64::try_from(ids.len())?) {
                return Err(format!("{} has {:?}, and the directory holds {ids:?}", node.id, node.part).into());
            }
        }
        floor.push(vec![begun.elapsed().as_secs_f64() * 1e3]);
    }
    let case = format!("{processes} processes join one by one: one more is started -> all have told the right parts");
    section.case(case, Unit::Milliseconds, Limit::None, [(OURS.into(), ours)]);
    section.case(
        "every member reads the directory once more",
        Unit::Milliseconds,
        Limit::None,
        [(FLOOR.into(), floor)],
    );
    section.note("After each of them, every process has the part that the directory gives it, or the row fails.");
    for node in nodes {
        node.end().await?;
    }
    Ok(())
}

struct Node {
    id: String,
    part: (Option<u64>, u64),
    lines: Lines<BufReader<ChildStdout>>,
    child: Child,
}

impl Node {
    fn start(bench: &Bench, store: &Store, number: usize) -> Result<Self> {
        let id = format!("n{:03}", number * 37 % 101);
        let mut command = Command::new(&bench.program);
        command.args(["partition", "/bench", "--id", &id, "--workers", "1", "--registry", &store.url(None)]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let lines = BufReader::new(child.stdout.take().ok_or("its output is a pipe")?).lines();
        Ok(Self { id, part: (None, 0), lines, child })
    }

    async fn becomes(&mut self, wanted: (Option<u64>, u64)) -> Result<()> {
        while self.part != wanted {
            let line = self.lines.next_line().await?.ok_or_else(|| format!("{} has ended", self.id))?;
            let told: serde_json::Value = serde_json::from_str(&line)?;
            self.part = (told["base"].as_u64(), told["total"].as_u64().unwrap_or_default());
        }
        Ok(())
    }

    async fn end(mut self) -> Result<()> {
        self.child.start_kill()?;
        self.child.wait().await?;
        Ok(())
    }
}
