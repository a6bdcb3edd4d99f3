//! What to start, and how.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

/// What to start: a program and its arguments, never a line for a shell.
///
/// Unless told otherwise the process inherits the environment, as [`Processes::with_environment`](crate::Processes::with_environment) changed it, and the working directory, reads nothing from stdin and
/// writes to this program's stdout and stderr. It always leads a process group of its own, so that it can be ended
/// together with what it started.
#[derive(Clone)]
pub struct Command {
    pub(crate) program: OsString,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) inherit_environment: bool,
    /// `None` removes the variable.
    pub(crate) environment: BTreeMap<OsString, Option<OsString>>,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) stdin: Input,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
    pub(crate) terminal: bool,
}

/// Where a process reads from.
#[derive(Clone, PartialEq, Eq)]
pub enum Input {
    /// Nothing to read.
    Null,
    /// What this program reads from.
    Inherit,
    /// These bytes, then the end. A process that does not read them is not an error.
    Bytes(Vec<u8>),
}

/// Where a process writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Where this program writes to.
    Inherit,
    /// Nowhere.
    Null,
    /// Into memory: the first `limit` bytes. What comes after them is read and thrown away, so that the process never
    /// blocks on a full pipe.
    Capture {
        /// How many bytes to keep.
        limit: usize,
    },
}

impl Command {
    /// A program: a path, or a name that is looked for in the absolute directories of the process's `PATH`.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            inherit_environment: true,
            environment: BTreeMap::new(),
            directory: None,
            stdin: Input::Null,
            stdout: Output::Inherit,
            stderr: Output::Inherit,
            terminal: false,
        }
    }

    /// One more argument.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// More arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Inherit no environment: the process gets what [`env`](Self::env) says, before or after this call, and nothing else.
    pub fn clear_env(mut self) -> Self {
        self.inherit_environment = false;
        self
    }

    /// Set a variable. The last word on a name counts.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), Some(value.into()));
        self
    }

    /// Take a variable away, a credential for example. The last word on a name counts.
    pub fn remove_env(mut self, name: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), None);
        self
    }

    /// The working directory. A program given as a relative path is looked for from there.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Where the process reads from.
    pub fn stdin(mut self, input: Input) -> Self {
        self.stdin = input;
        self
    }

    /// Where the process's results go.
    pub fn stdout(mut self, output: Output) -> Self {
        self.stdout = output;
        self
    }

    /// Where the process's complaints go.
    pub fn stderr(mut self, output: Output) -> Self {
        self.stderr = output;
        self
    }

    /// Give the terminal to the process: stdin is inherited, and if it is a terminal in whose foreground this program
    /// is, the process's group takes that place. Without this an interactive program, being in another group, would be
    /// stopped by its first read. Keys such as ctrl-c then reach the process, and not this program.
    pub fn terminal(mut self) -> Self {
        self.stdin = Input::Inherit;
        self.terminal = true;
        self
    }

    /// The program as it was given, for a message.
    pub fn program(&self) -> &OsStr {
        &self.program
    }
}

/// Names and sizes only: the values of variables and what goes to stdin may be secret.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &self.program)
            .field("arguments", &self.arguments)
            .field("inherit_environment", &self.inherit_environment)
            .field("environment", &self.environment.keys())
            .field("directory", &self.directory)
            .field("stdin", &self.stdin)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .field("terminal", &self.terminal)
            .finish()
    }
}

/// The size only: what goes to stdin may be secret.
impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Inherit => f.write_str("Inherit"),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_value() {
        let command = Command::new("server").env("PASSWORD", "hunter2").stdin(Input::Bytes(b"hunter3".to_vec()));
        let shown = format!("{command:?}");
        assert!(shown.contains("PASSWORD") && shown.contains("7 bytes"), "{shown}");
        assert!(!shown.contains("hunter") && !shown.contains("104"), "{shown}");
    }
}
