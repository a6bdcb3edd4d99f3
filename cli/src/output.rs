//! stdout: results, and nothing else.

use std::io::{self, Write};

use crate::aside::aside;
use crate::exit::{ERROR, Failure, OK, Outcome};

/// Writes a result. For a reader that went away (`| head`) it is a failure that ends the program quietly, with the code of
/// success, once the command has put away what it holds.
pub(crate) fn print(text: &str) -> Outcome<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Err(Failure::new(OK, "nobody reads stdout any more"))
        }
        Err(error) => Err(Failure::new(ERROR, format!("cannot write to stdout: {error}"))),
    }
}

/// Writes a result and a newline.
pub(crate) fn print_line(text: &str) -> Outcome<()> {
    print(&format!("{text}\n"))
}

/// Writes a result and a newline on a thread that may block: a reader that rests must not keep anything from being renewed.
/// Cancelled, it is written when there is a reader.
pub(crate) async fn print_line_aside(text: String) -> Outcome<()> {
    aside(move || print_line(&text)).await?
}
