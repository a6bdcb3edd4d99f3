//! What other processes use: the processor's time, and memory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

use nix::time::ClockId;
use nix::unistd::Pid;

use crate::Result;

/// A process, alone or with all that it has started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    id: u32,
    with_children: bool,
}

/// What a process holds, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident, shared pages in full.
    pub(crate) resident: u64,
    /// Resident, of shared pages only its part.
    pub(crate) proportional: u64,
    /// The most that was resident.
    pub(crate) peak: u64,
}

/// What `/proc/PID/stat` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// Of the children that have ended and were waited for, in hundredths of a second.
    children: u64,
}

impl Process {
    pub(crate) fn alone(id: u32) -> Self {
        Self { id, with_children: false }
    }

    pub(crate) fn with_children(id: u32) -> Self {
        Self { id, with_children: true }
    }

    /// The processor's time so far, of all its threads, those that have ended among them. To the nanosecond; of children
    /// that have ended, to a hundredth of a second.
    pub(crate) fn processor_time(self) -> Result<Duration> {
        if !self.with_children {
            return own_time(self.id);
        }
        let all = stats()?;
        let mut time = Duration::ZERO;
        for id in family(self.id, &all) {
            // One that ends just now is in its parent's sum the next time.
            time += own_time(id).unwrap_or_default();
            time += Duration::from_millis(10 * all.get(&id).copied().unwrap_or_default().children);
        }
        Ok(time)
    }

    /// What it holds now.
    pub(crate) fn memory(self) -> Result<Memory> {
        let ids = if self.with_children { family(self.id, &stats()?) } else { vec![self.id] };
        let mut sum = Memory::default();
        for id in ids {
            let read = |name: &str| fs::read_to_string(format!("/proc/{id}/{name}"));
            let (Ok(rollup), Ok(status)) = (read("smaps_rollup"), read("status")) else {
                if id == self.id {
                    return Err(format!("process {id} has ended").into());
                }
                continue;
            };
            sum.resident += kibibytes(&rollup, "Rss:") * 1024;
            sum.proportional += kibibytes(&rollup, "Pss:") * 1024;
            sum.peak += kibibytes(&status, "VmHWM:") * 1024;
        }
        Ok(sum)
    }
}

fn own_time(id: u32) -> Result<Duration> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(id.cast_signed()))?;
    Ok(Duration::from(clock.now()?))
}

/// The process and its descendants.
fn family(root: u32, all: &BTreeMap<u32, Stat>) -> Vec<u32> {
    let mut family = vec![root];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(all.iter().filter(|(_, stat)| stat.parent == parent).map(|(id, _)| *id));
        next += 1;
    }
    family
}

fn stats() -> io::Result<BTreeMap<u32, Stat>> {
    let ids = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // What ends meanwhile is left out.
    let stat = |id: u32| Some((id, Stat::parse(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)?));
    Ok(ids.filter_map(stat).collect())
}

impl Stat {
    fn parse(stat: &str) -> Option<Self> {
        // The name may hold anything; what follows the last bracket begins with the state.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |field: usize| fields.get(field)?.parse::<u64>().ok();
        Some(Self { parent: u32::try_from(number(1)?).ok()?, children: number(13)? + number(14)? })
    }
}

fn kibibytes(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|value| value.trim().strip_suffix("kB")?.trim().parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_is_read_behind_its_name() {
        let stat = "7 (a b) c) S 3 7 7 0 -1 4194560 100 200 0 0 11 12 13 14 20 0 1 0 5 6 7";
        assert_eq!(Stat::parse(stat), Some(Stat { parent: 3, children: 27 }));
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn a_family_is_all_generations() {
        let stat = |parent| Stat { parent, children: 0 };
        let all = [(1, stat(0)), (2, stat(1)), (3, stat(2)), (4, stat(9))].into();
        assert_eq!(family(1, &all), [1, 2, 3]);
    }

    #[test]
    fn kibibytes_are_found_by_name() {
        assert_eq!(kibibytes("Rss:            1234 kB\nPss:   5 kB\n", "Pss:"), 5);
        assert_eq!(kibibytes("", "Pss:"), 0);
    }

    /// A process that has worked has used time, and holds memory.
    #[test]
    fn this_process_is_measured() {
        let this = Process::with_children(std::process::id());
        let before = this.processor_time().unwrap();
        let mut work = 0_u64;
        while this.processor_time().unwrap() == before {
            work = std::hint::black_box(work + 1);
        }
        let memory = this.memory().unwrap();
        assert!(memory.peak >= memory.proportional && memory.proportional > 0, "{memory:?}");
        assert!(Process::alone(u32::MAX >> 1).memory().is_err());
    }
}
