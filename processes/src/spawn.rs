//! Starting a process.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command as Prepared, Stdio};
use std::{io, mem};

use rustix::fs::Access;
use rustix::io::Errno;

use crate::pipes::Ends;
use crate::table::Leftovers;
use crate::{Command, Input, Processes, Running, SpawnError, SpawnErrorKind, search, terminal};

impl Processes {
    /// Start a process.
    ///
    /// When this returns the program is executing. It blocks for as long as that takes, about a millisecond; longer where
    /// the file lies on a slow file system. Nothing happens to the process when the handle is dropped.
    ///
    /// # Errors
    ///
    /// By [kind](SpawnError::kind): the program is not found or not executable, the command is wrong, or the system
    /// refuses. No process is left behind.
    pub fn spawn(&self, command: Command) -> Result<Running, SpawnError> {
        self.spawn_with(command, Leftovers::Keep)
    }

    pub(crate) fn spawn_with(&self, mut command: Command, leftovers: Leftovers) -> Result<Running, SpawnError> {
        self.change_environment(&mut command);
        check(&command)?;
        let file = search::find(&command).map_err(|error| explain(&command, None, error))?;
        let (ends, stdio) = {
            let _context = self.runtime.enter();
            let stdin = mem::replace(&mut command.stdin, Input::Null);
            Ends::open(stdin, command.stdout, command.stderr)
                .map_err(|error| SpawnError::refused(&command.program, error))?
        };
        let (pid, ended) = self
            .table
            .start(prepare(&command, &file, stdio), leftovers)
            .map_err(|error| explain(&command, Some(&file), error))?;
        let [stdout, stderr] = ends.attach(&self.runtime, &ended);
        let running = Running::new(self.clone(), pid, ended, stdout, stderr);
        if command.terminal {
            terminal::hand_over(&running);
        }
        tracing::debug!(pid = running.pid(), program = ?command.program, "started a process");
        Ok(running)
    }
}

impl Processes {
    fn change_environment(&self, command: &mut Command) {
        if !command.inherit_environment {
            return;
        }
        for (name, value) in &*self.environment {
            command.environment.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
}

/// What the system would take in another sense, or refuse in words that do not lead to the mistake.
fn check(command: &Command) -> Result<(), SpawnError> {
    let program = command.program.as_os_str();
    if program.is_empty() {
        return Err(SpawnError::invalid(program, "name a program"));
    }
    let values = command.environment.values().flatten();
    if [program].into_iter().chain(command.arguments.iter().chain(values).map(AsRef::as_ref)).any(has_zero) {
        return Err(SpawnError::invalid(program, "take the zero byte out of its name, arguments or environment"));
    }
    if let Some(name) = command.environment.keys().find(|name| !is_variable(name)) {
        let name = name.to_string_lossy();
        return Err(SpawnError::invalid(program, format!("{name:?} cannot be the name of a variable")));
    }
    match &command.directory {
        Some(directory) => check_directory(program, directory),
        None => Ok(()),
    }
}

fn has_zero(text: &OsStr) -> bool {
    text.as_bytes().contains(&0)
}

fn is_variable(name: &OsStr) -> bool {
    !name.is_empty() && !has_zero(name) && !name.as_bytes().contains(&b'=')
}

/// Otherwise a missing directory would look like a missing program.
fn check_directory(program: &OsStr, directory: &Path) -> Result<(), SpawnError> {
    let usable = if directory.is_dir() { rustix::fs::access(directory, Access::EXEC_OK) } else { Err(Errno::NOTDIR) };
    usable.map_err(|error| {
        let advice = format!("its working directory {:?} cannot be entered", directory.to_string_lossy());
        SpawnError::new(SpawnErrorKind::Invalid, program, advice, error.into())
    })
}

fn prepare(command: &Command, file: &Path, [stdin, stdout, stderr]: [Stdio; 3]) -> Prepared {
    let mut prepared = Prepared::new(file);
    prepared.arg0(&command.program).args(&command.arguments);
    if !command.inherit_environment {
        prepared.env_clear();
    }
    for (name, value) in &command.environment {
        match value {
            Some(value) => prepared.env(name, value),
            None => prepared.env_remove(name),
        };
    }
    if let Some(directory) = &command.directory {
        prepared.current_dir(directory);
    }
    prepared.stdin(stdin).stdout(stdout).stderr(stderr).process_group(0);
    prepared
}

fn explain(command: &Command, file: Option<&Path>, error: io::Error) -> SpawnError {
    let kind_and_advice = match Errno::from_io_error(&error) {
        Some(Errno::NOENT | Errno::NOTDIR) => {
            let there = file.is_some_and(|file| search::exists(file, command.directory.as_deref()));
            Some((
                SpawnErrorKind::NotFound,
                if there {
                    "the file is there, but the interpreter in its first line or its dynamic loader is not: install that"
                } else {
                    "install it, correct its name, or give its full path"
                },
            ))
        }
        Some(Errno::ACCESS | Errno::PERM) => {
            Some((SpawnErrorKind::NotExecutable, "make it executable for this user, on a file system without noexec"))
        }
        Some(Errno::NOEXEC) => Some((
            SpawnErrorKind::NotExecutable,
            "use a program for this machine, or name an interpreter in its first line, such as #!/bin/sh",
        )),
        Some(Errno::TOOBIG) => Some((
            SpawnErrorKind::Invalid,
            "hand large data over on stdin or in a file, not in arguments or environment",
        )),
        _ => None,
    };
    match kind_and_advice {
        Some((kind, advice)) => SpawnError::new(kind, &command.program, advice, error),
        None => SpawnError::refused(&command.program, error),
    }
}
