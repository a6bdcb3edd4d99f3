//! The system calls that make a step: those that change files, start a command or talk to it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::libc;

/// The part of a temporary file's name that differs each time.
const RANDOM: usize = 8;
const MARK: &str = ".cluster-control.";

/// Directories by the name that a person reads: what happens elsewhere is no step.
pub(crate) type Places = BTreeMap<&'static str, PathBuf>;

/// What one thread of the process is about to do.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The same for the same step of another run.
    pub(crate) what: String,
    /// How many bytes a call is to write into a file.
    pub(crate) bytes: Option<u64>,
}

impl Call {
    /// Looks at a thread that is stopped at the beginning of a system call. `None` when that is no step.
    pub(crate) fn of(process: u32, thread: i32, places: &Places) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/task/{thread}/syscall")).ok()?;
        let mut words = text.split_ascii_whitespace();
        let number: libc::c_long = words.next()?.parse().ok()?;
        let arguments: Vec<u64> =
            words.filter_map(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok()).collect();
        let tracee = Tracee { process, arguments, places };
        let (verb, object) = tracee.named(number)?;
        let bytes = (verb == "write" && !object.starts_with("pipe")).then(|| tracee.argument(2));
        Some(Self { what: format!("{verb} {object}"), bytes })
    }
}

struct Tracee<'a> {
    process: u32,
    arguments: Vec<u64>,
    places: &'a Places,
}

impl Tracee<'_> {
    /// Not every machine has the old calls without a directory (`rename`, `unlink`); the library of C uses the new ones there.
    fn named(&self, number: libc::c_long) -> Option<(&'static str, String)> {
        Some(match number {
            libc::SYS_openat => {
                let creates = self.argument(2) & u64::from(libc::O_CREAT.cast_unsigned()) != 0;
                ("create", creates.then(|| self.path_at(0, 1)).flatten()?)
            }
            libc::SYS_openat2 => {
                let creates = self.number_at(self.argument(2))? & u64::from(libc::O_CREAT.cast_unsigned()) != 0;
                ("create", creates.then(|| self.path_at(0, 1)).flatten()?)
            }
            libc::SYS_write | libc::SYS_writev | libc::SYS_pwrite64 => ("write", self.file()?),
            libc::SYS_ftruncate => ("truncate", self.file()?),
            libc::SYS_fchmod => ("set the mode of", self.file()?),
            libc::SYS_fchown => ("set the owner of", self.file()?),
            libc::SYS_flock => ("lock", self.file()?),
            libc::SYS_fsync | libc::SYS_fdatasync => ("sync", self.file()?),
            libc::SYS_renameat | libc::SYS_renameat2 => {
                ("rename", format!("{} to {}", self.path_at(0, 1)?, self.path_at(2, 3)?))
            }
            libc::SYS_unlinkat => ("remove", self.path_at(0, 1)?),
            libc::SYS_clone3 => ("start", started(self.number_at(self.argument(0))?)?),
            libc::SYS_clone => ("start", started(self.argument(0))?),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_rename => ("rename", format!("{} to {}", self.path(0)?, self.path(1)?)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_unlink => ("remove", self.path(0)?),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_fork | libc::SYS_vfork => ("start", started(0)?),
            _ => return None,
        })
    }

    fn argument(&self, place: usize) -> u64 {
        self.arguments.get(place).copied().unwrap_or_default()
    }

    /// What the first argument, a descriptor, stands for.
    fn file(&self) -> Option<String> {
        let link = fs::read_link(format!("/proc/{}/fd/{}", self.process, self.argument(0))).ok()?;
        if link.as_os_str().as_bytes().starts_with(b"pipe:") {
            return Some("pipe".to_owned());
        }
        self.shown(&link)
    }

    fn path(&self, place: usize) -> Option<String> {
        self.shown(&self.text(place)?)
    }

    /// A path below a directory that is held open.
    fn path_at(&self, directory: usize, place: usize) -> Option<String> {
        let path = self.text(place)?;
        let held = fs::read_link(format!("/proc/{}/fd/{}", self.process, self.argument(directory)));
        // Without a directory the path is a whole one, and it stays so when it is joined.
        self.shown(&held.unwrap_or_default().join(path))
    }

    fn text(&self, place: usize) -> Option<PathBuf> {
        let bytes = self.memory(self.argument(place))?;
        let end = bytes.iter().position(|byte| *byte == 0)?;
        Some(PathBuf::from(OsStr::from_bytes(&bytes[..end])))
    }

    fn number_at(&self, address: u64) -> Option<u64> {
        Some(u64::from_ne_bytes(*self.memory(address)?.first_chunk()?))
    }

    fn memory(&self, address: u64) -> Option<Vec<u8>> {
        let memory = File::open(format!("/proc/{}/mem", self.process)).ok()?;
        let mut bytes = vec![0; 1024];
        // It may end at a page that is not there.
        let length = memory.read_at(&mut bytes, address).ok()?;
        bytes.truncate(length);
        Some(bytes)
    }

    /// `out/db`, without what differs from one run to the next.
    fn shown(&self, path: &Path) -> Option<String> {
        let (name, rest) =
            self.places.iter().find_map(|(name, place)| Some((*name, path.strip_prefix(place).ok()?)))?;
        let mut rest = without_hash(&rest.to_string_lossy());
        if let Some(mark) = rest.find(MARK)
            && rest.len() == mark + MARK.len() + RANDOM
        {
            rest.truncate(mark + MARK.len());
            rest.push('*');
        }
        Some(if rest.is_empty() { name.to_owned() } else { format!("{name}/{rest}") })
    }
}

/// `pending.json` for `pending-0123456789abcdef.json`: a hash of where this test happens to be.
fn without_hash(name: &str) -> String {
    const HASH: usize = "-0123456789abcdef".len();
    match name.find("pending-") {
        Some(place) => {
            let (before, rest) = name.split_at(place + "pending".len());
            format!("{before}{}", rest.get(HASH..).unwrap_or_default())
        }
        None => name.to_owned(),
    }
}

/// A thread of its own is no command.
fn started(flags: u64) -> Option<String> {
    (flags & u64::from(libc::CLONE_THREAD.cast_unsigned()) == 0).then(|| "a command".to_owned())
}
