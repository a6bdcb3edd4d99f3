//! What must hold for every line of `/proc`, for the fuzz target. No part of what this crate promises.

use super::{number, parse};

/// The name of a process, which it chooses itself, forges neither its parent nor its group; and any other line is
/// understood, or is none.
///
/// # Panics
/// When that does not hold.
pub fn stat(data: &[u8]) {
    let pid = number("7").expect("a number");
    let _ = parse(pid, data);
    let line = [b"7 (", data, b") S 42 43 44 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 9 9\n"].concat();
    let child = parse(pid, &line).expect("a line as the kernel writes it");
    assert_eq!((child.parent, child.group, child.born), (number("42"), number("43"), 987_654));
    // The kernel writes whole lines; a part of one is never another process.
    let end = 4 + data.len();
    for length in end..line.len() {
        if let Some(part) = parse(pid, &line[..length]) {
            assert_eq!((part.pid, part.parent, part.group), (child.pid, child.parent, child.group));
        }
    }
}
