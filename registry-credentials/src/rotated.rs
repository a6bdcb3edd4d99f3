//! What is read from files, and read again when they have changed.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use registry_address::{Address, Secret};
use registry_core::Result;

use crate::stamp::Stamp;

type Read<T> = Box<dyn Fn() -> Result<T> + Send + Sync>;

/// What is read from files, and read again when they have changed.
///
/// Its `Debug` shows the names of the files and nothing else.
pub struct Rotated<T> {
    files: Vec<PathBuf>,
    read: Read<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    /// How the files looked before they were read last.
    seen: Vec<Option<Stamp>>,
    value: Arc<T>,
    /// What is wrong with the files as they are now; then `value` is older than they are.
    fault: Option<Arc<str>>,
}

impl<T> Rotated<T> {
    /// Reads for the first time. `read` reads these files and nothing else that changes; its errors name the file and never
    /// hold what is in it. Without files it is never called again.
    ///
    /// # Errors
    /// Those of `read`: nothing was read before that could stay in use.
    pub fn new(
        files: impl IntoIterator<Item = PathBuf>,
        read: impl Fn() -> Result<T> + Send + Sync + 'static,
    ) -> Result<Self> {
        let files: Vec<_> = files.into_iter().collect();
        // Looked at before they are read: what changes in between is then seen the next time.
        let seen = look_at(&files);
        let value = Arc::new(read()?);
        Ok(Self { files, read: Box::new(read), state: Mutex::new(State { seen, value, fault: None }) })
    }

    /// What is made of these files instead, by something that is as good as reading them.
    ///
    /// # Errors
    /// Those of `make`, of what the files hold now.
    pub fn map<U>(self, make: impl Fn(&T) -> Result<U> + Send + Sync + 'static) -> Result<Rotated<U>>
    where
        T: 'static,
    {
        let Self { files, read, state } = self;
        let State { seen, value, .. } = state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let value = Arc::new(make(&value)?);
        let read = Box::new(move || make(&read()?));
        Ok(Rotated { files, read, state: Mutex::new(State { seen, value, fault: None }) })
    }

    /// What the files hold, or what they held before they were broken. Asks the file system whether they have changed, and
    /// reads them only then; a file that is broken is tried each time.
    pub fn current(&self) -> Arc<T> {
        self.look(false)
    }

    /// As [`current`](Self::current), but reads the files also when they seem to be the same: for after a refusal.
    pub fn read_again(&self) -> Arc<T> {
        self.look(true)
    }

    /// What is wrong with the files, if what is in use is older than they are. It names the file.
    pub fn fault(&self) -> Option<Arc<str>> {
        self.state().fault.clone()
    }

    fn look(&self, whatever_they_look_like: bool) -> Arc<T> {
        let mut state = self.state();
        if self.files.is_empty() {
            return Arc::clone(&state.value);
        }
        let seen = look_at(&self.files);
        let changed = seen != state.seen;
        if changed || whatever_they_look_like || state.fault.is_some() {
            state.seen = seen;
            match (self.read)() {
                Ok(value) => {
                    let was_broken = state.fault.take().is_some();
                    if changed || was_broken {
                        tracing::info!(files = ?self.files, "the files have changed and are in use");
                    }
                    state.value = Arc::new(value);
                }
                Err(error) => {
                    let fault: Arc<str> = error.to_string().into();
                    // Said once for each thing that is wrong, not for each request that finds it so.
                    if state.fault.as_ref() != Some(&fault) {
                        tracing::warn!("{fault}; what was read before stays in use");
                    }
                    state.fault = Some(fault);
                }
            }
        }
        Arc::clone(&state.value)
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for Rotated<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotated").field("files", &self.files).finish_non_exhaustive()
    }
}

/// The password of an address, read again when it comes from a file.
///
/// # Errors
/// `Config`, naming the file.
pub fn password(address: &Address) -> Result<Option<Rotated<Secret>>> {
    let Address { password, password_file, .. } = address;
    match (password.clone(), password_file.clone()) {
        (_, Some(file)) => Rotated::new([file.clone()], move || Secret::read("password", &file)).map(Some),
        (Some(password), None) => Rotated::new([], move || Ok(password.clone())).map(Some),
        (None, None) => Ok(None),
    }
}

fn look_at(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    files.iter().flat_map(|file| Stamp::of_all(file)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn of(file: &Path) -> Rotated<Secret> {
        let mut address = Address::new(&ETCD, ["h:1"]);
        (address.user, address.password_file) = (Some("me".into()), Some(file.to_owned()));
        password(&address).unwrap().unwrap()
    }

    const ETCD: registry_address::Scheme = registry_address::Scheme { plain: "etcd", secure: "etcds", port: 2379 };

    /// As whoever knows what readers see: beside it, and then in its place.
    fn replace(file: &Path, text: &str) {
        let beside = file.with_extension("new");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, file).unwrap();
    }

    #[test]
    fn a_replaced_file_is_read_and_an_unchanged_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        fs::write(&file, "one\n").unwrap();
        let rotated = of(&file);
        let first = rotated.current();
        assert_eq!(first.reveal(), "one");
        assert!(Arc::ptr_eq(&first, &rotated.current()), "it was read again without a reason");
        replace(&file, "two\n");
        assert_eq!(rotated.current().reveal(), "two");
        // A link that points elsewhere from now on, as in a volume of secrets.
        let (a, b) = (directory.path().join("a"), directory.path().join("b"));
        fs::write(&a, "three").unwrap();
        fs::write(&b, "four!").unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&a, &link).unwrap();
        let rotated = of(&link);
        assert_eq!(rotated.current().reveal(), "three");
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&b, &link).unwrap();
        assert_eq!(rotated.current().reveal(), "four!");
    }

    #[test]
    fn what_is_broken_changes_nothing_and_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        fs::write(&file, "canary").unwrap();
        let rotated = of(&file);
        assert_eq!(rotated.fault(), None);
        let ways: [fn(&Path) -> std::io::Result<()>; 3] =
            [|file| fs::write(file, "\n"), |file| fs::write(file, [0xff, 0xfe]), |file| fs::remove_file(file)];
        for breaking in ways {
            breaking(&file).unwrap();
            assert_eq!(rotated.current().reveal(), "canary");
            let fault = rotated.fault().expect("a fault");
            assert!(fault.contains(file.to_str().unwrap()) && !fault.contains("canary"), "{fault}");
        }
        fs::write(&file, "better").unwrap();
        assert_eq!(rotated.current().reveal(), "better");
        assert_eq!(rotated.fault(), None);
        assert!(!format!("{rotated:?}").contains("better"));
    }

    #[test]
    fn after_a_refusal_the_file_is_read_whatever_it_looks_like() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("value");
        fs::write(&file, "x").unwrap();
        let count = std::sync::atomic::AtomicUsize::new(0);
        let rotated =
            Rotated::new([file], move || Ok(count.fetch_add(1, std::sync::atomic::Ordering::SeqCst))).unwrap();
        assert_eq!((*rotated.current(), *rotated.current()), (0, 0));
        assert_eq!((*rotated.read_again(), *rotated.current()), (1, 1));
    }
}
